{#- Figures of a warehouse and day against the same weekday of the eight weeks before. -#}
{%- set weeks_before -%}
partition by measure, warehouse_id, weekday order by date_day rows between 8 preceding and 1 preceding
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
        count(*) as row_count
    from order_lines
    group by warehouse_id, ordered_on
    union all
    select
        'movements' as measure,
        warehouse_id,
        moved_on as date_day,
        count(*) as row_count
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
        coalesce(line_counts.row_count, 0) as row_count
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
        row_count
    from warehouse_volumes
    union all
    select
        measure,
        'all' as warehouse_id,
        date_day,
        weekday,
        sum(row_count) as row_count
    from warehouse_volumes
    group by measure, date_day, weekday

),

expected_volumes as (

    select
        *,
        count(*) over ({{ weeks_before }}) as weeks,
        cast(sum(row_count) over ({{ weeks_before }}) as double)
        / nullif(count(*) over ({{ weeks_before }}), 0) as usual_rows,
        max(row_count) over ({{ weeks_before }}) as most_rows
    from volumes

),

-- A quiet day may have no orders; goods still move. A day without either is a gap in the data.
volume_findings as (

    select
        measure as source,
        case
            when row_count = 0 then 'missing day'
            when row_count > usual_rows then 'volume above usual'
            else 'volume below usual'
        end as reason,
        warehouse_id as row_key,
        date_day,
        cast(row_count as double) as figure,
        usual_rows as expected_figure
    from expected_volumes
    where
        weeks >= 4
        and (
            (measure = 'movements' and row_count = 0 and usual_rows >= {{ var('missing_day_rows') }})
            or (
                row_count > {{ var('volume_factor') }} * usual_rows
                and row_count > {{ var('volume_factor') }} / 2.0 * most_rows
                and row_count >= {{ var('volume_rows') }}
            )
            or (
                measure = 'movements'
                and row_count > 0
                and row_count * {{ var('volume_factor') }} < usual_rows
                and usual_rows >= {{ var('volume_rows') }}
            )
        )

),

-- The same customer orders the same in the same second once.
duplicate_lines as (

    select
        'orders' as source,
        'duplicate under a new id' as reason,
        max(order_line_id) as row_key,
        min(ordered_on) as date_day,
        cast(count(*) as double) as figure,
        cast(1 as double) as expected_figure
    from order_lines
    group by customer_id, product_id, warehouse_id, sales_channel, ordered_at, ordered_units, unit_price
    having count(*) > 1

),

duplicate_movements as (

    select
        'movements' as source,
        'duplicate under a new id' as reason,
        max(movement_id) as row_key,
        min(moved_on) as date_day,
        cast(count(*) as double) as figure,
        cast(1 as double) as expected_figure
    from movements
    group by
        product_id, warehouse_id, movement_type, moved_units, moved_at, order_line_id, transfer_id,
        purchase_order_line_id
    having count(*) > 1

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

-- A feed that stopped before the others is late, and the days after its end are not days of zero.
feed_ends as (

    select
        'orders' as source,
        max(ordered_on) as last_day
    from order_lines
    union all
    select
        'movements' as source,
        max(moved_on) as last_day
    from movements

),

newest_day as (

    select max(last_day) as last_day
    from feed_ends

),

late_feeds as (

    select
        feed_ends.source,
        'late data' as reason,
        'all' as row_key,
        feed_ends.last_day as date_day,
        cast({{ dbt.datediff('feed_ends.last_day', 'newest_day.last_day', 'day') }} as double) as figure,
        cast(0 as double) as expected_figure
    from feed_ends
    cross join newest_day
    where {{ dbt.datediff('feed_ends.last_day', 'newest_day.last_day', 'day') }} > {{ var('late_days') }}

),

findings as (

    select * from volume_findings
    union all
    select * from duplicate_lines
    union all
    select * from duplicate_movements
    union all
    select * from price_findings
    union all
    select * from cost_findings
    union all
    select * from quantity_findings
    union all
    select * from late_feeds

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
