{%- set supply_window -%}
    partition by inventory.warehouse_id
            order by inventory.date_day
            rows between {{ var('supply_window_days') | int - 1 }} preceding and current row
{%- endset -%}
{%- set turnover_window -%}
    partition by inventory.warehouse_id
            order by inventory.date_day
            rows between {{ var('turnover_window_days') | int - 1 }} preceding and current row
{%- endset -%}

with daily_inventory as (

    select * from {{ ref('daily_inventory') }}

),

daily_demand as (

    select * from {{ ref('daily_demand') }}

),

warehouses as (

    select * from {{ ref('stg_logistics__warehouses') }}

),

inventory as (

    select
        date_day,
        warehouse_id,
        count(*) as stocked_products,
        sum(case when is_stock_out then 1 else 0 end) as out_of_stock_products,
        sum(closing_units) as on_hand_units,
        sum(inventory_value) as inventory_value
    from daily_inventory
    group by date_day, warehouse_id

),

demand as (

    select
        date_day,
        warehouse_id,
        sum(order_lines) as order_lines,
        sum(ordered_units) as ordered_units,
        sum(filled_units) as filled_units,
        sum(filled_later_units) as filled_later_units,
        sum(backordered_units) as backordered_units,
        sum(lost_units) as lost_units,
        sum(shipped_units) as sold_units,
        sum(returned_units) as returned_units,
        sum(revenue) as revenue,
        sum(cost_of_goods_sold) as cost_of_goods_sold
    from daily_demand
    group by date_day, warehouse_id

),

-- every warehouse has a row a day from its first one, so rows of a window are days, and few at the very start
windowed as (

    select
        inventory.date_day,
        inventory.warehouse_id,
        inventory.stocked_products,
        inventory.out_of_stock_products,
        inventory.on_hand_units,
        inventory.inventory_value,
        demand.order_lines,
        demand.ordered_units,
        demand.filled_units,
        demand.filled_later_units,
        demand.backordered_units,
        demand.lost_units,
        demand.sold_units,
        demand.returned_units,
        demand.revenue,
        demand.cost_of_goods_sold,
        count(*) over (
            {{ supply_window }}
        ) as supply_window_days,
        sum(demand.ordered_units) over (
            {{ supply_window }}
        ) as supply_window_ordered_units,
        count(*) over (
            {{ turnover_window }}
        ) as turnover_window_days,
        sum(demand.cost_of_goods_sold) over (
            {{ turnover_window }}
        ) as turnover_window_cost_of_goods_sold,
        sum(inventory.inventory_value) over (
            {{ turnover_window }}
        ) as turnover_window_inventory_value
    from inventory
    left join demand
        on
            inventory.date_day = demand.date_day
            and inventory.warehouse_id = demand.warehouse_id

),

final as (

    select
        windowed.date_day,
        windowed.warehouse_id,
        cast(windowed.stocked_products as bigint) as stocked_products,
        cast(windowed.out_of_stock_products as bigint) as out_of_stock_products,
        {{ ratio('windowed.out_of_stock_products', 'windowed.stocked_products') }} as stock_out_rate,
        cast(windowed.on_hand_units as bigint) as on_hand_units,
        cast(windowed.inventory_value as numeric(18, 2)) as inventory_value,
        cast(warehouses.capacity_units as bigint) as capacity_units,
        {{ ratio('windowed.on_hand_units', 'warehouses.capacity_units') }} as capacity_utilization,
        cast(windowed.order_lines as bigint) as order_lines,
        cast(windowed.ordered_units as bigint) as ordered_units,
        cast(windowed.filled_units as bigint) as filled_units,
        cast(windowed.filled_later_units as bigint) as filled_later_units,
        cast(windowed.backordered_units as bigint) as backordered_units,
        cast(windowed.lost_units as bigint) as lost_units,
        {{ ratio('windowed.filled_units', 'windowed.ordered_units') }} as fill_rate,
        cast(windowed.sold_units as bigint) as sold_units,
        cast(windowed.returned_units as bigint) as returned_units,
        cast(windowed.revenue as numeric(18, 2)) as revenue,
        cast(windowed.cost_of_goods_sold as numeric(18, 2)) as cost_of_goods_sold,
        cast(windowed.supply_window_days as bigint) as supply_window_days,
        cast(windowed.supply_window_ordered_units as bigint) as supply_window_ordered_units,
        -- on hand over mean daily demand: the days of the window move up into the numerator
        {{ ratio(
            'windowed.on_hand_units * windowed.supply_window_days', 'windowed.supply_window_ordered_units', 2
        ) }} as days_of_supply,
        cast(windowed.turnover_window_days as bigint) as turnover_window_days,
        cast(windowed.turnover_window_cost_of_goods_sold as numeric(18, 2)) as turnover_window_cost_of_goods_sold,
        cast(windowed.turnover_window_inventory_value as numeric(18, 2)) as turnover_window_inventory_value,
        -- (cost / days x 365) over (sum of daily values / days): the days of the window cancel out
        {{ ratio(
            'windowed.turnover_window_cost_of_goods_sold * 365', 'windowed.turnover_window_inventory_value'
        ) }} as inventory_turnover
    from windowed
    left join warehouses
        on windowed.warehouse_id = warehouses.warehouse_id

)

-- ordered, so that two builds of the same inputs agree byte by byte and not only row by row
select * from final
order by date_day, warehouse_id
