with purchase_order_lines as (

    select * from {{ ref('purchase_order_lines') }}

),

suppliers as (

    select * from {{ ref('stg_logistics__suppliers') }}

),

daily_inventory as (

    select * from {{ ref('daily_inventory') }}

),

closures as (

    select * from {{ ref('stg_logistics__supplier_closures') }}

),

clock as (

    select max(date_day) as as_of
    from daily_inventory

),

next_closures as (

    select
        closures.supplier_id,
        min(closures.closed_from) as next_closed_from,
        min(closures.closed_until) as next_closed_until
    from closures
    inner join clock
        on closures.closed_until > clock.as_of
    group by closures.supplier_id

),

-- Sums of integers, so that no order of addition changes a digit.
lines as (

    select
        supplier_id,
        count(*) as order_lines,
        count(lead_time_days) as complete_lines,
        count(is_on_time) as due_lines,
        sum(case when is_on_time then 1 else 0 end) as on_time_lines,
        sum(case when is_on_time is not null and status = 'complete' then 1 else 0 end) as in_full_lines,
        sum(case when receipts > 1 then 1 else 0 end) as split_lines,
        sum(case when status = 'late' then 1 else 0 end) as late_lines,
        sum(lead_time_days) as lead_time_sum,
        sum(lead_time_days * lead_time_days) as lead_time_squares,
        sum(case when is_on_time = false then days_after_promise end) as days_late_sum,
        sum(open_units) as open_units,
        sum(open_units * unit_cost) as open_value
    from purchase_order_lines
    group by supplier_id

),

measured as (

    select
        suppliers.supplier_id,
        suppliers.supplier_name,
        suppliers.lead_time_days as agreed_lead_time_days,
        suppliers.lead_time_stddev_days as agreed_lead_time_stddev_days,
        coalesce(lines.order_lines, 0) as order_lines,
        coalesce(lines.complete_lines, 0) as complete_lines,
        coalesce(lines.due_lines, 0) as due_lines,
        coalesce(lines.on_time_lines, 0) as on_time_lines,
        coalesce(lines.in_full_lines, 0) as in_full_lines,
        coalesce(lines.split_lines, 0) as split_lines,
        coalesce(lines.late_lines, 0) as late_lines,
        coalesce(lines.open_units, 0) as open_units,
        coalesce(lines.open_value, 0) as open_value,
        lines.days_late_sum,
        cast(lines.lead_time_sum as double) / nullif(lines.complete_lines, 0) as mean_lead_time,
        sqrt(
            cast(lines.complete_lines * lines.lead_time_squares - lines.lead_time_sum * lines.lead_time_sum as double)
            / nullif(lines.complete_lines * (lines.complete_lines - 1), 0)
        ) as stddev_lead_time,
        coalesce(lines.complete_lines, 0) >= {{ var('lead_time_min_lines') }} as is_measured
    from suppliers
    left join lines
        on suppliers.supplier_id = lines.supplier_id

),

final as (

    select
        measured.supplier_id,
        measured.supplier_name,
        clock.as_of,
        cast(measured.order_lines as bigint) as order_lines,
        cast(measured.complete_lines as bigint) as complete_lines,
        cast(measured.due_lines as bigint) as due_lines,
        cast(measured.on_time_lines as bigint) as on_time_lines,
        {{ ratio('measured.on_time_lines', 'measured.due_lines') }} as on_time_rate,
        cast(measured.in_full_lines as bigint) as in_full_lines,
        {{ ratio('measured.in_full_lines', 'measured.due_lines') }} as in_full_rate,
        cast(measured.split_lines as bigint) as split_lines,
        cast(measured.late_lines as bigint) as late_lines,
        {{ ratio('measured.days_late_sum', 'measured.due_lines - measured.on_time_lines', 2) }} as mean_days_late,
        cast(measured.open_units as bigint) as open_units,
        cast(measured.open_value as numeric(18, 2)) as open_value,
        cast(measured.agreed_lead_time_days as integer) as agreed_lead_time_days,
        cast(round(measured.mean_lead_time, 2) as numeric(8, 2)) as mean_lead_time_days,
        cast(round(measured.stddev_lead_time, 2) as numeric(8, 2)) as stddev_lead_time_days,
        next_closures.next_closed_from,
        next_closures.next_closed_until,
        measured.is_measured,
        cast(
            round(
                case when measured.is_measured then measured.mean_lead_time else measured.agreed_lead_time_days end, 2
            ) as numeric(8, 2)
        ) as planning_lead_time_days,
        cast(
            round(
                case
                    when measured.is_measured then measured.stddev_lead_time
                    else measured.agreed_lead_time_stddev_days
                end,
                2
            ) as numeric(8, 2)
        ) as planning_lead_time_stddev_days
    from measured
    cross join clock
    left join next_closures
        on measured.supplier_id = next_closures.supplier_id

)

-- ordered, so that two builds of the same inputs agree byte by byte and not only row by row
select * from final
order by supplier_id
