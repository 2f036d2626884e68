-- The lines of an order have one customer and one channel. A line may be added later.
select
    order_id,
    count(*) as number_of_lines,
    min(customer_id) as first_customer_id,
    max(customer_id) as last_customer_id,
    min(sales_channel) as first_sales_channel,
    max(sales_channel) as last_sales_channel
from {{ ref('stg_logistics__customer_orders') }}
group by order_id
having
    min(customer_id) <> max(customer_id)
    or min(sales_channel) <> max(sales_channel)
order by order_id
