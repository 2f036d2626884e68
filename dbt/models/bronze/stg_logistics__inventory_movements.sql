with source as (

    select * from {{ ref('raw_inventory_movements') }}

),

final as (

    select
        cast(movement_id as varchar) as movement_id,
        cast(product_id as varchar) as product_id,
        cast(warehouse_id as varchar) as warehouse_id,
        cast(movement_type as varchar) as movement_type,
        cast(quantity as integer) as moved_units,
        cast(order_line_id as varchar) as order_line_id,
        cast(transfer_id as varchar) as transfer_id,
        cast(reason as varchar) as adjustment_reason,
        cast(purchase_order_line_id as varchar) as purchase_order_line_id,
        cast(moved_at as timestamp without time zone) as moved_at,
        cast(moved_at as date) as moved_on
    from source

)

select * from final
