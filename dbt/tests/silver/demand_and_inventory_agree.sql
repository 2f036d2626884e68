-- Both silver facts have the same days, products and warehouses, and the same units shipped and returned on each.
select
    coalesce(daily_inventory.date_day, daily_demand.date_day) as date_day,
    coalesce(daily_inventory.product_id, daily_demand.product_id) as product_id,
    coalesce(daily_inventory.warehouse_id, daily_demand.warehouse_id) as warehouse_id,
    daily_inventory.shipped_units as inventory_shipped_units,
    daily_demand.shipped_units as demand_shipped_units,
    daily_inventory.returned_units as inventory_returned_units,
    daily_demand.returned_units as demand_returned_units
from {{ ref('daily_inventory') }} as daily_inventory
full outer join {{ ref('daily_demand') }} as daily_demand
    on
        daily_inventory.date_day = daily_demand.date_day
        and daily_inventory.product_id = daily_demand.product_id
        and daily_inventory.warehouse_id = daily_demand.warehouse_id
where
    daily_inventory.date_day is null
    or daily_demand.date_day is null
    or daily_inventory.shipped_units <> daily_demand.shipped_units
    or daily_inventory.returned_units <> daily_demand.returned_units
order by date_day, product_id, warehouse_id
