with products as (

    select * from {{ ref('stg_logistics__products') }}

),

usual_costs as (

    select
        row_key as product_id,
        max(expected_figure) as unit_cost
    from {{ ref('suspicious_data') }}
    where
        source = 'products'
        and handling = 'usual cost'
    group by row_key

),

final as (

    select
        products.product_id,
        products.product_name,
        products.product_category,
        products.supplier_id,
        cast(coalesce(usual_costs.unit_cost, products.unit_cost) as numeric(12, 2)) as unit_cost,
        products.list_price,
        products.pack_size_units,
        products.launched_on
    from products
    left join usual_costs
        on products.product_id = usual_costs.product_id

)

select * from final
