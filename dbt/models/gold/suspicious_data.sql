{#- Windows of a series of days: the same weekday of the eight weeks before, the eight weeks before, and a week. -#}
{%- set weeks_before -%}
partition by measure, warehouse_id, weekday order by date_day rows between 8 preceding and 1 preceding
{%- endset -%}
{%- set days_before -%}
partition by measure, warehouse_id order by date_day rows between 56 preceding and 1 preceding
{%- endset -%}
{%- set this_week -%}
partition by measure, warehouse_id order by date_day rows between 6 preceding and current row
{%- endset -%}
{%- set weeks_until_last -%}
partition by measure, warehouse_id order by date_day rows between 62 preceding and 7 preceding
{%- endset -%}
{#- The last three lines of a product and channel, and all before them. -#}
{%- set last_lines -%}
partition by product_id, sales_channel
            order by ordered_at, order_line_id rows between 2 preceding and current row
{%- endset -%}
{%- set earlier_lines -%}
partition by product_id, sales_channel
            order by ordered_at, order_line_id rows between unbounded preceding and 3 preceding
{%- endset -%}

with order_lines as (

    select * from {{ ref('stg_logistics__customer_orders') }}

),

movements as (

    select * from {{ ref('stg_logistics__inventory_movements') }}

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

daily_inventory as (

    select * from {{ ref('daily_inventory') }}

),

warehouse_days as (

    select
        warehouse_id,
        date_day,
        max(date_day) over () as last_day,
        mod({{ dbt.datediff("cast('2000-01-03' as date)", 'date_day', 'day') }}, 7) as weekday
    from daily_inventory
    group by warehouse_id, date_day

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

),

measures as (

    select 'orders' as measure
    union all
    select 'movements' as measure

),

warehouse_volumes as (

    select
        measures.measure,
        warehouse_days.warehouse_id,
        warehouse_days.date_day,
        warehouse_days.weekday,
        warehouse_days.last_day,
        coalesce(line_counts.row_count, 0) as row_count,
        coalesce(line_counts.units, 0) as units
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
        sum(row_count) as row_count,
        sum(units) as units
    from warehouse_volumes
    group by measure, date_day, weekday, last_day

),

expected_volumes as (

    select
        *,
        count(*) over ({{ weeks_before }}) as weeks,
        cast(sum(row_count) over ({{ weeks_before }}) as double)
        / nullif(count(*) over ({{ weeks_before }}), 0) as usual_rows,
        max(row_count) over ({{ days_before }}) as most_rows,
        count(*) over ({{ days_before }}) as known_days,
        sum(case when row_count > 0 then 1 else 0 end) over (
            partition by measure, warehouse_id order by date_day rows between unbounded preceding and current row
        ) as days_with_rows,
        sum(units) over ({{ this_week }}) as week_units,
        sum(row_count) over ({{ this_week }}) as week_rows
    from volumes

),

-- Days without a row, one after the other: each alone may be chance, so the rows that they should have had are added
-- up.
gaps as (

    select
        measure,
        warehouse_id,
        days_with_rows,
        last_day,
        min(date_day) as first_missing_day,
        max(date_day) as last_missing_day,
        count(*) as missing_days,
        sum(usual_rows) as missing_rows
    from expected_volumes
    where
        row_count = 0
        and weeks >= 4
    group by measure, warehouse_id, days_with_rows, last_day

),

-- A feed that ends before the others is late: the days after its end are not days of zero.
gap_findings as (

    select
        measure as source,
        case when last_missing_day = last_day then 'late data' else 'missing days' end as reason,
        warehouse_id as row_key,
        first_missing_day as date_day,
        cast(missing_days as double) as figure,
        missing_rows as expected_figure
    from gaps
    where
        (measure = 'orders' and missing_rows >= {{ var('missing_order_rows') }})
        or (measure = 'movements' and missing_rows >= {{ var('missing_movement_rows') }})

),

volume_findings as (

    select
        measure as source,
        'volume above usual' as reason,
        warehouse_id as row_key,
        date_day,
        cast(row_count as double) as figure,
        cast(most_rows as double) as expected_figure
    from expected_volumes
    where
        known_days >= 28
        and row_count
        > case when warehouse_id = 'all' then {{ var('volume_factor') }} else {{ var('warehouse_volume_factor') }} end
        * most_rows
        and row_count >= {{ var('volume_rows') }}

),

weekly_levels as (

    select
        measure,
        warehouse_id,
        date_day,
        week_units,
        week_rows,
        count(*) over ({{ weeks_until_last }}) as known_days,
        max(week_units) over ({{ weeks_until_last }}) as most_units,
        cast(sum(week_rows) over ({{ weeks_until_last }}) as double)
        / nullif(count(*) over ({{ weeks_until_last }}), 0) as usual_rows
    from expected_volumes
    where warehouse_id = 'all'

),

judged_levels as (

    select
        *,
        case
            when week_units > {{ var('level_factor') }} * most_units then 'level above usual'
            when week_rows * {{ var('level_drop_factor') }} < usual_rows then 'level below usual'
        end as reason
    from weekly_levels
    where
        known_days >= 56
        and usual_rows >= {{ var('volume_rows') }}

),

-- Only the first day of a new level is a finding.
level_changes as (

    select
        *,
        lag(reason) over (partition by measure order by date_day) as reason_before
    from judged_levels

),

level_findings as (

    select
        measure as source,
        reason,
        warehouse_id as row_key,
        date_day,
        cast(case when reason = 'level above usual' then week_units else week_rows end as double) as figure,
        case when reason = 'level above usual' then cast(most_units as double) else usual_rows end as expected_figure
    from level_changes
    where
        reason is not null
        and (reason_before is null or reason_before <> reason)

),

-- The same customer orders the same once within a minute.
following_lines as (

    select
        order_line_id,
        ordered_on,
        ordered_at,
        lag(ordered_at) over (
            partition by customer_id, product_id, warehouse_id, sales_channel, ordered_units, unit_price
            order by ordered_at, order_line_id
        ) as ordered_before_at
    from order_lines

),

duplicate_lines as (

    select
        'orders' as source,
        'duplicate under a new id' as reason,
        order_line_id as row_key,
        ordered_on as date_day,
        cast(2 as double) as figure,
        cast(1 as double) as expected_figure
    from following_lines
    where {{ dbt.datediff('ordered_before_at', 'ordered_at', 'second') }} <= 60

),

received_lines as (

    select
        movements.purchase_order_line_id,
        max(movements.moved_on) as last_moved_on,
        sum(movements.moved_units) as received_units,
        max(purchase_orders.ordered_units) as ordered_units
    from movements
    inner join purchase_orders
        on movements.purchase_order_line_id = purchase_orders.purchase_order_line_id
    group by movements.purchase_order_line_id

),

-- A split delivery may come in two equal parts; two deliveries of the whole are one too many.
duplicate_movements as (

    select
        'movements' as source,
        'duplicate under a new id' as reason,
        max(movements.movement_id) as row_key,
        min(movements.moved_on) as date_day,
        cast(count(*) as double) as figure,
        cast(1 as double) as expected_figure
    from movements
    left join received_lines
        on movements.purchase_order_line_id = received_lines.purchase_order_line_id
    where
        received_lines.purchase_order_line_id is null
        or received_lines.received_units > received_lines.ordered_units
    group by
        movements.product_id, movements.warehouse_id, movements.movement_type, movements.moved_units,
        movements.moved_at, movements.order_line_id, movements.transfer_id, movements.purchase_order_line_id
    having count(*) > 1

),

delivery_findings as (

    select
        'movements' as source,
        'more received than ordered' as reason,
        purchase_order_line_id as row_key,
        last_moved_on as date_day,
        cast(received_units as double) as figure,
        cast(ordered_units as double) as expected_figure
    from received_lines
    where received_units > ordered_units * {{ var('delivery_factor') }}

),

-- A free sample has the price 0, which is legal.
price_findings as (

    select
        'orders' as source,
        'price far from the list price' as reason,
        order_lines.order_line_id as row_key,
        order_lines.ordered_on as date_day,
        cast(order_lines.unit_price as double) as figure,
        cast(products.list_price as double) as expected_figure
    from order_lines
    inner join products
        on order_lines.product_id = products.product_id
    where
        order_lines.unit_price > 0
        and (
            order_lines.unit_price > products.list_price * {{ var('price_factor') }}
            or order_lines.unit_price * {{ var('price_factor') }} < products.list_price
        )

),

cost_findings as (

    select
        'purchase orders' as source,
        'cost far from the standard cost' as reason,
        purchase_orders.purchase_order_line_id as row_key,
        purchase_orders.ordered_on as date_day,
        cast(purchase_orders.unit_cost as double) as figure,
        cast(products.unit_cost as double) as expected_figure
    from purchase_orders
    inner join products
        on purchase_orders.product_id = products.product_id
    where
        purchase_orders.unit_cost > products.unit_cost * {{ var('cost_factor') }}
        or purchase_orders.unit_cost * {{ var('cost_factor') }} < products.unit_cost

),

-- The price list is what the standard cost should be near to.
list_costs as (

    select
        product_id,
        max(unit_cost) as list_cost
    from price_breaks
    group by product_id

),

standard_cost_findings as (

    select
        'products' as source,
        'standard cost far from the price list' as reason,
        products.product_id as row_key,
        products.launched_on as date_day,
        cast(products.unit_cost as double) as figure,
        cast(list_costs.list_cost as double) as expected_figure
    from products
    inner join list_costs
        on products.product_id = list_costs.product_id
    where
        products.unit_cost > list_costs.list_cost * {{ var('cost_factor') }}
        or products.unit_cost * {{ var('cost_factor') }} < list_costs.list_cost

),

-- Units that changed, such as from pieces to packs, move three lines one after the other: each to more than double or
-- less than half. One line alone may be an exception.
unit_levels as (

    select
        order_line_id,
        ordered_on,
        ordered_units,
        exp(avg(ln(cast(ordered_units as double))) over ({{ last_lines }})) as last_units,
        exp(avg(ln(cast(ordered_units as double))) over ({{ earlier_lines }})) as usual_units,
        min(ordered_units) over ({{ last_lines }}) as least_units,
        max(ordered_units) over ({{ last_lines }}) as most_units,
        count(*) over ({{ earlier_lines }}) as known_lines
    from order_lines
    where ordered_units > 0

),

unit_findings as (

    select
        'orders' as source,
        'units unlike earlier lines' as reason,
        order_line_id as row_key,
        ordered_on as date_day,
        last_units as figure,
        usual_units as expected_figure
    from unit_levels
    where
        known_lines >= 12
        and (
            (last_units > usual_units * {{ var('unit_factor') }} and least_units > usual_units * 2)
            or (last_units * {{ var('unit_factor') }} < usual_units and most_units * 2 < usual_units)
        )

),

quantities as (

    select
        order_lines.order_line_id,
        order_lines.product_id,
        order_lines.sales_channel,
        order_lines.ordered_on,
        order_lines.ordered_units,
        max(order_lines.ordered_units) over (
            partition by order_lines.product_id, order_lines.sales_channel
            order by order_lines.ordered_at, order_lines.order_line_id
            rows between unbounded preceding and 1 preceding
        ) as most_units,
        count(*) over (
            partition by order_lines.product_id, order_lines.sales_channel
            order by order_lines.ordered_at, order_lines.order_line_id
            rows between unbounded preceding and 1 preceding
        ) as earlier_lines
    from order_lines

),

quantity_findings as (

    select
        'orders' as source,
        'units far above all earlier lines' as reason,
        order_line_id as row_key,
        ordered_on as date_day,
        cast(ordered_units as double) as figure,
        cast(most_units as double) as expected_figure
    from quantities
    where
        earlier_lines >= 20
        and ordered_units > {{ var('units_factor') }} * most_units

),

findings as (

    select * from gap_findings
    union all
    select * from volume_findings
    union all
    select * from level_findings
    union all
    select * from duplicate_lines
    union all
    select * from duplicate_movements
    union all
    select * from delivery_findings
    union all
    select * from price_findings
    union all
    select * from cost_findings
    union all
    select * from standard_cost_findings
    union all
    select * from unit_findings
    union all
    select * from quantity_findings

),

final as (

    select
        cast(source as varchar) as source,
        cast(reason as varchar) as reason,
        cast(row_key as varchar) as row_key,
        date_day,
        cast(round(figure, 2) as numeric(18, 2)) as figure,
        cast(round(expected_figure, 2) as numeric(18, 2)) as expected_figure
    from findings

)

-- ordered, so that two builds of the same inputs agree byte by byte and not only row by row
select * from final
order by source, reason, row_key, date_day
