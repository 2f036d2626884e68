-- Down the ranking value never rises, the running value grows by each product's own, and no class comes back.
with ranked as (

    select
        *,
        lag(consumption_value) over (order by consumption_rank) as previous_value,
        lag(cumulative_value) over (order by consumption_rank) as previous_cumulative_value,
        lag(abc_class) over (order by consumption_rank) as previous_class
    from {{ ref('abc_classes') }}

)

select
    consumption_rank,
    product_id,
    previous_value,
    consumption_value,
    previous_cumulative_value,
    cumulative_value,
    previous_class,
    abc_class
from ranked
where
    consumption_value > previous_value
    or cumulative_value <> coalesce(previous_cumulative_value, 0) + consumption_value
    or abc_class < previous_class
    or (consumption_rank = 1 and consumption_value > 0 and abc_class <> 'A')
order by consumption_rank
