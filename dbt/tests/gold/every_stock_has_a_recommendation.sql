-- One recommendation for every product and warehouse of the last day, at the stock that silver has.
with clock as (

    select max(date_day) as as_of
    from {{ ref('daily_inventory') }}

),

stock as (

    select daily_inventory.*
    from {{ ref('daily_inventory') }} as daily_inventory
    inner join clock
        on daily_inventory.date_day = clock.as_of

)

select
    coalesce(stock.product_id, recommendations.product_id) as product_id,
    coalesce(stock.warehouse_id, recommendations.warehouse_id) as warehouse_id,
    stock.closing_units as on_hand_units_in,
    recommendations.on_hand_units as on_hand_units_out
from stock
full outer join {{ ref('reorder_recommendations') }} as recommendations
    on
        stock.product_id = recommendations.product_id
        and stock.warehouse_id = recommendations.warehouse_id
where
    stock.product_id is null
    or recommendations.product_id is null
    or stock.closing_units <> recommendations.on_hand_units
order by product_id, warehouse_id
