{#- The weight of a day is g to the power of its number, so that a weighted mean of all days up to one is a quotient of
    two running sums: exponential smoothing without recursion. The sum of the weights themselves is a geometric series. -#}
{%- set growth = 1 / (1 - (var('smoothing') | float)) -%}
{#- Windows of one item, a product in a warehouse. An error is known at the day of its forecast, and counts from the day
    after. -#}
{%- set by_day -%}
partition by item_number order by date_day
{%- endset -%}
{%- set so_far -%}
{{ by_day }} rows between unbounded preceding and current row
{%- endset -%}
{%- set recent -%}
{{ by_day }} rows between {{ var('demand_window_days') | int - 1 }} preceding and current row
{%- endset -%}
{%- set recent_forecasts -%}
{{ by_day }} rows between {{ var('demand_window_days') | int }} preceding and 1 preceding
{%- endset -%}

with demand as (

    select
        date_day,
        product_id,
        warehouse_id,
        ordered_units
    from {{ ref('daily_demand') }}

),

first_days as (

    select
        product_id,
        warehouse_id,
        min(date_day) as first_day
    from demand
    group by product_id, warehouse_id

),

-- Products that a warehouse has had since the same day share a calendar: their days, and with them the weights.
items as (

    select
        *,
        row_number() over (order by product_id, warehouse_id) as item_number,
        dense_rank() over (order by warehouse_id, first_day) as calendar_number
    from first_days

),

gaps as (

    select
        warehouse_id,
        date_day,
        until_day
    from {{ ref('suspicious_data') }}
    where
        source = 'orders'
        and reason in ('missing days', 'late data')

),

-- A day without orders because they are missing is unknown, not a day of zero: the forecast of the day before holds.
daily_demand as (

    select
        items.item_number,
        items.calendar_number,
        demand.warehouse_id,
        demand.date_day,
        cast(demand.ordered_units as double) as units
    from demand
    inner join items
        on
            demand.product_id = items.product_id
            and demand.warehouse_id = items.warehouse_id
    left join gaps
        on
            gaps.warehouse_id in (demand.warehouse_id, 'all')
            and demand.date_day between gaps.date_day and gaps.until_day
            and demand.date_day > items.first_day
    where gaps.date_day is null

),

-- Day 0 is a Monday.
warehouse_days as (

    select
        warehouse_id,
        date_day,
        mod({{ dbt.datediff("cast('2000-01-03' as date)", 'date_day', 'day') }}, 7) as weekday,
        sum(units) as units
    from daily_demand
    group by warehouse_id, date_day

),

weekday_means as (

    select
        warehouse_id,
        date_day,
        sum(units) over (
            partition by warehouse_id, weekday
            order by date_day rows between unbounded preceding and current row
        ) / count(*) over (
            partition by warehouse_id, weekday
            order by date_day rows between unbounded preceding and current row
        ) as weekday_mean,
        sum(units) over (
            partition by warehouse_id
            order by date_day rows between unbounded preceding and current row
        ) / count(*) over (
            partition by warehouse_id
            order by date_day rows between unbounded preceding and current row
        ) as day_mean,
        count(*) over (
            partition by warehouse_id, weekday
            order by date_day rows between unbounded preceding and current row
        ) as weeks
    from warehouse_days

),

-- One product and warehouse has too few orders for a weekly pattern, a warehouse has enough after four weeks.
weekday_indices as (

    select
        warehouse_id,
        date_day,
        case when weeks >= 4 and weekday_mean > 0 then weekday_mean / day_mean else 1.0 end as weekday_index
    from weekday_means

),

-- The day after has the weekday of six days ago.
indices as (

    select
        warehouse_id,
        date_day,
        weekday_index,
        coalesce(lag(weekday_index, 6) over (partition by warehouse_id order by date_day), 1.0) as next_weekday_index
    from weekday_indices

),

calendars as (

    select distinct
        calendar_number,
        warehouse_id,
        date_day
    from daily_demand

),

numbered_days as (

    select
        calendars.calendar_number,
        calendars.date_day,
        indices.weekday_index,
        indices.next_weekday_index,
        row_number() over (partition by calendars.calendar_number order by calendars.date_day) as day_number
    from calendars
    inner join indices
        on
            calendars.warehouse_id = indices.warehouse_id
            and calendars.date_day = indices.date_day

),

weighted_days as (

    select
        *,
        power({{ growth }}, day_number) as day_weight,
        {{ growth }} * (power({{ growth }}, day_number) - 1) / ({{ growth }} - 1) as day_weights,
        sum(weekday_index * power({{ growth }}, day_number)) over (
            partition by calendar_number order by date_day rows between unbounded preceding and current row
        ) as index_weights
    from numbered_days

),

counted as (

    select
        *,
        count(case when units > 0 then 1 end) over ({{ so_far }}) as demand_number,
        count(case when units > 0 then 1 end) over ({{ recent }}) as window_demands,
        lead(units) over ({{ by_day }}) as next_units,
        abs(units - lag(units, 7) over ({{ by_day }})) as naive_error
    from daily_demand

),

-- Only a day with demand changes what has been summed so far, and most days have none.
demands as (

    select
        counted.item_number,
        counted.date_day,
        counted.demand_number,
        counted.units,
        weighted_days.day_number,
        weighted_days.day_weight,
        power({{ growth }}, counted.demand_number) as demand_weight,
        {{ growth }} * (power({{ growth }}, counted.demand_number) - 1) / ({{ growth }} - 1) as demand_weights
    from counted
    inner join weighted_days
        on
            counted.calendar_number = weighted_days.calendar_number
            and counted.date_day = weighted_days.date_day
    where counted.units > 0

),

-- The first interval is from the first day. The weighted sum of the intervals is that of the days of demand, less the
-- same of the demand before: g times the sum without the last.
summed_demands as (

    select
        item_number,
        demand_number,
        sum(units) over ({{ so_far }}) as units,
        sum(units * units) over ({{ so_far }}) as squares,
        sum(case when day_number > 28 then units else 0 end) over ({{ so_far }}) as tested_units,
        sum(units * day_weight) over ({{ so_far }}) as weighted_units,
        sum(day_weight) over ({{ so_far }}) as weighted_demands,
        sum(units * demand_weight) over ({{ so_far }}) / demand_weights as demand_size,
        (
            {{ growth }} * day_number * demand_weight
            - ({{ growth }} - 1) * sum(day_number * demand_weight) over ({{ so_far }})
        ) / demand_weights as demand_interval
    from demands

),

smoothed as (

    select
        counted.item_number,
        counted.date_day,
        counted.next_units,
        counted.naive_error,
        counted.window_demands,
        weighted_days.day_number,
        weighted_days.next_weekday_index,
        latest.demand_size,
        latest.demand_interval,
        coalesce(latest.weighted_units, 0) / weighted_days.index_weights as seasonal_level,
        coalesce(latest.weighted_demands, 0) / weighted_days.day_weights as demand_probability,
        least(weighted_days.day_number, {{ var('demand_window_days') | int }}) as window_days,
        {%- for column in ['units', 'squares', 'tested_units'] %}
        coalesce(latest.{{ column }}, 0) - coalesce(earlier.{{ column }}, 0)
            as window_{{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from counted
    inner join weighted_days
        on
            counted.calendar_number = weighted_days.calendar_number
            and counted.date_day = weighted_days.date_day
    left join summed_demands as latest
        on
            counted.item_number = latest.item_number
            and counted.demand_number = latest.demand_number
    left join summed_demands as earlier
        on
            counted.item_number = earlier.item_number
            and counted.demand_number - counted.window_demands = earlier.demand_number

),

measured as (

    select
        *,
        cast(window_days as double) / nullif(window_demands, 0) as adi,
        window_squares * window_demands / nullif(window_units * window_units, 0) - 1 as cv2
    from smoothed

),

classified as (

    select
        *,
        case
            when window_demands = 0 then 'none'
            when adi < 1.32 and cv2 < 0.49 then 'smooth'
            when adi < 1.32 then 'erratic'
            when cv2 < 0.49 then 'intermittent'
            else 'lumpy'
        end as demand_class
    from measured

),

forecast as (

    select
        *,
        case demand_class
            when 'none' then 0
            when 'intermittent' then (1 - {{ var('smoothing') }} / 2.0) * demand_size / demand_interval
            when 'lumpy' then demand_probability * demand_size
            else seasonal_level
        end as daily_rate,
        case when demand_class in ('smooth', 'erratic') then next_weekday_index else 1.0 end as next_day_index
    from classified

),

tested as (

    select
        *,
        next_units - daily_rate * next_day_index as next_error
    from forecast

),

-- The first four weeks of a product teach, and test nothing.
summed as (

    select
        *,
        greatest(least(day_number - 28, {{ var('demand_window_days') | int }}), 0) as error_days,
        sum(case when day_number >= 28 then next_error end) over ({{ recent_forecasts }}) as error_sum,
        sum(case when day_number >= 28 then abs(next_error) end) over ({{ recent_forecasts }}) as absolute_error_sum,
        sum(case when day_number >= 28 then next_error * next_error end) over ({{ recent_forecasts }})
            as squared_error_sum,
        case when day_number > 28 then window_tested_units end as actual_units,
        sum(case when day_number > 28 then naive_error end) over ({{ recent }}) as naive_error_sum
    from tested

),

named as (

    select
        summed.*,
        items.product_id,
        items.warehouse_id
    from summed
    inner join items
        on summed.item_number = items.item_number

),

-- With too few errors the spread of demand itself is what is known.
final as (

    select
        date_day,
        product_id,
        warehouse_id,
        cast(window_days as bigint) as window_days,
        cast(window_demands as bigint) as window_demands,
        cast(round(adi, 4) as numeric(18, 4)) as adi,
        cast(round(cv2, 4) as numeric(18, 4)) as cv2,
        demand_class,
        cast(round(daily_rate, 4) as numeric(18, 4)) as forecast_daily_units,
        cast(round(daily_rate * next_day_index, 4) as numeric(18, 4)) as next_day_units,
        cast(error_days as bigint) as error_days,
        cast(
            round(
                case
                    when error_days >= 28 then sqrt(squared_error_sum / error_days)
                    when window_days > 1
                        then sqrt(
                            greatest(window_days * window_squares - window_units * window_units, 0)
                            / (window_days * (window_days - 1))
                        )
                end,
                4
            ) as numeric(18, 4)
        ) as error_stddev_units,
        cast(round(actual_units, 0) as bigint) as actual_units,
        cast(round(error_sum, 4) as numeric(18, 4)) as error_sum,
        cast(round(absolute_error_sum, 4) as numeric(18, 4)) as absolute_error_sum,
        cast(round(naive_error_sum, 0) as bigint) as naive_error_sum
    from named

)

select * from final
