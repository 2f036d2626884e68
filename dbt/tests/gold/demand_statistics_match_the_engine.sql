-- ADI and CV2 of the classes agree with the engine's own avg and var over the same days, where none are missing.
with clock as (

    select max(date_day) as as_of
    from {{ ref('daily_demand') }}

),

expected as (

    select
        daily_demand.product_id,
        daily_demand.warehouse_id,
        cast(count(*) as double) / nullif(count(case when daily_demand.ordered_units > 0 then 1 end), 0) as adi,
        var_pop(case when daily_demand.ordered_units > 0 then cast(daily_demand.ordered_units as double) end)
        / (
            avg(case when daily_demand.ordered_units > 0 then cast(daily_demand.ordered_units as double) end)
            * avg(case when daily_demand.ordered_units > 0 then cast(daily_demand.ordered_units as double) end)
        ) as cv2
    from {{ ref('daily_demand') }} as daily_demand
    cross join clock
    where daily_demand.date_day > {{ dbt.dateadd('day', -(var('demand_window_days') | int), 'clock.as_of') }}
    group by daily_demand.product_id, daily_demand.warehouse_id

)

select
    forecast.product_id,
    forecast.warehouse_id,
    expected.adi as expected_adi,
    forecast.adi,
    expected.cv2 as expected_cv2,
    forecast.cv2
from {{ ref('demand_forecast') }} as forecast
inner join expected
    on
        forecast.product_id = expected.product_id
        and forecast.warehouse_id = expected.warehouse_id
where
    (
        abs(forecast.adi - expected.adi) > 0.0001
        or abs(forecast.cv2 - expected.cv2) > 0.0001
        or (forecast.adi is null) <> (expected.adi is null)
    )
    and not exists (
        select 1
        from {{ ref('suspicious_data') }} as findings
        where
            findings.source = 'orders'
            and findings.reason in ('missing days', 'late data')
            and findings.warehouse_id in (forecast.warehouse_id, 'all')
    )
order by forecast.product_id, forecast.warehouse_id
