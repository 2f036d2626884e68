with order_lines as (

    select * from {{ ref('stg_logistics__customer_orders') }}

),

movements as (

    select * from {{ ref('accepted_movements') }}

),

products as (

    select * from {{ ref('stg_logistics__products') }}

),

suspicious_data as (

    select * from {{ ref('suspicious_data') }}
    where source = 'orders'

),

line_findings as (

    select
        row_key as order_line_id,
        max(case when handling = 'left out' then 1 else 0 end) as is_left_out,
        max(case when handling = 'as shipped' then 1 else 0 end) as is_as_shipped,
        max(case when handling = 'list price' then 1 else 0 end) as is_at_list_price
    from suspicious_data
    group by row_key

),

doubtful_days as (

    select distinct
        row_key as warehouse_id,
        date_day
    from suspicious_data
    where
        reason in ('volume above usual', 'level above usual')
        and handling = 'as shipped'

),

shipped as (

    select
        order_line_id,
        -sum(moved_units) as shipped_units
    from movements
    where movement_type = 'shipment'
    group by order_line_id

),

examined as (

    select
        order_lines.*,
        products.list_price,
        coalesce(shipped.shipped_units, 0) as shipped_units,
        coalesce(line_findings.is_left_out, 0) as is_left_out,
        coalesce(line_findings.is_at_list_price, 0) as is_at_list_price,
        case
            when
                line_findings.is_as_shipped = 1
                or doubtful_days.date_day is not null
                or all_doubtful_days.date_day is not null
                then 1
            else 0
        end as is_as_shipped
    from order_lines
    inner join products
        on order_lines.product_id = products.product_id
    left join line_findings
        on order_lines.order_line_id = line_findings.order_line_id
    left join doubtful_days
        on
            order_lines.ordered_on = doubtful_days.date_day
            and order_lines.warehouse_id = doubtful_days.warehouse_id
    left join doubtful_days as all_doubtful_days
        on
            order_lines.ordered_on = all_doubtful_days.date_day
            and all_doubtful_days.warehouse_id = 'all'
    left join shipped
        on order_lines.order_line_id = shipped.order_line_id

),

-- What a channel pays of the list price.
channel_prices as (

    select
        sales_channel,
        avg(cast(unit_price as double) / list_price) as price_share
    from examined
    where
        is_at_list_price = 0
        and unit_price > 0
    group by sales_channel

),

counted as (

    select
        examined.order_line_id,
        examined.order_id,
        examined.customer_id,
        examined.product_id,
        examined.warehouse_id,
        examined.sales_channel,
        examined.promotion_code,
        cast(
            case when examined.is_as_shipped = 1 then examined.shipped_units else examined.ordered_units end as integer
        ) as ordered_units,
        cast(
            case
                when examined.is_at_list_price = 1
                    then round(examined.list_price * coalesce(channel_prices.price_share, 1), 2)
                else examined.unit_price
            end as numeric(12, 2)
        ) as unit_price,
        examined.ordered_at,
        examined.ordered_on
    from examined
    left join channel_prices
        on examined.sales_channel = channel_prices.sales_channel
    where examined.is_left_out = 0

),

final as (

    select *
    from counted
    where ordered_units > 0

)

select * from final
