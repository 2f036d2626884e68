-- Order lines and ordered units are those that were accepted, for every product and warehouse.
with daily as (

    select
        product_id,
        warehouse_id,
        sum(order_lines) as order_lines,
        sum(ordered_units) as ordered_units,
        max(date_day) as last_day
    from {{ ref('daily_demand') }}
    group by product_id, warehouse_id

),

clock as (

    select max(last_day) as last_day
    from daily

),

orders as (

    select
        accepted.product_id,
        accepted.warehouse_id,
        count(*) as order_lines,
        sum(accepted.ordered_units) as ordered_units
    from {{ ref('accepted_order_lines') }} as accepted
    cross join clock
    where clock.last_day is null or accepted.ordered_on <= clock.last_day
    group by accepted.product_id, accepted.warehouse_id

)

select
    coalesce(orders.product_id, daily.product_id) as product_id,
    coalesce(orders.warehouse_id, daily.warehouse_id) as warehouse_id,
    orders.order_lines as order_lines_in,
    daily.order_lines as order_lines_out,
    orders.ordered_units as ordered_units_in,
    daily.ordered_units as ordered_units_out
from orders
full outer join daily
    on
        orders.product_id = daily.product_id
        and orders.warehouse_id = daily.warehouse_id
where
    coalesce(orders.order_lines, 0) <> coalesce(daily.order_lines, 0)
    or coalesce(orders.ordered_units, 0) <> coalesce(daily.ordered_units, 0)
order by product_id, warehouse_id
