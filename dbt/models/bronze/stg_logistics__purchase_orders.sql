with source as (

    select * from {{ ref('raw_purchase_orders') }}

),

final as (

    select
        cast(purchase_order_line_id as varchar) as purchase_order_line_id,
        cast(purchase_order_id as varchar) as purchase_order_id,
        cast(supplier_id as varchar) as supplier_id,
        cast(warehouse_id as varchar) as warehouse_id,
        cast(product_id as varchar) as product_id,
        cast(quantity_ordered as integer) as ordered_units,
        cast(unit_cost as numeric(12, 2)) as unit_cost,
        cast(ordered_on as date) as ordered_on,
        cast(promised_on as date) as promised_on
    from source

)

select * from final
