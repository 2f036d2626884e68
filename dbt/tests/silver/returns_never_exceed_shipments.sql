-- Only what a line shipped can come back, of the product it shipped and not before, to any warehouse. Missing or
-- suspicious data may explain a return without its shipment.
with movements as (

    select * from {{ ref('accepted_movements') }}

),

returned as (

    select
        order_line_id,
        product_id,
        sum(moved_units) as returned_units,
        min(moved_at) as first_returned_at,
        min(movement_id) as first_movement_id
    from movements
    where movement_type = 'return'
    group by order_line_id, product_id

),

shipped as (

    select
        order_line_id,
        product_id,
        -sum(moved_units) as shipped_units,
        min(moved_at) as shipped_at
    from movements
    where movement_type = 'shipment'
    group by order_line_id, product_id

)

select
    returned.order_line_id,
    returned.first_movement_id,
    returned.product_id,
    returned.returned_units,
    shipped.shipped_units,
    returned.first_returned_at,
    shipped.shipped_at
from returned
left join shipped
    on
        returned.order_line_id = shipped.order_line_id
        and returned.product_id = shipped.product_id
where
    (
        shipped.order_line_id is null
        or returned.returned_units > shipped.shipped_units
        or returned.first_returned_at < shipped.shipped_at
    )
    and not {{ is_explained('cast(returned.first_returned_at as date)') }}
order by returned.order_line_id
