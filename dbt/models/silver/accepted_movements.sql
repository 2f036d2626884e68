with movements as (

    select * from {{ ref('stg_logistics__inventory_movements') }}

),

suspicious_data as (

    select * from {{ ref('suspicious_data') }}

),

left_out_movements as (

    select row_key as movement_id
    from suspicious_data
    where
        source = 'movements'
        and handling = 'left out'

),

-- What was shipped for a repeated order line is as much a copy as the line.
left_out_lines as (

    select row_key as order_line_id
    from suspicious_data
    where
        source = 'orders'
        and handling = 'left out'

),

deliveries as (

    select
        row_key as purchase_order_line_id,
        expected_figure / figure as share
    from suspicious_data
    where handling = 'as ordered'

),

kept as (

    select
        movements.*,
        deliveries.share,
        {{ received_so_far('movements') }} as received_units
    from movements
    left join left_out_movements
        on movements.movement_id = left_out_movements.movement_id
    left join left_out_lines
        on movements.order_line_id = left_out_lines.order_line_id
    left join deliveries
        on movements.purchase_order_line_id = deliveries.purchase_order_line_id
    where
        left_out_movements.movement_id is null
        and left_out_lines.order_line_id is null

),

-- Each part of a delivery keeps its share; rounding the running sum keeps the sum of the parts.
counted as (

    select
        movement_id,
        product_id,
        warehouse_id,
        movement_type,
        cast(
            case
                when share is null then moved_units
                else round(received_units * share) - round((received_units - moved_units) * share)
            end as integer
        ) as moved_units,
        order_line_id,
        transfer_id,
        adjustment_reason,
        purchase_order_line_id,
        moved_at,
        moved_on
    from kept

),

final as (

    select *
    from counted
    where moved_units <> 0

)

select * from final
