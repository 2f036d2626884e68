-- Mean and deviation from sums of integers agree with the engine's own avg and stddev over the same days.
with clock as (

    select max(date_day) as as_of
    from {{ ref('daily_demand') }}

),

expected as (

    select
        daily_demand.product_id,
        daily_demand.warehouse_id,
        avg(cast(daily_demand.ordered_units as double)) as mean_units,
        stddev_samp(cast(daily_demand.ordered_units as double)) as stddev_units
    from {{ ref('daily_demand') }} as daily_demand
    cross join clock
    where daily_demand.date_day > {{ dbt.dateadd('day', -(var('demand_window_days') | int), 'clock.as_of') }}
    group by daily_demand.product_id, daily_demand.warehouse_id

)

select
    recommendations.product_id,
    recommendations.warehouse_id,
    expected.mean_units as expected_mean_units,
    recommendations.mean_daily_demand_units,
    expected.stddev_units as expected_stddev_units,
    recommendations.stddev_daily_demand_units
from {{ ref('reorder_recommendations') }} as recommendations
inner join expected
    on
        recommendations.product_id = expected.product_id
        and recommendations.warehouse_id = expected.warehouse_id
where
    abs(recommendations.mean_daily_demand_units - expected.mean_units) > 0.0001
    or abs(recommendations.stddev_daily_demand_units - expected.stddev_units) > 0.0001
order by recommendations.product_id, recommendations.warehouse_id
