-- The shares of value add up to 1 (to the rounding of each), the running share ends at 1, and the units consumed are
-- those that silver shipped in the window.
with classes as (

    select
        count(*) as number_of_products,
        sum(consumption_value) as consumption_value,
        max(total_value) as total_value,
        sum(value_share) as value_share,
        max(cumulative_share) as last_cumulative_share,
        sum(consumed_units) as consumed_units
    from {{ ref('abc_classes') }}

),

clock as (

    select max(date_day) as as_of
    from {{ ref('daily_demand') }}

),

silver as (

    select sum(daily_demand.shipped_units) as shipped_units
    from {{ ref('daily_demand') }} as daily_demand
    cross join clock
    where daily_demand.date_day > {{ dbt.dateadd('day', -(var('consumption_window_days') | int), 'clock.as_of') }}

)

select
    classes.number_of_products,
    classes.consumption_value,
    classes.total_value,
    classes.value_share,
    classes.last_cumulative_share,
    silver.shipped_units as consumed_units_in,
    classes.consumed_units as consumed_units_out
from classes
cross join silver
where
    classes.consumption_value <> classes.total_value
    or abs(classes.value_share - 1) > 0.000001 * classes.number_of_products
    or classes.last_cumulative_share <> 1
    or silver.shipped_units <> classes.consumed_units
