with source as (

    select * from {{ ref('raw_products') }}

),

final as (

    select
        cast(product_id as varchar) as product_id,
        cast(product_name as varchar) as product_name,
        cast(category as varchar) as product_category,
        cast(supplier_id as varchar) as supplier_id,
        cast(unit_cost as numeric(12, 2)) as unit_cost,
        cast(unit_price as numeric(12, 2)) as list_price,
        cast(pack_size as integer) as pack_size_units,
        cast(launched_on as date) as launched_on
    from source

)

select * from final
