-- What leaves is what was ordered: the same product from the same warehouse, not before it was ordered, in one
-- shipment or several, and never more units in all than the line asks for. Missing or suspicious data may explain a
-- shipment without its line.
with movements as (

    select
        *,
        sum(-moved_units) over (partition by order_line_id) as shipped_units_of_line
    from {{ ref('accepted_movements') }}
    where movement_type = 'shipment'

)

select
    movements.movement_id,
    movements.order_line_id,
    movements.shipped_units_of_line,
    -movements.moved_units as shipped_units,
    order_lines.ordered_units,
    movements.product_id,
    order_lines.product_id as ordered_product_id,
    movements.warehouse_id,
    order_lines.warehouse_id as ordered_warehouse_id,
    movements.moved_at,
    order_lines.ordered_at
from movements
left join {{ ref('accepted_order_lines') }} as order_lines
    on movements.order_line_id = order_lines.order_line_id
where
    (
        order_lines.order_line_id is null
        or movements.shipped_units_of_line > order_lines.ordered_units
        or movements.product_id <> order_lines.product_id
        or movements.warehouse_id <> order_lines.warehouse_id
        or movements.moved_at < order_lines.ordered_at
    )
    and not {{ is_explained('movements.moved_on', 'movements.warehouse_id') }}
order by movements.movement_id
