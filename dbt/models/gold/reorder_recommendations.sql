with daily_inventory as (

    select * from {{ ref('daily_inventory') }}

),

daily_demand as (

    select * from {{ ref('daily_demand') }}

),

products as (

    select * from {{ ref('stg_logistics__products') }}

),

suppliers as (

    select * from {{ ref('stg_logistics__suppliers') }}

),

clock as (

    select max(date_day) as as_of
    from daily_inventory

),

on_hand as (

    select
        daily_inventory.product_id,
        daily_inventory.warehouse_id,
        daily_inventory.closing_units,
        clock.as_of
    from daily_inventory
    inner join clock
        on daily_inventory.date_day = clock.as_of

),

-- Demand is what was ordered, not what was shipped: shipments are cut off by stock-outs, and a reorder point made
-- from them would repeat the stock-out. Sums of integers, so that no order of addition changes a digit.
demand_sums as (

    select
        daily_demand.product_id,
        daily_demand.warehouse_id,
        cast(count(*) as bigint) as demand_days,
        cast(sum(daily_demand.ordered_units) as bigint) as ordered_units,
        cast(sum(daily_demand.ordered_units * daily_demand.ordered_units) as bigint) as squared_units
    from daily_demand
    cross join clock
    where daily_demand.date_day > {{ dbt.dateadd('day', -(var('demand_window_days') | int), 'clock.as_of') }}
    group by daily_demand.product_id, daily_demand.warehouse_id

),

-- One day has no deviation: it stays null, and so does all that follows from it.
demand_statistics as (

    select
        product_id,
        warehouse_id,
        demand_days,
        cast(ordered_units as double) / demand_days as mean_units,
        sqrt(
            cast(demand_days * squared_units - ordered_units * ordered_units as double)
            / nullif(demand_days * (demand_days - 1), 0)
        ) as stddev_units
    from demand_sums

),

-- rounded here once: what is shown is what the next step reckons with, so a reader can check each figure
planned as (

    select
        on_hand.product_id,
        on_hand.warehouse_id,
        on_hand.as_of,
        on_hand.closing_units,
        products.product_name,
        products.supplier_id,
        products.pack_size_units,
        products.unit_cost,
        suppliers.lead_time_days,
        suppliers.lead_time_stddev_days,
        demand_statistics.demand_days,
        demand_statistics.mean_units,
        demand_statistics.stddev_units,
        cast(round(demand_statistics.mean_units * suppliers.lead_time_days, 4) as numeric(18, 4))
            as lead_time_demand_units,
        cast(
            round(
                {{ z_score(var('service_level')) }} * sqrt(
                    suppliers.lead_time_days * demand_statistics.stddev_units * demand_statistics.stddev_units
                    {%- if var('lead_time_variance') %}
                    + demand_statistics.mean_units * demand_statistics.mean_units
                    * cast(suppliers.lead_time_stddev_days as double) * cast(suppliers.lead_time_stddev_days as double)
                    {%- endif %}
                ),
                4
            ) as numeric(18, 4)
        ) as safety_stock_units,
        cast(ceil(round(demand_statistics.mean_units * {{ var('order_cycle_days') }}, 4)) as bigint)
            as order_cycle_demand_units
    from on_hand
    inner join products
        on on_hand.product_id = products.product_id
    inner join suppliers
        on products.supplier_id = suppliers.supplier_id
    left join demand_statistics
        on
            on_hand.product_id = demand_statistics.product_id
            and on_hand.warehouse_id = demand_statistics.warehouse_id

),

reorder_points as (

    select
        *,
        cast(ceil(lead_time_demand_units + safety_stock_units) as bigint) as reorder_point_units
    from planned

),

-- no demand, no reorder: an empty shelf of what nobody wants is not urgent
decided as (

    select
        *,
        reorder_point_units + order_cycle_demand_units as order_up_to_units,
        case
            when reorder_point_units is null then 'unknown'
            when mean_units = 0 or closing_units > reorder_point_units then 'none'
            when closing_units <= 0 then 'critical'
            when closing_units < lead_time_demand_units then 'high'
            else 'normal'
        end as priority
    from reorder_points

),

suggested as (

    select
        *,
        case
            when priority = 'unknown' then null
            when priority = 'none' then 0
            else
                cast(ceil(cast(order_up_to_units - closing_units as double) / pack_size_units) as bigint)
                * pack_size_units
        end as suggested_units
    from decided

),

final as (

    select
        product_id,
        warehouse_id,
        product_name,
        supplier_id,
        as_of,
        closing_units as on_hand_units,
        cast(demand_days as bigint) as demand_days,
        cast(round(mean_units, 4) as numeric(18, 4)) as mean_daily_demand_units,
        cast(round(stddev_units, 4) as numeric(18, 4)) as stddev_daily_demand_units,
        {{ ratio('closing_units', 'mean_units', 2) }} as days_of_cover,
        lead_time_days,
        lead_time_stddev_days,
        cast({{ var('service_level') }} as numeric(9, 7)) as service_level,
        cast({{ z_score(var('service_level')) }} as numeric(9, 6)) as z_score,
        lead_time_demand_units,
        safety_stock_units,
        reorder_point_units,
        cast(order_up_to_units as bigint) as order_up_to_units,
        pack_size_units,
        cast(suggested_units as bigint) as suggested_units,
        cast(cast(suggested_units as bigint) * unit_cost as numeric(18, 2)) as suggested_value,
        cast(priority as varchar) as priority
    from suggested

)

-- ordered, so that two builds of the same inputs agree byte by byte and not only row by row
select * from final
order by product_id, warehouse_id
