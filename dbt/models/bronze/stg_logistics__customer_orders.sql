with source as (

    select * from {{ ref('raw_customer_orders') }}

),

final as (

    select
        cast(order_line_id as varchar) as order_line_id,
        cast(order_id as varchar) as order_id,
        cast(customer_id as varchar) as customer_id,
        cast(product_id as varchar) as product_id,
        cast(warehouse_id as varchar) as warehouse_id,
        cast(channel as varchar) as sales_channel,
        cast(promotion_code as varchar) as promotion_code,
        cast(quantity_ordered as integer) as ordered_units,
        cast(unit_price as numeric(12, 2)) as unit_price,
        cast(ordered_at as timestamp without time zone) as ordered_at,
        cast(ordered_at as date) as ordered_on
    from source

)

select * from final
