-- Revenue and cost of goods sold are those of the accepted shipments and returns, for every product, and all that
-- shipped fills an order of some day.
with daily as (

    select
        product_id,
        sum(filled_units + filled_later_units) as filled_units,
        sum(shipped_units) as shipped_units,
        sum(revenue) as revenue,
        sum(cost_of_goods_sold) as cost_of_goods_sold,
        max(date_day) as last_day
    from {{ ref('daily_demand') }}
    group by product_id

),

clock as (

    select max(last_day) as last_day
    from daily

),

sales as (

    select
        movements.product_id,
        sum(case when movements.movement_type = 'shipment' then -movements.moved_units else 0 end) as shipped_units,
        sum(
            case
                when movements.movement_type = 'shipment' and order_lines.order_line_id is not null
                    then -movements.moved_units
                else 0
            end
        ) as filled_units,
        sum(-movements.moved_units * order_lines.unit_price) as revenue,
        sum(-movements.moved_units * products.unit_cost) as cost_of_goods_sold
    from {{ ref('accepted_movements') }} as movements
    cross join clock
    left join {{ ref('accepted_order_lines') }} as order_lines
        on movements.order_line_id = order_lines.order_line_id
    inner join {{ ref('accepted_products') }} as products
        on movements.product_id = products.product_id
    where
        movements.movement_type in ('shipment', 'return')
        and (clock.last_day is null or movements.moved_on <= clock.last_day)
    group by movements.product_id

)

select
    coalesce(sales.product_id, daily.product_id) as product_id,
    sales.shipped_units as shipped_units_in,
    daily.shipped_units as shipped_units_out,
    sales.filled_units as filled_units_in,
    daily.filled_units as filled_units_out,
    sales.revenue as revenue_in,
    daily.revenue as revenue_out,
    sales.cost_of_goods_sold as cost_of_goods_sold_in,
    daily.cost_of_goods_sold as cost_of_goods_sold_out
from sales
full outer join daily
    on sales.product_id = daily.product_id
where
    coalesce(sales.shipped_units, 0) <> coalesce(daily.shipped_units, 0)
    or coalesce(sales.filled_units, 0) <> coalesce(daily.filled_units, 0)
    or coalesce(sales.revenue, 0) <> coalesce(daily.revenue, 0)
    or coalesce(sales.cost_of_goods_sold, 0) <> coalesce(daily.cost_of_goods_sold, 0)
order by product_id
