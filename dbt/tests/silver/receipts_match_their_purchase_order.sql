-- What is received on an order was ordered: the same product for the same warehouse. Missing orders may explain a
-- receipt without its line.
select
    movements.movement_id,
    movements.purchase_order_line_id,
    movements.product_id,
    purchase_orders.product_id as ordered_product_id,
    movements.warehouse_id,
    purchase_orders.warehouse_id as ordered_warehouse_id,
    movements.moved_on
from {{ ref('accepted_movements') }} as movements
left join {{ ref('accepted_purchase_orders') }} as purchase_orders
    on movements.purchase_order_line_id = purchase_orders.purchase_order_line_id
where
    movements.purchase_order_line_id is not null
    and (
        purchase_orders.purchase_order_line_id is null
        or movements.product_id <> purchase_orders.product_id
        or movements.warehouse_id <> purchase_orders.warehouse_id
    )
    and not {{ is_explained('movements.moved_on') }}
order by movements.movement_id
