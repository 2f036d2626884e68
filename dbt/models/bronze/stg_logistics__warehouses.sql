with source as (

    select * from {{ ref('raw_warehouses') }}

),

final as (

    select
        cast(warehouse_id as varchar) as warehouse_id,
        cast(warehouse_name as varchar) as warehouse_name,
        cast(city as varchar) as warehouse_city,
        cast(country_code as varchar) as warehouse_country_code,
        cast(capacity_units as integer) as capacity_units
    from source

)

select * from final
