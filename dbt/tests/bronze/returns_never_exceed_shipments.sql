-- Only what a line shipped can come back, to the warehouse and of the product it shipped, and not before.
with movements as (

    select * from {{ ref('stg_logistics__inventory_movements') }}
    where movement_type in ('shipment', 'return')

)

select
    order_line_id,
    sum(case when movement_type = 'shipment' then -moved_units else 0 end) as shipped_units,
    sum(case when movement_type = 'return' then moved_units else 0 end) as returned_units,
    count(distinct product_id) as number_of_products,
    count(distinct warehouse_id) as number_of_warehouses,
    min(case when movement_type = 'shipment' then moved_at end) as shipped_at,
    min(case when movement_type = 'return' then moved_at end) as first_returned_at
from movements
group by order_line_id
having
    count(case when movement_type = 'return' then 1 end) > 0
    and (
        sum(moved_units) > 0
        or count(distinct product_id) <> 1
        or count(distinct warehouse_id) <> 1
        or min(case when movement_type = 'return' then moved_at end)
        < min(case when movement_type = 'shipment' then moved_at end)
    )
order by order_line_id
