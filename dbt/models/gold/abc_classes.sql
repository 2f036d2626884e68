with daily_demand as (

    select * from {{ ref('daily_demand') }}

),

products as (

    select * from {{ ref('accepted_products') }}

),

clock as (

    select max(date_day) as as_of
    from daily_demand

),

consumption as (

    select
        daily_demand.product_id,
        sum(daily_demand.shipped_units) as consumed_units
    from daily_demand
    cross join clock
    where daily_demand.date_day > {{ dbt.dateadd('day', -(var('consumption_window_days') | int), 'clock.as_of') }}
    group by daily_demand.product_id

),

-- every product has a class, including those never sold
valued as (

    select
        products.product_id,
        products.product_name,
        products.product_category,
        products.unit_cost,
        clock.as_of,
        cast(coalesce(consumption.consumed_units, 0) as bigint) as consumed_units,
        cast(
            cast(coalesce(consumption.consumed_units, 0) as bigint) * products.unit_cost as numeric(18, 2)
        ) as consumption_value
    from products
    cross join clock
    left join consumption
        on products.product_id = consumption.product_id

),

-- the product's number breaks ties, so that the same inputs give the same classes
ranked as (

    select
        product_id,
        product_name,
        product_category,
        unit_cost,
        as_of,
        consumed_units,
        consumption_value,
        row_number() over (order by consumption_value desc, product_id asc) as consumption_rank,
        cast(
            sum(consumption_value) over (
                order by consumption_value desc, product_id asc
                rows between unbounded preceding and current row
            ) as numeric(18, 2)
        ) as cumulative_value,
        cast(sum(consumption_value) over () as numeric(18, 2)) as total_value
    from valued

),

-- The class is decided by what the products ranked above already make up: the product that crosses a limit still
-- belongs to the better class, so there is an A even when the first product alone is more than the limit.
final as (

    select
        product_id,
        product_name,
        product_category,
        as_of,
        cast(consumption_rank as bigint) as consumption_rank,
        cast(consumed_units as bigint) as consumed_units,
        unit_cost,
        consumption_value,
        cumulative_value,
        total_value,
        {{ ratio('consumption_value', 'total_value', 6) }} as value_share,
        {{ ratio('cumulative_value', 'total_value', 6) }} as cumulative_share,
        cast(
            case
                when consumption_value = 0 then 'C'
                when cumulative_value - consumption_value < total_value * {{ var('abc_a_share') }} then 'A'
                when cumulative_value - consumption_value < total_value * {{ var('abc_b_share') }} then 'B'
                else 'C'
            end as varchar
        ) as abc_class
    from ranked

)

-- ordered, so that two builds of the same inputs agree byte by byte and not only row by row
select * from final
order by consumption_rank
