with daily_inventory as (

    select * from {{ ref('daily_inventory') }}

),

movements as (

    select * from {{ ref('accepted_movements') }}

),

products as (

    select * from {{ ref('accepted_products') }}

),

clock as (

    select max(date_day) as as_of
    from daily_inventory

),

stock as (

    select
        daily_inventory.product_id,
        daily_inventory.warehouse_id,
        daily_inventory.closing_units,
        daily_inventory.inventory_value,
        clock.as_of
    from daily_inventory
    inner join clock
        on daily_inventory.date_day = clock.as_of

),

arrivals as (

    select
        product_id,
        warehouse_id,
        moved_on,
        sum(moved_units) as arrived_units
    from movements
    where moved_units > 0
    group by product_id, warehouse_id, moved_on

),

-- The oldest leave first, so what is on hand is what came last.
layers as (

    select
        stock.product_id,
        stock.warehouse_id,
        stock.as_of,
        {{ dbt.datediff('arrivals.moved_on', 'stock.as_of', 'day') }} as age_days,
        stock.closing_units,
        arrivals.arrived_units,
        sum(arrivals.arrived_units) over (
            partition by stock.product_id, stock.warehouse_id
            order by arrivals.moved_on desc
            rows between unbounded preceding and current row
        ) as units_since
    from stock
    inner join arrivals
        on
            stock.product_id = arrivals.product_id
            and stock.warehouse_id = arrivals.warehouse_id
            and stock.as_of >= arrivals.moved_on

),

aged as (

    select
        product_id,
        warehouse_id,
        age_days,
        greatest(least(closing_units, units_since) - least(closing_units, units_since - arrived_units), 0) as units
    from layers

),

summed as (

    select
        product_id,
        warehouse_id,
        sum(units) as layered_units,
        sum(units * age_days) as unit_days,
        max(case when units > 0 then age_days end) as oldest_days,
        sum(
            case when age_days > {{ var('aged_days') }} and age_days <= {{ var('obsolete_days') }} then units else 0 end
        ) as aged_units,
        sum(case when age_days > {{ var('obsolete_days') }} then units else 0 end) as obsolete_units
    from aged
    group by product_id, warehouse_id

),

final as (

    select
        stock.product_id,
        stock.warehouse_id,
        products.product_name,
        stock.as_of,
        cast(stock.closing_units as bigint) as on_hand_units,
        cast(stock.inventory_value as numeric(18, 2)) as inventory_value,
        {{ ratio('summed.unit_days', 'summed.layered_units', 1) }} as mean_age_days,
        cast(summed.oldest_days as bigint) as oldest_days,
        cast(coalesce(summed.aged_units, 0) as bigint) as aged_units,
        cast(coalesce(summed.obsolete_units, 0) as bigint) as obsolete_units,
        cast(
            round(
                products.unit_cost * (
                    coalesce(summed.aged_units, 0) * cast({{ var('aged_write_down') }} as numeric(5, 4))
                    + coalesce(summed.obsolete_units, 0) * cast({{ var('obsolete_write_down') }} as numeric(5, 4))
                ),
                2
            ) as numeric(18, 2)
        ) as write_down_value
    from stock
    inner join products
        on stock.product_id = products.product_id
    left join summed
        on
            stock.product_id = summed.product_id
            and stock.warehouse_id = summed.warehouse_id

)

-- ordered, so that two builds of the same inputs agree byte by byte and not only row by row
select * from final
order by product_id, warehouse_id
