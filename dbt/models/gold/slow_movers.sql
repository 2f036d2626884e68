with daily_inventory as (

    select * from {{ ref('daily_inventory') }}

),

daily_demand as (

    select * from {{ ref('daily_demand') }}

),

products as (

    select * from {{ ref('accepted_products') }}

),

clock as (

    select max(date_day) as as_of
    from daily_inventory

),

on_hand as (

    select
        daily_inventory.product_id,
        daily_inventory.warehouse_id,
        daily_inventory.closing_units,
        daily_inventory.inventory_value,
        clock.as_of
    from daily_inventory
    inner join clock
        on daily_inventory.date_day = clock.as_of
    where daily_inventory.closing_units > 0

),

-- goods that never shipped are as old as their first stock
movement_days as (

    select
        product_id,
        warehouse_id,
        min(case when closing_units > 0 then date_day end) as first_stocked_on,
        max(case when shipped_units > 0 then date_day end) as last_shipped_on
    from daily_inventory
    group by product_id, warehouse_id

),

recent_demand as (

    select
        daily_demand.product_id,
        daily_demand.warehouse_id,
        sum(daily_demand.ordered_units) as recent_ordered_units
    from daily_demand
    cross join clock
    where daily_demand.date_day > {{ dbt.dateadd('day', -(var('dead_stock_days') | int), 'clock.as_of') }}
    group by daily_demand.product_id, daily_demand.warehouse_id

),

aged as (

    select
        on_hand.product_id,
        on_hand.warehouse_id,
        on_hand.as_of,
        on_hand.closing_units,
        on_hand.inventory_value,
        movement_days.first_stocked_on,
        movement_days.last_shipped_on,
        coalesce(recent_demand.recent_ordered_units, 0) as recent_ordered_units,
        {{ dbt.datediff(
            'coalesce(movement_days.last_shipped_on, movement_days.first_stocked_on)', 'on_hand.as_of', 'day'
        ) }} as idle_days
    from on_hand
    inner join movement_days
        on
            on_hand.product_id = movement_days.product_id
            and on_hand.warehouse_id = movement_days.warehouse_id
    left join recent_demand
        on
            on_hand.product_id = recent_demand.product_id
            and on_hand.warehouse_id = recent_demand.warehouse_id

),

final as (

    select
        aged.product_id,
        aged.warehouse_id,
        products.product_name,
        products.product_category,
        aged.as_of,
        aged.closing_units as on_hand_units,
        aged.inventory_value,
        aged.first_stocked_on,
        aged.last_shipped_on,
        cast(aged.idle_days as bigint) as idle_days,
        cast(aged.recent_ordered_units as bigint) as recent_ordered_units,
        cast(
            case when aged.idle_days >= {{ var('dead_stock_days') }} then 'dead' else 'slow' end as varchar
        ) as movement_class
    from aged
    left join products
        on aged.product_id = products.product_id
    where aged.idle_days >= {{ var('slow_mover_days') }}

)

-- ordered, so that two builds of the same inputs agree byte by byte and not only row by row
select * from final
order by product_id, warehouse_id
