-- Stock cannot be shipped before it is there. What is missing of a few units is in suspicious_data and added; more than
-- ever came is a broken rule, unless missing or suspicious data explains it.
with balances as (

    select
        product_id,
        warehouse_id,
        moved_on,
        movement_id,
        movement_type,
        moved_units,
        sum(moved_units) over (
            partition by product_id, warehouse_id
            order by moved_on
            range between unbounded preceding and current row
        ) as balance_units,
        sum(case when moved_units > 0 then moved_units else 0 end) over (
            partition by product_id, warehouse_id
            order by moved_on
            range between unbounded preceding and current row
        ) as arrived_units
    from {{ ref('accepted_movements') }}

)

select
    movement_id,
    product_id,
    warehouse_id,
    moved_on,
    movement_type,
    moved_units,
    balance_units,
    arrived_units
from balances
where
    balance_units < -arrived_units
    and not {{ is_explained('balances.moved_on', 'balances.warehouse_id') }}
order by moved_on, movement_id
