-- Every product and warehouse opens each day with what it closed the day before with, without a gap in the days.
with days as (

    select
        product_id,
        warehouse_id,
        date_day,
        opening_units,
        lag(date_day) over (partition by product_id, warehouse_id order by date_day) as previous_day,
        lag(closing_units) over (partition by product_id, warehouse_id order by date_day) as previous_closing_units
    from {{ ref('daily_inventory') }}

)

select
    product_id,
    warehouse_id,
    previous_day,
    date_day,
    previous_closing_units,
    opening_units
from days
where
    opening_units <> coalesce(previous_closing_units, 0)
    or {{ dbt.datediff('previous_day', 'date_day', 'day') }} <> 1
order by product_id, warehouse_id, date_day
