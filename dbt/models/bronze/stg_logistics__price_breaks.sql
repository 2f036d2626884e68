with source as (

    select * from {{ ref('raw_price_breaks') }}

),

final as (

    select
        cast(product_id as varchar) as product_id,
        cast(supplier_id as varchar) as supplier_id,
        cast(minimum_quantity as integer) as minimum_units,
        cast(unit_cost as numeric(12, 2)) as unit_cost
    from source

)

select * from final
