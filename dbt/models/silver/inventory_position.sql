{%- set by_day = 'partition by product_id, warehouse_id order by date_day' -%}
{%- set so_far = by_day ~ ' rows between unbounded preceding and current row' -%}

with daily_inventory as (

    select * from {{ ref('daily_inventory') }}

),

purchase_orders as (

    select * from {{ ref('accepted_purchase_orders') }}

),

order_lines as (

    select * from {{ ref('accepted_order_lines') }}

),

movements as (

    select * from {{ ref('accepted_movements') }}

),

-- 36,525 days are a century
numbers as (

    {{ dbt.generate_series(36525) }}

),

-- A delivery above what the line ordered takes no other line off order.
receipts as (

    select
        movements.moved_on,
        movements.product_id,
        movements.warehouse_id,
        movements.moved_units,
        purchase_orders.ordered_units,
        {{ received_so_far('movements') }} as received_units
    from movements
    inner join purchase_orders
        on movements.purchase_order_line_id = purchase_orders.purchase_order_line_id

),

transfer_arrivals as (

    select
        transfer_id,
        max(case when movement_type = 'transfer_in' then warehouse_id end) as warehouse_id
    from movements
    where transfer_id is not null
    group by transfer_id
    having
        count(case when movement_type = 'transfer_in' then 1 end) > 0
        and count(case when movement_type = 'transfer_out' then 1 end) > 0

),

backorder_lines as (

    select
        order_line_id,
        product_id,
        warehouse_id,
        ordered_on,
        ordered_units,
        cast({{ dbt.dateadd('day', var('backorder_days') | int + 1, 'ordered_on') }} as date) as given_up_on
    from order_lines
    where sales_channel in {{ backorder_channels() }}

),

line_shipments as (

    select
        order_line_id,
        moved_on,
        -sum(moved_units) as shipped_units
    from movements
    where movement_type = 'shipment'
    group by order_line_id, moved_on

),

waiting as (

    select
        backorder_lines.order_line_id,
        backorder_lines.product_id,
        backorder_lines.warehouse_id,
        backorder_lines.given_up_on,
        backorder_lines.ordered_units - sum(coalesce(line_shipments.shipped_units, 0)) as unshipped_units
    from backorder_lines
    left join line_shipments
        on
            backorder_lines.order_line_id = line_shipments.order_line_id
            and backorder_lines.given_up_on > line_shipments.moved_on
    group by
        backorder_lines.order_line_id, backorder_lines.product_id, backorder_lines.warehouse_id,
        backorder_lines.given_up_on, backorder_lines.ordered_units

),

-- What changes the three figures beside stock on hand, and when.
events as (

    select
        ordered_on as date_day,
        product_id,
        warehouse_id,
        ordered_units as on_order_units,
        0 as in_transit_units,
        0 as backordered_units
    from purchase_orders
    union all
    select
        moved_on as date_day,
        product_id,
        warehouse_id,
        -greatest(least(moved_units, ordered_units - (received_units - moved_units)), 0) as on_order_units,
        0 as in_transit_units,
        0 as backordered_units
    from receipts
    union all
    select
        movements.moved_on as date_day,
        movements.product_id,
        transfer_arrivals.warehouse_id,
        0 as on_order_units,
        -movements.moved_units as in_transit_units,
        0 as backordered_units
    from movements
    inner join transfer_arrivals
        on movements.transfer_id = transfer_arrivals.transfer_id
    union all
    select
        ordered_on as date_day,
        product_id,
        warehouse_id,
        0 as on_order_units,
        0 as in_transit_units,
        ordered_units as backordered_units
    from backorder_lines
    union all
    select
        line_shipments.moved_on as date_day,
        backorder_lines.product_id,
        backorder_lines.warehouse_id,
        0 as on_order_units,
        0 as in_transit_units,
        -line_shipments.shipped_units as backordered_units
    from line_shipments
    inner join backorder_lines
        on
            line_shipments.order_line_id = backorder_lines.order_line_id
            and line_shipments.moved_on < backorder_lines.given_up_on
    union all
    select
        given_up_on as date_day,
        product_id,
        warehouse_id,
        0 as on_order_units,
        0 as in_transit_units,
        -unshipped_units as backordered_units
    from waiting
    where unshipped_units > 0

),

first_days as (

    select
        product_id,
        warehouse_id,
        min(date_day) as first_day,
        max(date_day) as last_day
    from daily_inventory
    group by product_id, warehouse_id

),

-- A product ordered for a warehouse that has not had it yet has no row of stock: its first row takes these events.
daily_events as (

    select
        events.product_id,
        events.warehouse_id,
        first_days.last_day,
        greatest(events.date_day, first_days.first_day) as date_day,
        sum(events.on_order_units) as on_order_units,
        sum(events.in_transit_units) as in_transit_units,
        sum(events.backordered_units) as backordered_units
    from events
    inner join first_days
        on
            events.product_id = first_days.product_id
            and events.warehouse_id = first_days.warehouse_id
    group by
        events.product_id, events.warehouse_id, first_days.last_day, greatest(events.date_day, first_days.first_day)

),

-- None is ever below zero in sound data; where rows are missing or in quarantine, none is made less than nothing.
balances as (

    select
        product_id,
        warehouse_id,
        date_day,
        {%- for column in ['on_order_units', 'in_transit_units', 'backordered_units'] %}
        greatest(sum({{ column }}) over ({{ so_far }}), 0) as {{ column }},
        {%- endfor %}
        coalesce(
            {{ dbt.datediff('date_day', 'lead(date_day) over (' ~ by_day ~ ')', 'day') }},
            {{ dbt.datediff('date_day', 'last_day', 'day') }} + 1
        ) as held_days
    from daily_events

),

-- One row for each day that a balance is held, which is faster than a running sum over every day.
held as (

    select
        balances.*,
        cast({{ dbt.dateadd('day', 'numbers.generated_number - 1', 'balances.date_day') }} as date) as held_on
    from balances
    inner join numbers
        on balances.held_days >= numbers.generated_number

),

carried as (

    select
        daily_inventory.date_day,
        daily_inventory.product_id,
        daily_inventory.warehouse_id,
        daily_inventory.closing_units as on_hand_units,
        {%- for column in ['on_order_units', 'in_transit_units', 'backordered_units'] %}
        cast(coalesce(held.{{ column }}, 0) as bigint) as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from daily_inventory
    left join held
        on
            daily_inventory.date_day = held.held_on
            and daily_inventory.product_id = held.product_id
            and daily_inventory.warehouse_id = held.warehouse_id

),

final as (

    select
        date_day,
        product_id,
        warehouse_id,
        on_hand_units,
        on_order_units,
        in_transit_units,
        backordered_units,
        on_hand_units + on_order_units + in_transit_units - backordered_units as position_units
    from carried

)

select * from final
