with daily_inventory as (

    select * from {{ ref('daily_inventory') }}

),

order_lines as (

    select * from {{ ref('accepted_order_lines') }}

),

movements as (

    select * from {{ ref('accepted_movements') }}

),

products as (

    select * from {{ ref('accepted_products') }}

),

-- a day without demand is a day of zero demand: without its row every mean and deviation would be too high
spine as (

    select
        date_day,
        product_id,
        warehouse_id
    from daily_inventory

),

-- the clock of this model is that of the spine, so that a cut-off counts the same for stock and for demand
clock as (

    select max(date_day) as as_of
    from spine

),

-- shipped and returned goods, at the price of their order line
line_movements as (

    select
        movements.moved_on,
        movements.product_id,
        movements.warehouse_id,
        movements.order_line_id,
        order_lines.ordered_on,
        case when movements.movement_type = 'shipment' then -movements.moved_units else 0 end as shipped_units,
        case when movements.movement_type = 'return' then movements.moved_units else 0 end as returned_units,
        -- at an unknown price if the line is missing: the units are known, their revenue is not
        -movements.moved_units * order_lines.unit_price as revenue,
        -movements.moved_units * products.unit_cost as cost_of_goods_sold
    from movements
    cross join clock
    left join order_lines
        on movements.order_line_id = order_lines.order_line_id
    left join products
        on movements.product_id = products.product_id
    where
        movements.movement_type in ('shipment', 'return')
        and movements.moved_on <= clock.as_of

),

filled_lines as (

    select
        order_line_id,
        sum(case when moved_on <= ordered_on then shipped_units else 0 end) as filled_units,
        sum(case when moved_on > ordered_on then shipped_units else 0 end) as filled_later_units
    from line_movements
    group by order_line_id

),

-- A line that waits for stock is open, not lost, until it has waited too long.
daily_orders as (

    select
        order_lines.ordered_on,
        order_lines.product_id,
        order_lines.warehouse_id,
        count(*) as order_lines,
        sum(order_lines.ordered_units) as ordered_units,
        sum(coalesce(filled_lines.filled_units, 0)) as filled_units,
        sum(coalesce(filled_lines.filled_later_units, 0)) as filled_later_units,
        sum(
            case
                when
                    order_lines.sales_channel in {{ backorder_channels() }}
                    and {{ dbt.dateadd('day', var('backorder_days') | int, 'order_lines.ordered_on') }} >= clock.as_of
                    then greatest(
                        order_lines.ordered_units
                        - coalesce(filled_lines.filled_units + filled_lines.filled_later_units, 0),
                        0
                    )
                else 0
            end
        ) as backordered_units
    from order_lines
    cross join clock
    left join filled_lines
        on order_lines.order_line_id = filled_lines.order_line_id
    group by order_lines.ordered_on, order_lines.product_id, order_lines.warehouse_id

),

daily_sales as (

    select
        moved_on,
        product_id,
        warehouse_id,
        sum(shipped_units) as shipped_units,
        sum(returned_units) as returned_units,
        sum(revenue) as revenue,
        sum(cost_of_goods_sold) as cost_of_goods_sold
    from line_movements
    group by moved_on, product_id, warehouse_id

),

final as (

    select
        spine.date_day,
        spine.product_id,
        spine.warehouse_id,
        cast(coalesce(daily_orders.order_lines, 0) as bigint) as order_lines,
        cast(coalesce(daily_orders.ordered_units, 0) as bigint) as ordered_units,
        cast(coalesce(daily_orders.filled_units, 0) as bigint) as filled_units,
        cast(coalesce(daily_orders.filled_later_units, 0) as bigint) as filled_later_units,
        cast(coalesce(daily_orders.backordered_units, 0) as bigint) as backordered_units,
        cast(
            coalesce(
                daily_orders.ordered_units - daily_orders.filled_units - daily_orders.filled_later_units
                - daily_orders.backordered_units,
                0
            ) as bigint
        ) as lost_units,
        cast(coalesce(daily_sales.shipped_units, 0) as bigint) as shipped_units,
        cast(coalesce(daily_sales.returned_units, 0) as bigint) as returned_units,
        cast(coalesce(daily_sales.revenue, 0) as numeric(18, 2)) as revenue,
        cast(coalesce(daily_sales.cost_of_goods_sold, 0) as numeric(18, 2)) as cost_of_goods_sold
    from spine
    left join daily_orders
        on
            spine.date_day = daily_orders.ordered_on
            and spine.product_id = daily_orders.product_id
            and spine.warehouse_id = daily_orders.warehouse_id
    left join daily_sales
        on
            spine.date_day = daily_sales.moved_on
            and spine.product_id = daily_sales.product_id
            and spine.warehouse_id = daily_sales.warehouse_id

)

select * from final
