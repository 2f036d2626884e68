-- Turnover and days of supply of the last day, reckoned the long way round from silver: mean inventory value and
-- annualised cost of goods sold over the days of the window, then their ratio.
with clock as (

    select max(date_day) as as_of
    from {{ ref('daily_inventory') }}

),

{%- for name, days in [('turnover', var('turnover_window_days')), ('supply', var('supply_window_days'))] %}

{{ name }}_values as (

    select
        inventory.warehouse_id,
        count(distinct inventory.date_day) as number_of_days,
        sum(inventory.inventory_value) as inventory_value,
        sum(demand.cost_of_goods_sold) as cost_of_goods_sold,
        sum(demand.ordered_units) as ordered_units
    from {{ ref('daily_inventory') }} as inventory
    cross join clock
    left join {{ ref('daily_demand') }} as demand
        on
            inventory.date_day = demand.date_day
            and inventory.product_id = demand.product_id
            and inventory.warehouse_id = demand.warehouse_id
    where inventory.date_day > {{ dbt.dateadd('day', -(days | int), 'clock.as_of') }}
    group by inventory.warehouse_id

),
{%- endfor %}

expected as (

    select
        turnover_values.warehouse_id,
        (cast(turnover_values.cost_of_goods_sold as double) / turnover_values.number_of_days * 365)
        / nullif(cast(turnover_values.inventory_value as double) / turnover_values.number_of_days, 0)
            as inventory_turnover,
        cast(supply_values.ordered_units as double) / supply_values.number_of_days as mean_daily_demand_units
    from turnover_values
    inner join supply_values
        on turnover_values.warehouse_id = supply_values.warehouse_id

)

select
    kpis.date_day,
    kpis.warehouse_id,
    expected.inventory_turnover as expected_inventory_turnover,
    kpis.inventory_turnover,
    kpis.on_hand_units / nullif(expected.mean_daily_demand_units, 0) as expected_days_of_supply,
    kpis.days_of_supply
from {{ ref('daily_kpis') }} as kpis
inner join clock
    on kpis.date_day = clock.as_of
left join expected
    on kpis.warehouse_id = expected.warehouse_id
where
    expected.warehouse_id is null
    or abs(coalesce(kpis.inventory_turnover, -1) - coalesce(expected.inventory_turnover, -1)) > 0.0001
    or abs(
        coalesce(kpis.days_of_supply, -1)
        - coalesce(kpis.on_hand_units / nullif(expected.mean_daily_demand_units, 0), -1)
    ) > 0.01
order by kpis.warehouse_id
