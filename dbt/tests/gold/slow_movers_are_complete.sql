-- Exactly the stock on hand on the last day that has not shipped for the days of the variable: none missing, none
-- too many, at the units and value that silver has.
with inventory as (

    select
        *,
        max(date_day) over () as as_of
    from {{ ref('daily_inventory') }}

),

expected as (

    select
        product_id,
        warehouse_id,
        sum(case when date_day = as_of then closing_units else 0 end) as on_hand_units,
        sum(case when date_day = as_of then inventory_value else 0 end) as inventory_value
    from inventory
    group by product_id, warehouse_id, as_of
    having
        sum(case when date_day = as_of then closing_units else 0 end) > 0
        and {{ dbt.datediff(
            'coalesce(max(case when shipped_units > 0 then date_day end), '
            ~ 'min(case when closing_units > 0 then date_day end))', 'as_of', 'day'
        ) }} >= {{ var('slow_mover_days') }}

)

select
    coalesce(expected.product_id, slow_movers.product_id) as product_id,
    coalesce(expected.warehouse_id, slow_movers.warehouse_id) as warehouse_id,
    expected.on_hand_units as expected_on_hand_units,
    slow_movers.on_hand_units,
    expected.inventory_value as expected_inventory_value,
    slow_movers.inventory_value
from expected
full outer join {{ ref('slow_movers') }} as slow_movers
    on
        expected.product_id = slow_movers.product_id
        and expected.warehouse_id = slow_movers.warehouse_id
where
    expected.product_id is null
    or slow_movers.product_id is null
    or expected.on_hand_units <> slow_movers.on_hand_units
    or expected.inventory_value <> slow_movers.inventory_value
order by product_id, warehouse_id
