with source as (

    select * from {{ ref('raw_suppliers') }}

),

final as (

    select
        cast(supplier_id as varchar) as supplier_id,
        cast(supplier_name as varchar) as supplier_name,
        cast(country_code as varchar) as supplier_country_code,
        cast(lead_time_days as integer) as lead_time_days,
        cast(lead_time_stddev_days as numeric(8, 2)) as lead_time_stddev_days
    from source

)

select * from final
