with recommendations as (

    select * from {{ ref('reorder_recommendations') }}

),

-- Spare is what is on hand, not owed to anyone, and above what an order would fill up to.
spares as (

    select
        product_id,
        warehouse_id,
        order_unit_cost,
        on_hand_units - backordered_units - order_up_to_units as units,
        sum(on_hand_units - backordered_units - order_up_to_units) over (
            partition by product_id
            order by on_hand_units - backordered_units - order_up_to_units desc, warehouse_id
            rows between unbounded preceding and current row
        ) as units_so_far
    from recommendations
    where on_hand_units - backordered_units > order_up_to_units

),

needs as (

    select
        product_id,
        warehouse_id,
        product_name,
        as_of,
        priority,
        suggested_units,
        order_up_to_units - position_units as units,
        sum(order_up_to_units - position_units) over (
            partition by product_id
            order by
                case priority when 'critical' then 1 when 'high' then 2 else 3 end,
                order_up_to_units - position_units desc,
                warehouse_id
            rows between unbounded preceding and current row
        ) as units_so_far
    from recommendations
    where suggested_units > 0

),

-- Spares and needs of a product, each laid end to end: where two overlap, that many units go from one to the other.
matched as (

    select
        needs.product_id,
        needs.product_name,
        needs.as_of,
        needs.priority,
        needs.suggested_units,
        spares.warehouse_id as from_warehouse_id,
        needs.warehouse_id as to_warehouse_id,
        spares.order_unit_cost,
        least(needs.units_so_far, spares.units_so_far)
        - greatest(needs.units_so_far - needs.units, spares.units_so_far - spares.units) as units
    from needs
    inner join spares
        on needs.product_id = spares.product_id

),

final as (

    select
        product_id,
        from_warehouse_id,
        to_warehouse_id,
        product_name,
        as_of,
        cast(units as bigint) as units,
        cast(units * order_unit_cost as numeric(18, 2)) as transfer_value,
        cast(suggested_units as bigint) as instead_of_order_units,
        cast(priority as varchar) as priority
    from matched
    where units > 0

)

-- ordered, so that two builds of the same inputs agree byte by byte and not only row by row
select * from final
order by product_id, from_warehouse_id, to_warehouse_id
