-- Stock cannot be shipped before it is there. The balance of an instant counts all movements of that instant, so
-- that no order of rows within a second is taken for granted.
with balances as (

    select
        product_id,
        warehouse_id,
        moved_at,
        movement_id,
        movement_type,
        moved_units,
        sum(moved_units) over (
            partition by product_id, warehouse_id
            order by moved_at
            range between unbounded preceding and current row
        ) as balance_units
    from {{ ref('stg_logistics__inventory_movements') }}

)

select
    movement_id,
    product_id,
    warehouse_id,
    moved_at,
    movement_type,
    moved_units,
    balance_units
from balances
where balance_units < 0
order by moved_at, movement_id
