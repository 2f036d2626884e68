with movements as (

    select * from {{ ref('accepted_movements') }}

),

order_lines as (

    select * from {{ ref('accepted_order_lines') }}

),

products as (

    select * from {{ ref('accepted_products') }}

),

-- 36,525 days are a century; a test of this model finds a balance that is held for longer
numbers as (

    {{ dbt.generate_series(36525) }}

),

-- An order is activity that moves nothing: a product that a warehouse was asked for and never held is a stock-out,
-- not a row to lose.
activity as (

    select
        product_id,
        warehouse_id,
        moved_on as active_on,
        movement_type,
        moved_units
    from movements
    union all
    select
        product_id,
        warehouse_id,
        min(ordered_on) as active_on,
        'order' as movement_type,
        0 as moved_units
    from order_lines
    group by product_id, warehouse_id

),

last_days as (

    select max(moved_on) as last_day
    from movements
    union all
    select max(ordered_on) as last_day
    from order_lines

),

clock as (

    select {{ as_of_date('last_day') }} as last_day
    from last_days

),

active_days as (

    select
        activity.product_id,
        activity.warehouse_id,
        activity.active_on,
        clock.last_day,
        cast(sum(activity.moved_units) as bigint) as net_units,
        {%- for movement_type, column, sign in [
            ('receipt', 'received_units', ''),
            ('return', 'returned_units', ''),
            ('transfer_in', 'transferred_in_units', ''),
            ('shipment', 'shipped_units', '-'),
            ('transfer_out', 'transferred_out_units', '-'),
            ('adjustment', 'adjusted_units', ''),
        ] %}
        cast(
            sum(case when activity.movement_type = '{{ movement_type }}' then {{ sign }}activity.moved_units else 0 end)
            as bigint
        ) as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from activity
    inner join clock
        on activity.active_on <= clock.last_day
    group by activity.product_id, activity.warehouse_id, activity.active_on, clock.last_day

),

running as (

    select
        *,
        sum(net_units) over (
            partition by product_id, warehouse_id
            order by active_on
            rows between unbounded preceding and current row
        ) as balance_units,
        lead(active_on) over (partition by product_id, warehouse_id order by active_on) as next_active_on
    from active_days

),

-- What has left was there: units that left and are not known to have come are added on the day that shows it. A test
-- stops this model unless missing or suspicious data explains them.
short as (

    select
        *,
        greatest(
            -min(balance_units) over (
                partition by product_id, warehouse_id
                order by active_on
                rows between unbounded preceding and current row
            ),
            0
        ) as missing_units
    from running

),

balances as (

    select
        *,
        cast(balance_units + missing_units as bigint) as closing_units,
        cast(
            missing_units - coalesce(
                lag(missing_units) over (partition by product_id, warehouse_id order by active_on), 0
            ) as bigint
        ) as unexplained_units
    from short

),

-- Up to the day before the next activity, or to the last day of all.
held as (

    select
        *,
        coalesce(
            {{ dbt.datediff('active_on', 'next_active_on', 'day') }},
            {{ dbt.datediff('active_on', 'last_day', 'day') }} + 1
        ) as held_days
    from balances

),

-- A balance carries forward over the days without movement: one row for each day that it is held. Only the first
-- of them has movements. Spreading the balances is a few times faster than a running sum over every day.
days as (

    select
        held.product_id,
        held.warehouse_id,
        held.closing_units,
        cast({{ dbt.dateadd('day', 'numbers.generated_number - 1', 'held.active_on') }} as date) as date_day,
        {%- for column in [
            'net_units', 'received_units', 'returned_units', 'transferred_in_units', 'shipped_units',
            'transferred_out_units', 'adjusted_units', 'unexplained_units',
        ] %}
        case when numbers.generated_number = 1 then held.{{ column }} else 0 end
            as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from held
    inner join numbers
        on held.held_days >= numbers.generated_number

),

final as (

    select
        days.date_day,
        days.product_id,
        days.warehouse_id,
        days.closing_units - days.net_units - days.unexplained_units as opening_units,
        days.received_units,
        days.returned_units,
        days.transferred_in_units,
        days.shipped_units,
        days.transferred_out_units,
        days.adjusted_units,
        days.unexplained_units,
        days.closing_units,
        cast(days.closing_units * products.unit_cost as numeric(18, 2)) as inventory_value,
        days.closing_units <= 0 as is_stock_out
    from days
    left join products
        on days.product_id = products.product_id

)

select * from final
