-- The value of stock is its units at the product's cost, on every row.
select
    daily_inventory.date_day,
    daily_inventory.product_id,
    daily_inventory.warehouse_id,
    daily_inventory.closing_units,
    products.unit_cost,
    daily_inventory.inventory_value
from {{ ref('daily_inventory') }} as daily_inventory
left join {{ ref('accepted_products') }} as products
    on daily_inventory.product_id = products.product_id
where
    products.product_id is null
    or daily_inventory.inventory_value <> daily_inventory.closing_units * products.unit_cost
order by daily_inventory.date_day, daily_inventory.product_id, daily_inventory.warehouse_id
