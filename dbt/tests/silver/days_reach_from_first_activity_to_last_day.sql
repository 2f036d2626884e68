-- Each product and warehouse has every day from its first movement or order to the last day that counts.
with activity as (

    select
        product_id,
        warehouse_id,
        moved_on as active_on
    from {{ ref('accepted_movements') }}
    union all
    select
        product_id,
        warehouse_id,
        ordered_on as active_on
    from {{ ref('accepted_order_lines') }}

),

clock as (

    select {{ as_of_date('active_on') }} as last_day
    from activity

),

expected as (

    select
        activity.product_id,
        activity.warehouse_id,
        clock.last_day,
        min(activity.active_on) as first_day
    from activity
    inner join clock
        on activity.active_on <= clock.last_day
    group by activity.product_id, activity.warehouse_id, clock.last_day

),

built as (

    select
        product_id,
        warehouse_id,
        min(date_day) as first_day,
        max(date_day) as last_day,
        count(*) as number_of_days
    from {{ ref('daily_inventory') }}
    group by product_id, warehouse_id

)

select
    coalesce(expected.product_id, built.product_id) as product_id,
    coalesce(expected.warehouse_id, built.warehouse_id) as warehouse_id,
    expected.first_day as expected_first_day,
    built.first_day,
    expected.last_day as expected_last_day,
    built.last_day,
    built.number_of_days
from expected
full outer join built
    on
        expected.product_id = built.product_id
        and expected.warehouse_id = built.warehouse_id
where
    expected.product_id is null
    or built.product_id is null
    or expected.first_day <> built.first_day
    or expected.last_day <> built.last_day
    or built.number_of_days <> {{ dbt.datediff('expected.first_day', 'expected.last_day', 'day') }} + 1
order by product_id, warehouse_id
