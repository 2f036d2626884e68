{#- Windows of a series of days: the eight weeks before, and a week. -#}
{%- set days_before -%}
partition by measure, warehouse_id order by date_day rows between 56 preceding and 1 preceding
{%- endset -%}
{%- set this_week -%}
partition by measure, warehouse_id order by date_day rows between 6 preceding and current row
{%- endset -%}
{%- set weeks_until_last -%}
partition by measure, warehouse_id order by date_day rows between 62 preceding and 7 preceding
{%- endset -%}
{%- set weeks_long_before -%}
partition by measure, warehouse_id order by date_day rows between 90 preceding and 35 preceding
{%- endset -%}
{#- Lines that may change their units or prices together: how many of the last ones show it, and by which factors. -#}
{%- set groups = [
    ('channel_item', 'product_id, sales_channel', 3, var('unit_factor'), var('price_shift_factor')),
    ('item', 'product_id', 5, var('item_unit_factor'), var('price_shift_factor')),
    ('warehouse', 'warehouse_id', 20, var('group_unit_factor'), var('group_price_factor')),
    ('channel', 'sales_channel', 20, var('group_unit_factor'), var('group_price_factor')),
] -%}
{#- The same movement again, but for its time. -#}
{%- set same_movement -%}
product_id, warehouse_id, movement_type, moved_units, order_line_id, transfer_id, purchase_order_line_id,
            adjustment_reason
{%- endset -%}

-- Nothing of silver is built until all of bronze has passed its tests: all of it reads this model, and these are not
-- read here. dbt lets a failed test stop only the models that depend on everything the test looks at.
-- depends_on: {{ ref('stg_logistics__supplier_closures') }}
-- depends_on: {{ ref('stg_logistics__suppliers') }}
-- depends_on: {{ ref('stg_logistics__warehouses') }}
with order_lines as (

    select * from {{ ref('stg_logistics__customer_orders') }}

),

movements as (

    select
        *,
        coalesce(order_line_id, transfer_id, purchase_order_line_id) as reference_id,
        row_number() over (order by moved_at, movement_id) as movement_number
    from {{ ref('stg_logistics__inventory_movements') }}

),

purchase_orders as (

    select * from {{ ref('stg_logistics__purchase_orders') }}

),

products as (

    select * from {{ ref('stg_logistics__products') }}

),

price_breaks as (

    select * from {{ ref('stg_logistics__price_breaks') }}

),

-- 36,525 days are a century
numbers as (

    {{ dbt.generate_series(36525) }}

),

line_counts as (

    select
        'orders' as measure,
        warehouse_id,
        ordered_on as date_day,
        count(*) as row_count,
        sum(ordered_units) as units
    from order_lines
    group by warehouse_id, ordered_on
    union all
    select
        'movements' as measure,
        warehouse_id,
        moved_on as date_day,
        count(*) as row_count,
        sum(case when purchase_order_line_id is not null then moved_units else 0 end) as units
    from movements
    group by warehouse_id, moved_on
    union all
    select
        'shipments' as measure,
        warehouse_id,
        moved_on as date_day,
        count(*) as row_count,
        -sum(moved_units) as units
    from movements
    where movement_type = 'shipment'
    group by warehouse_id, moved_on
    union all
    select
        'purchase orders' as measure,
        warehouse_id,
        ordered_on as date_day,
        count(*) as row_count,
        sum(ordered_units) as units
    from purchase_orders
    group by warehouse_id, ordered_on

),

clock as (

    select {{ as_of_date('date_day') }} as last_day
    from line_counts
    where measure in ('orders', 'movements')

),

first_days as (

    select
        warehouse_id,
        min(date_day) as first_day
    from line_counts
    group by warehouse_id

),

warehouse_days as (

    select
        first_days.warehouse_id,
        clock.last_day,
        cast({{ dbt.dateadd('day', 'numbers.generated_number - 1', 'first_days.first_day') }} as date) as date_day
    from first_days
    cross join clock
    inner join numbers
        on {{ dbt.datediff('first_days.first_day', 'clock.last_day', 'day') }} + 1 >= numbers.generated_number

),

measures as (

    select distinct measure
    from line_counts

),

warehouse_volumes as (

    select
        measures.measure,
        warehouse_days.warehouse_id,
        warehouse_days.date_day,
        warehouse_days.last_day,
        mod({{ dbt.datediff("cast('2000-01-03' as date)", 'warehouse_days.date_day', 'day') }}, 7) as weekday,
        coalesce(line_counts.row_count, 0) as row_count,
        cast(coalesce(line_counts.units, 0) as bigint) as units
    from warehouse_days
    cross join measures
    left join line_counts
        on
            warehouse_days.warehouse_id = line_counts.warehouse_id
            and warehouse_days.date_day = line_counts.date_day
            and measures.measure = line_counts.measure

),

-- All warehouses together have enough rows a day to miss one, when each alone may have none by chance.
volumes as (

    select
        measure,
        warehouse_id,
        date_day,
        weekday,
        last_day,
        row_count,
        units
    from warehouse_volumes
    union all
    select
        measure,
        'all' as warehouse_id,
        date_day,
        weekday,
        last_day,
        cast(sum(row_count) as bigint) as row_count,
        cast(sum(units) as bigint) as units
    from warehouse_volumes
    group by measure, date_day, weekday, last_day

),

expected_volumes as (

    select
        *,
        max(row_count) over ({{ days_before }}) as most_rows,
        count(*) over ({{ days_before }}) as known_days,
        sum(case when row_count > 0 then 1 else 0 end) over (
            partition by measure, warehouse_id order by date_day rows between unbounded preceding and current row
        ) as days_with_rows,
        sum(units) over ({{ this_week }}) as week_units,
        sum(row_count) over ({{ this_week }}) as week_rows
    from volumes

),

-- Days without a row, and what the same weekday had in the eight weeks before.
empty_days as (

    select
        empty_volumes.measure,
        empty_volumes.warehouse_id,
        empty_volumes.date_day,
        empty_volumes.last_day,
        empty_volumes.days_with_rows,
        avg(cast(earlier_volumes.row_count as double)) as usual_rows
    from expected_volumes as empty_volumes
    inner join volumes as earlier_volumes
        on
            empty_volumes.measure = earlier_volumes.measure
            and empty_volumes.warehouse_id = earlier_volumes.warehouse_id
            and empty_volumes.weekday = earlier_volumes.weekday
            and empty_volumes.date_day > earlier_volumes.date_day
            and earlier_volumes.date_day >= {{ dbt.dateadd('day', -56, 'empty_volumes.date_day') }}
    where
        empty_volumes.row_count = 0
        and (empty_volumes.measure <> 'purchase orders' or empty_volumes.warehouse_id = 'all')
    group by
        empty_volumes.measure, empty_volumes.warehouse_id, empty_volumes.date_day, empty_volumes.last_day,
        empty_volumes.days_with_rows
    having count(*) >= 4

),

-- One after the other: each alone may be chance, so the rows that they should have had are added up. A feed that ends
-- before the others is late: the days after its end are not days of zero.
gaps as (

    select
        measure as source,
        case when max(date_day) = last_day then 'late data' else 'missing days' end as reason,
        warehouse_id as row_key,
        warehouse_id,
        min(date_day) as date_day,
        sum(usual_rows) as figure,
        cast(0 as double) as expected_figure,
        cast(
            case when warehouse_id = 'all' then {{ var('missing_rows') }} else {{ var('warehouse_missing_rows') }} end
            as double
        ) as limit_figure,
        'reported' as handling,
        max(date_day) as until_day
    from empty_days
    group by measure, warehouse_id, days_with_rows, last_day

),

gap_findings as (

    select *
    from gaps
    where figure >= limit_figure

),

volume_findings as (

    select
        measure as source,
        'volume above usual' as reason,
        warehouse_id as row_key,
        warehouse_id,
        date_day,
        cast(row_count as double) as figure,
        cast(most_rows as double) as expected_figure,
        cast(most_rows as double)
        * case when warehouse_id = 'all' then {{ var('volume_factor') }} else {{ var('warehouse_volume_factor') }} end
            as limit_figure,
        case when measure = 'orders' then 'as shipped' else 'reported' end as handling
    from expected_volumes
    where
        known_days >= 28
        and measure in ('orders', 'movements')
        and row_count
        > case when warehouse_id = 'all' then {{ var('volume_factor') }} else {{ var('warehouse_volume_factor') }} end
        * most_rows
        and row_count >= {{ var('volume_rows') }}

),

weekly_levels as (

    select
        measure,
        date_day,
        week_units,
        week_rows,
        count(*) over ({{ weeks_until_last }}) as known_days,
        max(week_units) over ({{ weeks_until_last }}) as most_units,
        cast(sum(week_rows) over ({{ weeks_until_last }}) as double)
        / nullif(count(*) over ({{ weeks_until_last }}), 0) as usual_rows,
        case
            when count(*) over ({{ weeks_long_before }}) = 56 then max(week_units) over ({{ weeks_long_before }})
        end as most_units_long_before
    from expected_volumes
    where
        warehouse_id = 'all'
        and measure in ('orders', 'movements')

),

-- A high level that lasts is known from the weeks before it began; a season is allowed more against those.
limited_levels as (

    select
        *,
        least(
            {{ var('level_factor') }} * most_units,
            coalesce(
                {{ var('level_season_factor') }} * most_units_long_before, {{ var('level_factor') }} * most_units
            )
        ) as most_limit,
        usual_rows / {{ var('level_drop_factor') }} as least_limit
    from weekly_levels

),

level_findings as (

    select
        measure as source,
        'level above usual' as reason,
        'all' as row_key,
        'all' as warehouse_id,
        date_day,
        cast(week_units as double) as figure,
        cast(most_units as double) as expected_figure,
        cast(most_limit as double) as limit_figure,
        'as shipped' as handling
    from limited_levels
    where
        measure = 'orders'
        and known_days >= 56
        and usual_rows >= {{ var('level_rows') }}
        and week_units > most_limit
    union all
    select
        measure as source,
        'level below usual' as reason,
        'all' as row_key,
        'all' as warehouse_id,
        date_day,
        cast(week_rows as double) as figure,
        usual_rows as expected_figure,
        least_limit as limit_figure,
        'reported' as handling
    from limited_levels
    where
        known_days >= 56
        and usual_rows >= {{ var('level_rows') }}
        and week_rows < least_limit

),

-- Order lines are numbered one after the other. Where numbers are left out now and then this says nothing, where they
-- never were before, lines are missing. Only the numbers of the commonest form count.
numbered_lines as (

    select
        order_line_id,
        ordered_on,
        try_cast(right(order_line_id, 7) as integer) as line_number,
        count(*) over (partition by left(order_line_id, greatest(length(order_line_id) - 7, 0))) as lines_of_form
    from order_lines

),

number_gaps as (

    select
        order_line_id,
        ordered_on,
        line_number - lag(line_number) over (order by line_number) - 1 as missing_lines
    from numbered_lines
    where
        line_number is not null
        and lines_of_form * 2 > (select count(*) from order_lines)

),

daily_number_gaps as (

    select
        ordered_on,
        min(case when missing_lines > 0 then order_line_id end) as row_key,
        count(*) as row_count,
        sum(missing_lines) as missing_lines
    from number_gaps
    group by ordered_on

),

missing_numbers as (

    select
        *,
        sum(missing_lines) over (order by ordered_on rows between 6 preceding and current row) as week_missing_lines,
        sum(missing_lines) over (order by ordered_on rows between unbounded preceding and 7 preceding)
            as earlier_missing_lines,
        sum(row_count) over (order by ordered_on rows between unbounded preceding and 7 preceding) as earlier_lines
    from daily_number_gaps

),

number_findings as (

    select
        'orders' as source,
        'numbers are missing' as reason,
        row_key,
        'all' as warehouse_id,
        ordered_on as date_day,
        cast(missing_lines as double) as figure,
        cast(0 as double) as expected_figure,
        cast({{ var('missing_numbers') }} as double) as limit_figure,
        'reported' as handling
    from missing_numbers
    where
        missing_lines > 0
        and week_missing_lines >= {{ var('missing_numbers') }}
        and earlier_lines >= 100
        and earlier_missing_lines * 50 <= earlier_lines

),

-- The same customer orders the same once within a minute, and hardly ever on one day. Several lines that come again
-- after the same time were loaded again.
following_lines as (

    select
        order_line_id,
        warehouse_id,
        ordered_on,
        ordered_at,
        lag(ordered_at) over (
            partition by customer_id, product_id, warehouse_id, sales_channel, ordered_units, unit_price
            order by ordered_at, order_line_id
        ) as ordered_before_at
    from order_lines

),

line_delays as (

    select
        order_line_id,
        warehouse_id,
        ordered_on,
        {{ dbt.datediff('ordered_before_at', 'ordered_at', 'second') }} as delay_seconds
    from following_lines
    where ordered_before_at is not null

),

repeated_lines as (

    select
        order_line_id,
        warehouse_id,
        ordered_on,
        delay_seconds,
        count(*) over (partition by ordered_on, delay_seconds) as lines_of_delay,
        sum(case when delay_seconds < 86400 then 1 else 0 end) over (partition by ordered_on) as lines_of_day
    from line_delays

),

duplicate_lines as (

    select
        'orders' as source,
        'duplicate under a new id' as reason,
        order_line_id as row_key,
        warehouse_id,
        ordered_on as date_day,
        cast(2 as double) as figure,
        cast(1 as double) as expected_figure,
        cast(1 as double) as limit_figure,
        'left out' as handling
    from repeated_lines
    where
        delay_seconds <= 60
        or lines_of_delay >= {{ var('repeated_rows') }}
        or (delay_seconds < 86400 and lines_of_day >= {{ var('repeated_rows') }})

),

-- What a line ordered, shipped or sent is all that can come of it.
line_limits as (

    select
        order_line_id as reference_id,
        'shipment' as movement_type,
        max(ordered_units) as limit_units
    from order_lines
    group by order_line_id
    union all
    select
        order_line_id as reference_id,
        'return' as movement_type,
        -sum(moved_units) as limit_units
    from movements
    where movement_type = 'shipment'
    group by order_line_id
    union all
    select
        transfer_id as reference_id,
        'transfer_in' as movement_type,
        -sum(moved_units) as limit_units
    from movements
    where movement_type = 'transfer_out'
    group by transfer_id
    union all
    select
        purchase_order_line_id as reference_id,
        'receipt' as movement_type,
        ordered_units as limit_units
    from purchase_orders

),

following_movements as (

    select
        *,
        lag(moved_at) over (partition by {{ same_movement }} order by movement_number) as moved_before_at
    from movements

),

movement_delays as (

    select
        movement_id,
        warehouse_id,
        moved_on,
        movement_type,
        reference_id,
        movement_number,
        {{ dbt.datediff('moved_before_at', 'moved_at', 'second') }} as delay_seconds
    from following_movements
    where moved_before_at is not null

),

units_so_far as (

    select
        movement_delays.movement_id,
        sum(abs(movements.moved_units)) as units_so_far
    from movement_delays
    inner join movements
        on
            movement_delays.reference_id = movements.reference_id
            and movement_delays.movement_type = movements.movement_type
            and movement_delays.movement_number >= movements.movement_number
    group by movement_delays.movement_id

),

repeated_movements as (

    select
        movement_delays.*,
        units_so_far.units_so_far,
        line_limits.limit_units,
        count(*) over (partition by movement_delays.moved_on, movement_delays.delay_seconds) as movements_of_delay
    from movement_delays
    left join units_so_far
        on movement_delays.movement_id = units_so_far.movement_id
    left join line_limits
        on
            movement_delays.reference_id = line_limits.reference_id
            and movement_delays.movement_type = line_limits.movement_type

),

-- A split delivery may come in two equal parts; two deliveries of the whole are one too many.
duplicate_movements as (

    select
        'movements' as source,
        'duplicate under a new id' as reason,
        movement_id as row_key,
        warehouse_id,
        moved_on as date_day,
        cast(2 as double) as figure,
        cast(1 as double) as expected_figure,
        cast(1 as double) as limit_figure,
        'left out' as handling
    from repeated_movements
    where
        case
            when limit_units is null
                then delay_seconds = 0 or movements_of_delay >= {{ var('repeated_rows') }}
            else units_so_far > limit_units
        end

),

distinct_movements as (

    select movements.*
    from movements
    left join duplicate_movements
        on movements.movement_id = duplicate_movements.row_key
    where duplicate_movements.row_key is null

),

receipts as (

    select distinct purchase_order_line_id as reference_id
    from movements
    where purchase_order_line_id is not null

),

-- A purchase order line that repeats another of the same day and was never delivered.
repeated_purchases as (

    select
        purchase_orders.purchase_order_line_id,
        purchase_orders.warehouse_id,
        purchase_orders.ordered_on,
        receipts.reference_id,
        row_number() over (
            partition by
                purchase_orders.product_id, purchase_orders.warehouse_id, purchase_orders.supplier_id,
                purchase_orders.ordered_on, purchase_orders.ordered_units
            order by case when receipts.reference_id is null then 1 else 0 end, purchase_orders.purchase_order_line_id
        ) as place
    from purchase_orders
    left join receipts
        on purchase_orders.purchase_order_line_id = receipts.reference_id

),

duplicate_purchases as (

    select
        'purchase orders' as source,
        'duplicate under a new id' as reason,
        purchase_order_line_id as row_key,
        warehouse_id,
        ordered_on as date_day,
        cast(2 as double) as figure,
        cast(1 as double) as expected_figure,
        cast(1 as double) as limit_figure,
        'left out' as handling
    from repeated_purchases
    where
        place > 1
        and reference_id is null

),

received_lines as (

    select
        purchase_order_line_id,
        max(warehouse_id) as warehouse_id,
        max(moved_on) as last_moved_on,
        sum(moved_units) as received_units
    from distinct_movements
    where purchase_order_line_id is not null
    group by purchase_order_line_id

),

adjustments as (

    select
        adjustments.movement_id,
        adjustments.movement_number,
        adjustments.warehouse_id,
        adjustments.moved_on,
        adjustments.moved_units,
        sum(earlier_movements.moved_units) as units_before
    from distinct_movements as adjustments
    left join distinct_movements as earlier_movements
        on
            adjustments.product_id = earlier_movements.product_id
            and adjustments.warehouse_id = earlier_movements.warehouse_id
            and adjustments.movement_number > earlier_movements.movement_number
    where adjustments.movement_type = 'adjustment'
    group by
        adjustments.movement_id, adjustments.movement_number, adjustments.warehouse_id, adjustments.moved_on,
        adjustments.moved_units

),

-- An adjustment of a great part of the stock is an exception, which does not make the next one usual.
compared_adjustments as (

    select
        *,
        count(*) over (order by movement_number rows between unbounded preceding and 1 preceding)
            as earlier_adjustments,
        max(case when abs(moved_units) <= units_before * {{ var('adjustment_share') }} then abs(moved_units) end) over (
            order by movement_number rows between unbounded preceding and 1 preceding
        ) as most_units
    from adjustments

),

-- The first movement of a product in a warehouse may be the stock that it begins with.
adjustment_findings as (

    select
        'movements' as source,
        'adjustment far above all earlier ones' as reason,
        movement_id as row_key,
        warehouse_id,
        moved_on as date_day,
        cast(abs(moved_units) as double) as figure,
        cast(most_units as double) as expected_figure,
        cast(most_units as double) * {{ var('adjustment_factor') }} as limit_figure,
        'left out' as handling
    from compared_adjustments
    where
        earlier_adjustments >= 20
        and abs(moved_units) > most_units * {{ var('adjustment_factor') }}
        and abs(moved_units) > units_before * {{ var('adjustment_share') }}

),

-- Units that leave a warehouse are there: those that it is not known to have are missing, and added to its stock.
daily_balances as (

    select
        movements.product_id,
        movements.warehouse_id,
        movements.moved_on,
        sum(sum(movements.moved_units)) over (
            partition by movements.product_id, movements.warehouse_id
            order by movements.moved_on
            rows between unbounded preceding and current row
        ) as balance_units
    from distinct_movements as movements
    left join adjustment_findings
        on movements.movement_id = adjustment_findings.row_key
    where adjustment_findings.row_key is null
    group by movements.product_id, movements.warehouse_id, movements.moved_on

),

lowest_balances as (

    select
        *,
        lag(least(balance_units, 0)) over (partition by product_id, warehouse_id order by moved_on) as balance_before
    from daily_balances

),

balance_findings as (

    select
        'movements' as source,
        'more left than there was' as reason,
        product_id || ' in ' || warehouse_id as row_key,
        warehouse_id,
        moved_on as date_day,
        cast(balance_units as double) as figure,
        cast(0 as double) as expected_figure,
        cast(0 as double) as limit_figure,
        'added' as handling
    from lowest_balances
    where
        balance_units < 0
        and balance_units < coalesce(balance_before, 0)

),

-- What was shipped is the better witness of what a line ordered: orders in other units leave it as it is, so that a
-- change of months ago does not pass for usual.
shipped_lines as (

    select
        order_line_id,
        -sum(moved_units) as shipped_units
    from distinct_movements
    where movement_type = 'shipment'
    group by order_line_id

),

witnessed_lines as (

    select
        order_lines.*,
        products.list_price,
        coalesce(shipped_lines.shipped_units, 0) as shipped_units,
        ln(cast(coalesce(shipped_lines.shipped_units, order_lines.ordered_units) as double)) as witnessed_units,
        case when order_lines.unit_price > 0 then ln(cast(order_lines.unit_price as double) / products.list_price) end
            as price_level,
        row_number() over (order by order_lines.ordered_at, order_lines.order_line_id) as line_place
    from order_lines
    inner join products
        on order_lines.product_id = products.product_id
    left join shipped_lines
        on order_lines.order_line_id = shipped_lines.order_line_id
    where order_lines.ordered_units > 0

),

-- Units and prices against what the product usually has in the channel, as logarithms, so that a tenth is as far as
-- ten times. A free sample has the price 0, which is legal.
compared_lines as (

    select
        *,
        {%- for usual, value in [
            ('usual_units', 'avg(witnessed_units)'),
            ('usual_price_level', 'avg(price_level)'),
            ('most_units', 'max(ordered_units)'),
            ('earlier_lines', 'count(*)'),
        ] %}
        {{ value }} over (
            partition by product_id, sales_channel order by line_place rows between unbounded preceding and 1 preceding
        ) as {{ usual }}{{ ',' if not loop.last }}
        {%- endfor %}
    from witnessed_lines

),

measured_lines as (

    select
        *,
        case when earlier_lines >= 5 then price_level - usual_price_level end as price_shift,
        case when earlier_lines >= 5 then ln(cast(ordered_units as double)) - usual_units end as unit_shift
    from compared_lines

),

bounded_lines as (

    select
        *,
        case when unit_shift is not null then least(greatest(unit_shift, -1), 1) end as bounded_unit_shift
    from measured_lines

),

-- One line alone may be an exception: few lines must be off all of them, many on average, in which none counts for
-- more than a factor of e.
shifts as (

    select
        *
        {%- for name, columns, lines, units, prices in groups %},
        {%- set last_lines %}(
            partition by {{ columns }} order by line_place rows between {{ lines - 1 }} preceding and current row
        ){% endset %}
        case
            when
                count(unit_shift) over {{ last_lines }} = {{ lines }}
                and abs(
                    avg({{ 'bounded_unit_shift' if lines >= 10 else 'unit_shift' }}) over {{ last_lines }}
                ) >= ln({{ units }})
                {%- if lines < 10 %}
                and greatest(
                    min(unit_shift) over {{ last_lines }}, -max(unit_shift) over {{ last_lines }}
                ) >= ln({{ units }}) * 0.75
                {%- endif %}
                then 1
            else 0
        end as {{ name }}_units,
        case
            when
                count(price_shift) over {{ last_lines }} = {{ lines }}
                and abs(avg(price_shift) over {{ last_lines }}) >= ln({{ prices }})
                then 1
            else 0
        end as {{ name }}_prices
        {%- endfor %}
    from bounded_lines

),

-- The lines that made the mean: those of the last lines that are themselves off by half as much or more.
shifted_lines as (

    select
        *
        {%- for kind, limit_at in [('unit', 3), ('price', 4)] %},
        greatest(
            {%- for group in groups %}
            case
                when abs({{ kind }}_shift) >= ln({{ group[limit_at] }}) / 2
                    then max({{ group[0] }}_{{ kind }}s) over (
                        partition by {{ group[1] }}
                        order by line_place rows between current row and {{ group[2] - 1 }} following
                    )
                else 0
            end{{ ',' if not loop.last }}
            {%- endfor %}
        ) as has_shifted_{{ kind }}s
        {%- endfor %}
    from shifts

),

unit_findings as (

    select
        'orders' as source,
        case
            when has_shifted_units = 1 then 'units unlike earlier lines'
            when shipped_units > ordered_units then 'more shipped than ordered'
            else 'units far above all earlier lines'
        end as reason,
        order_line_id as row_key,
        warehouse_id,
        ordered_on as date_day,
        cast(ordered_units as double) as figure,
        case
            when has_shifted_units = 1 then exp(usual_units)
            when shipped_units > ordered_units then cast(shipped_units as double)
            else cast(most_units as double)
        end as expected_figure,
        case
            when has_shifted_units = 1 then exp(usual_units) * {{ var('unit_factor') }}
            when shipped_units > ordered_units then cast(shipped_units as double)
            else cast(most_units as double) * {{ var('units_factor') }}
        end as limit_figure,
        'as shipped' as handling
    from shifted_lines
    where
        has_shifted_units = 1
        or (earlier_lines >= 20 and ordered_units > {{ var('units_factor') }} * most_units)
        -- an order in too small units; what was shipped far above the usual is a broken rule, which a test stops
        or (shipped_units > ordered_units and shipped_units <= exp(usual_units) * {{ var('units_factor') }} * 2)

),

price_suspects as (

    select
        *,
        case
            when
                unit_price > list_price * {{ var('price_above_factor') }}
                then list_price * {{ var('price_above_factor') }}
            when unit_price * {{ var('price_factor') }} < list_price then list_price / {{ var('price_factor') }}
        end as price_limit
    from shifted_lines
    where unit_price > 0

),

-- When most lines of a product are far from its list price, the list price is what is wrong.
wrong_list_prices as (

    select product_id
    from price_suspects
    group by product_id
    having
        count(*) >= 8
        and count(price_limit) * 2 > count(*)

),

price_verdicts as (

    select
        price_suspects.*,
        wrong_list_prices.product_id is not null as is_list_price_wrong
    from price_suspects
    left join wrong_list_prices
        on price_suspects.product_id = wrong_list_prices.product_id

),

price_findings as (

    select
        'orders' as source,
        case
            when price_limit is not null then 'price far from the list price' else 'price unlike earlier lines'
        end as reason,
        order_line_id as row_key,
        warehouse_id,
        ordered_on as date_day,
        cast(unit_price as double) as figure,
        cast(list_price as double) as expected_figure,
        cast(coalesce(price_limit, unit_price) as double) as limit_figure,
        'list price' as handling
    from price_verdicts
    where
        (price_limit is not null and not is_list_price_wrong)
        or has_shifted_prices = 1

),

list_price_findings as (

    select
        'products' as source,
        'list price far from the prices of orders' as reason,
        product_id as row_key,
        'all' as warehouse_id,
        max(ordered_on) as date_day,
        cast(max(list_price) as double) as figure,
        avg(cast(unit_price as double)) as expected_figure,
        avg(cast(unit_price as double)) * {{ var('price_factor') }} as limit_figure,
        'reported' as handling
    from price_verdicts
    where is_list_price_wrong
    group by product_id

),

-- What a unit costs is known three times, from the product, its price list and its purchase orders: the figure in the
-- middle is the one to trust.
list_costs as (

    select
        product_id,
        max(unit_cost) as list_cost
    from price_breaks
    group by product_id

),

order_costs as (

    select
        product_id,
        avg(unit_cost) as order_cost
    from purchase_orders
    group by product_id

),

known_costs as (

    select
        products.product_id,
        products.launched_on,
        cast(products.unit_cost as double) as unit_cost,
        cast(coalesce(list_costs.list_cost, order_costs.order_cost, products.unit_cost) as double) as list_cost,
        cast(coalesce(order_costs.order_cost, list_costs.list_cost, products.unit_cost) as double) as order_cost
    from products
    left join list_costs
        on products.product_id = list_costs.product_id
    left join order_costs
        on products.product_id = order_costs.product_id

),

trusted_costs as (

    select
        *,
        greatest(least(unit_cost, list_cost), least(greatest(unit_cost, list_cost), order_cost)) as trusted_cost
    from known_costs

),

standard_cost_findings as (

    select
        'products' as source,
        'standard cost far from the price list' as reason,
        product_id as row_key,
        'all' as warehouse_id,
        launched_on as date_day,
        unit_cost as figure,
        trusted_cost as expected_figure,
        {{ cost_limit('unit_cost', 'trusted_cost') }} as limit_figure,
        'usual cost' as handling
    from trusted_costs
    where {{ is_beyond_cost_limit('unit_cost', 'trusted_cost') }}

),

price_list_findings as (

    select
        'price lists' as source,
        'cost far from the standard cost' as reason,
        price_breaks.product_id || ' from ' || cast(price_breaks.minimum_units as varchar) as row_key,
        'all' as warehouse_id,
        trusted_costs.launched_on as date_day,
        cast(price_breaks.unit_cost as double) as figure,
        trusted_costs.trusted_cost as expected_figure,
        {{ cost_limit('price_breaks.unit_cost', 'trusted_costs.trusted_cost') }} as limit_figure,
        'left out' as handling
    from price_breaks
    inner join trusted_costs
        on price_breaks.product_id = trusted_costs.product_id
    where {{ is_beyond_cost_limit('price_breaks.unit_cost', 'trusted_costs.trusted_cost') }}

),

cost_findings as (

    select
        'purchase orders' as source,
        'cost far from the standard cost' as reason,
        purchase_orders.purchase_order_line_id as row_key,
        purchase_orders.warehouse_id,
        purchase_orders.ordered_on as date_day,
        cast(purchase_orders.unit_cost as double) as figure,
        trusted_costs.trusted_cost as expected_figure,
        {{ cost_limit('purchase_orders.unit_cost', 'trusted_costs.trusted_cost') }} as limit_figure,
        'usual cost' as handling
    from purchase_orders
    inner join trusted_costs
        on purchase_orders.product_id = trusted_costs.product_id
    where {{ is_beyond_cost_limit('purchase_orders.unit_cost', 'trusted_costs.trusted_cost') }}

),

-- Orders to suppliers differ much in size, so many must change together, and a delivery that agrees confirms a line.
-- The smaller of order and delivery is usual: neither in larger units passes for it.
compared_purchases as (

    select
        purchase_orders.purchase_order_line_id,
        purchase_orders.product_id,
        purchase_orders.warehouse_id,
        purchase_orders.ordered_on,
        purchase_orders.ordered_units,
        coalesce(received_lines.received_units, 0) as received_units,
        avg(
            ln(
                cast(
                    least(
                        coalesce(received_lines.received_units, purchase_orders.ordered_units),
                        purchase_orders.ordered_units
                    ) as double
                )
            )
        ) over (
            partition by purchase_orders.product_id
            order by purchase_orders.ordered_on, purchase_orders.purchase_order_line_id
            rows between unbounded preceding and 1 preceding
        ) as usual_units,
        count(*) over (
            partition by purchase_orders.product_id
            order by purchase_orders.ordered_on, purchase_orders.purchase_order_line_id
            rows between unbounded preceding and 1 preceding
        ) as earlier_lines
    from purchase_orders
    left join received_lines
        on purchase_orders.purchase_order_line_id = received_lines.purchase_order_line_id

),

purchase_shifts as (

    select
        *,
        avg(case when earlier_lines >= 2 then ln(cast(ordered_units as double)) - usual_units end) over (
            order by ordered_on, purchase_order_line_id rows between 14 preceding and current row
        ) as mean_shift
    from compared_purchases

),

shifted_purchases as (

    select
        *,
        max(abs(mean_shift)) over (
            order by ordered_on, purchase_order_line_id rows between current row and 14 following
        ) as largest_shift
    from purchase_shifts

),

-- An order that its delivery and its product's other orders contradict is wrong itself, not the delivery.
purchase_unit_findings as (

    select
        'purchase orders' as source,
        'units unlike earlier lines' as reason,
        purchase_order_line_id as row_key,
        warehouse_id,
        ordered_on as date_day,
        cast(ordered_units as double) as figure,
        case
            when received_units > 0 then cast(received_units as double) else exp(usual_units)
        end as expected_figure,
        exp(usual_units) * {{ var('purchase_unit_factor') }} as limit_figure,
        'usual units' as handling
    from shifted_purchases
    where
        earlier_lines >= 2
        and (
            (
                received_units * 2 < ordered_units
                and largest_shift >= ln({{ var('purchase_unit_factor') }})
                and ln(cast(ordered_units as double)) - usual_units >= ln({{ var('purchase_unit_factor') }}) / 2
            )
            or (
                received_units > ordered_units * {{ var('delivery_factor') }}
                and abs(ln(cast(received_units as double)) - usual_units)
                < abs(ln(cast(ordered_units as double)) - usual_units)
            )
        )

),

delivery_findings as (

    select
        'movements' as source,
        'more received than ordered' as reason,
        received_lines.purchase_order_line_id as row_key,
        received_lines.warehouse_id,
        received_lines.last_moved_on as date_day,
        cast(received_lines.received_units as double) as figure,
        cast(purchase_orders.ordered_units as double) as expected_figure,
        cast(purchase_orders.ordered_units as double) * {{ var('delivery_factor') }} as limit_figure,
        'as ordered' as handling
    from received_lines
    inner join purchase_orders
        on received_lines.purchase_order_line_id = purchase_orders.purchase_order_line_id
    left join purchase_unit_findings
        on received_lines.purchase_order_line_id = purchase_unit_findings.row_key
    where
        received_lines.received_units > purchase_orders.ordered_units * {{ var('delivery_factor') }}
        and purchase_unit_findings.row_key is null

),

findings as (
    {%- for name in [
        'gap_findings', 'number_findings', 'volume_findings', 'level_findings', 'duplicate_lines',
        'duplicate_movements', 'duplicate_purchases', 'adjustment_findings', 'balance_findings',
        'delivery_findings', 'purchase_unit_findings', 'unit_findings', 'price_findings', 'list_price_findings', 'standard_cost_findings',
        'price_list_findings', 'cost_findings',
    ] %}
    select
        source,
        reason,
        row_key,
        warehouse_id,
        date_day,
        figure,
        expected_figure,
        limit_figure,
        handling,
        {{ 'until_day' if name == 'gap_findings' else 'date_day as until_day' }}
    from {{ name }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

final as (

    select
        cast(source as varchar) as source,
        cast(reason as varchar) as reason,
        cast(row_key as varchar) as row_key,
        cast(warehouse_id as varchar) as warehouse_id,
        date_day,
        until_day,
        cast(round(figure, 2) as numeric(18, 2)) as figure,
        cast(round(expected_figure, 2) as numeric(18, 2)) as expected_figure,
        cast(round(limit_figure, 2) as numeric(18, 2)) as limit_figure,
        cast({{ "'reported'" if suspicious_data_policy() == 'report' else 'handling' }} as varchar) as handling
    from findings

)

select * from final
