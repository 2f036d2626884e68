-- The lines of an order were placed together: one customer, one channel, one moment.
select
    order_id,
    count(*) as number_of_lines,
    count(distinct customer_id) as number_of_customers,
    count(distinct sales_channel) as number_of_channels,
    min(ordered_at) as first_ordered_at,
    max(ordered_at) as last_ordered_at
from {{ ref('stg_logistics__customer_orders') }}
group by order_id
having
    count(distinct customer_id) > 1
    or count(distinct sales_channel) > 1
    or min(ordered_at) <> max(ordered_at)
order by order_id
