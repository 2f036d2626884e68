-- Units of each kind of movement are those that were accepted, for every product and warehouse.
with daily as (

    select
        product_id,
        warehouse_id,
        sum(received_units) as received_units,
        sum(returned_units) as returned_units,
        sum(transferred_in_units) as transferred_in_units,
        sum(shipped_units) as shipped_units,
        sum(transferred_out_units) as transferred_out_units,
        sum(adjusted_units) as adjusted_units,
        max(date_day) as last_day
    from {{ ref('daily_inventory') }}
    group by product_id, warehouse_id

),

clock as (

    select max(last_day) as last_day
    from daily

),

movements as (

    select
        moved.product_id,
        moved.warehouse_id,
        sum(case when moved.movement_type = 'receipt' then moved.moved_units else 0 end) as received_units,
        sum(case when moved.movement_type = 'return' then moved.moved_units else 0 end) as returned_units,
        sum(case when moved.movement_type = 'transfer_in' then moved.moved_units else 0 end) as transferred_in_units,
        -sum(case when moved.movement_type = 'shipment' then moved.moved_units else 0 end) as shipped_units,
        -sum(case when moved.movement_type = 'transfer_out' then moved.moved_units else 0 end)
            as transferred_out_units,
        sum(case when moved.movement_type = 'adjustment' then moved.moved_units else 0 end) as adjusted_units
    from {{ ref('accepted_movements') }} as moved
    cross join clock
    where clock.last_day is null or moved.moved_on <= clock.last_day
    group by moved.product_id, moved.warehouse_id

)

select
    coalesce(movements.product_id, daily.product_id) as product_id,
    coalesce(movements.warehouse_id, daily.warehouse_id) as warehouse_id,
    {%- for kind in ['received', 'returned', 'transferred_in', 'shipped', 'transferred_out', 'adjusted'] %}
    movements.{{ kind }}_units as {{ kind }}_units_in,
    daily.{{ kind }}_units as {{ kind }}_units_out{{ ',' if not loop.last }}
    {%- endfor %}
from movements
full outer join daily
    on
        movements.product_id = daily.product_id
        and movements.warehouse_id = daily.warehouse_id
where
    false
    {%- for kind in ['received', 'returned', 'transferred_in', 'shipped', 'transferred_out', 'adjusted'] %}
    or coalesce(movements.{{ kind }}_units, 0) <> coalesce(daily.{{ kind }}_units, 0)
    {%- endfor %}
order by product_id, warehouse_id
