with source as (

    select * from {{ ref('raw_supplier_closures') }}

),

final as (

    select
        cast(supplier_id as varchar) as supplier_id,
        cast(closed_from as date) as closed_from,
        cast(closed_until as date) as closed_until
    from source

)

select * from final
