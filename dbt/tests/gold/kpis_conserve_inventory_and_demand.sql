-- Every additive figure of a day and warehouse is the sum of silver's rows for it.
with inventory as (

    select
        date_day,
        warehouse_id,
        sum(closing_units) as on_hand_units,
        sum(inventory_value) as inventory_value
    from {{ ref('daily_inventory') }}
    group by date_day, warehouse_id

),

demand as (

    select
        date_day,
        warehouse_id,
        sum(ordered_units) as ordered_units,
        sum(filled_units) as filled_units,
        sum(filled_later_units) as filled_later_units,
        sum(backordered_units) as backordered_units,
        sum(lost_units) as lost_units,
        sum(shipped_units) as sold_units,
        sum(returned_units) as returned_units,
        sum(revenue) as revenue,
        sum(cost_of_goods_sold) as cost_of_goods_sold
    from {{ ref('daily_demand') }}
    group by date_day, warehouse_id

),

silver as (

    select
        inventory.date_day,
        inventory.warehouse_id,
        inventory.on_hand_units,
        inventory.inventory_value,
        demand.ordered_units,
        demand.filled_units,
        demand.filled_later_units,
        demand.backordered_units,
        demand.lost_units,
        demand.sold_units,
        demand.returned_units,
        demand.revenue,
        demand.cost_of_goods_sold
    from inventory
    full outer join demand
        on
            inventory.date_day = demand.date_day
            and inventory.warehouse_id = demand.warehouse_id

)

{%- set figures = [
    'on_hand_units', 'inventory_value', 'ordered_units', 'filled_units', 'filled_later_units', 'backordered_units',
    'lost_units', 'sold_units', 'returned_units', 'revenue', 'cost_of_goods_sold',
] %}

select
    coalesce(silver.date_day, kpis.date_day) as date_day,
    coalesce(silver.warehouse_id, kpis.warehouse_id) as warehouse_id,
    {%- for figure in figures %}
    silver.{{ figure }} as {{ figure }}_in,
    kpis.{{ figure }} as {{ figure }}_out{{ ',' if not loop.last }}
    {%- endfor %}
from silver
full outer join {{ ref('daily_kpis') }} as kpis
    on
        silver.date_day = kpis.date_day
        and silver.warehouse_id = kpis.warehouse_id
where
    silver.date_day is null
    or kpis.date_day is null
    {%- for figure in figures %}
    or silver.{{ figure }} <> kpis.{{ figure }}
    {%- endfor %}
order by date_day, warehouse_id
