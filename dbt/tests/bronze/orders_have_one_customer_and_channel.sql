-- The lines of an order were placed together: one customer, one channel, one moment.
select
    order_id,
    count(*) as number_of_lines,
    min(customer_id) as first_customer_id,
    max(customer_id) as last_customer_id,
    min(sales_channel) as first_sales_channel,
    max(sales_channel) as last_sales_channel,
    min(ordered_at) as first_ordered_at,
    max(ordered_at) as last_ordered_at
from {{ ref('stg_logistics__customer_orders') }}
group by order_id
having
    min(customer_id) <> max(customer_id)
    or min(sales_channel) <> max(sales_channel)
    or min(ordered_at) <> max(ordered_at)
order by order_id
