with purchase_orders as (

    select * from {{ ref('stg_logistics__purchase_orders') }}

),

line_findings as (

    select
        row_key as purchase_order_line_id,
        max(case when handling = 'left out' then 1 else 0 end) as is_left_out,
        max(case when handling = 'usual units' then expected_figure end) as usual_units,
        max(case when handling = 'usual cost' then expected_figure end) as usual_cost
    from {{ ref('suspicious_data') }}
    where source = 'purchase orders'
    group by row_key

),

final as (

    select
        purchase_orders.purchase_order_line_id,
        purchase_orders.purchase_order_id,
        purchase_orders.supplier_id,
        purchase_orders.warehouse_id,
        purchase_orders.product_id,
        cast(
            case
                when line_findings.usual_units is null then purchase_orders.ordered_units
                else greatest(round(line_findings.usual_units), 1)
            end as integer
        ) as ordered_units,
        cast(coalesce(line_findings.usual_cost, purchase_orders.unit_cost) as numeric(12, 2)) as unit_cost,
        purchase_orders.ordered_on,
        purchase_orders.promised_on
    from purchase_orders
    left join line_findings
        on purchase_orders.purchase_order_line_id = line_findings.purchase_order_line_id
    where coalesce(line_findings.is_left_out, 0) = 0

)

select * from final
