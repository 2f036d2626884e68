-- Nothing of silver is built until all of bronze has passed its tests: these two are not read here, and dbt lets
-- a failed test stop only the models that depend on everything the test looks at.
-- depends_on: {{ ref('stg_logistics__suppliers') }}
-- depends_on: {{ ref('stg_logistics__warehouses') }}
with movements as (

    select * from {{ ref('stg_logistics__inventory_movements') }}

),

order_lines as (

    select * from {{ ref('stg_logistics__customer_orders') }}

),

products as (

    select * from {{ ref('stg_logistics__products') }}

),

-- an order for a product that a warehouse never held is a stock-out, not a row to lose
activity as (

    select
        product_id,
        warehouse_id,
        moved_on as active_on
    from movements
    union all
    select
        product_id,
        warehouse_id,
        ordered_on as active_on
    from order_lines

),

clock as (

    select
        min(active_on) as first_day,
        {{ as_of_date('max(active_on)') }} as last_day
    from activity

),

-- the number stands in for both keys: sorting some million rows by one integer is several times faster
stocked as (

    select
        product_id,
        warehouse_id,
        min(active_on) as first_day,
        row_number() over (order by product_id, warehouse_id) as stocked_number
    from activity
    group by product_id, warehouse_id

),

-- 36,525 days are a century; the tests of this model find a spine that is too short
numbers as (

    {{ dbt.generate_series(36525) }}

),

calendar as (

    select cast({{ dbt.dateadd('day', 'numbers.generated_number - 1', 'clock.first_day') }} as date) as date_day
    from clock
    cross join numbers
    where numbers.generated_number <= {{ dbt.datediff('clock.first_day', 'clock.last_day', 'day') }} + 1

),

spine as (

    select
        calendar.date_day,
        stocked.stocked_number,
        stocked.product_id,
        stocked.warehouse_id
    from stocked
    inner join calendar
        on stocked.first_day <= calendar.date_day

),

daily_movements as (

    select
        stocked.stocked_number,
        movements.moved_on,
        sum(movements.moved_units) as net_units,
        sum(case when movements.movement_type = 'receipt' then movements.moved_units else 0 end) as received_units,
        sum(case when movements.movement_type = 'return' then movements.moved_units else 0 end) as returned_units,
        sum(case when movements.movement_type = 'transfer_in' then movements.moved_units else 0 end)
            as transferred_in_units,
        sum(case when movements.movement_type = 'shipment' then -movements.moved_units else 0 end) as shipped_units,
        sum(case when movements.movement_type = 'transfer_out' then -movements.moved_units else 0 end)
            as transferred_out_units,
        sum(case when movements.movement_type = 'adjustment' then movements.moved_units else 0 end) as adjusted_units
    from movements
    inner join stocked
        on
            movements.product_id = stocked.product_id
            and movements.warehouse_id = stocked.warehouse_id
    group by stocked.stocked_number, movements.moved_on

),

-- on a day without movement nothing is added, so the balance of the day before carries forward
balances as (

    select
        spine.date_day,
        spine.product_id,
        spine.warehouse_id,
        coalesce(daily_movements.net_units, 0) as net_units,
        coalesce(daily_movements.received_units, 0) as received_units,
        coalesce(daily_movements.returned_units, 0) as returned_units,
        coalesce(daily_movements.transferred_in_units, 0) as transferred_in_units,
        coalesce(daily_movements.shipped_units, 0) as shipped_units,
        coalesce(daily_movements.transferred_out_units, 0) as transferred_out_units,
        coalesce(daily_movements.adjusted_units, 0) as adjusted_units,
        cast(
            sum(coalesce(daily_movements.net_units, 0)) over (
                partition by spine.stocked_number
                order by spine.date_day
                rows between unbounded preceding and current row
            ) as bigint
        ) as closing_units
    from spine
    left join daily_movements
        on
            spine.stocked_number = daily_movements.stocked_number
            and spine.date_day = daily_movements.moved_on

),

final as (

    select
        balances.date_day,
        balances.product_id,
        balances.warehouse_id,
        cast(balances.closing_units - balances.net_units as bigint) as opening_units,
        cast(balances.received_units as bigint) as received_units,
        cast(balances.returned_units as bigint) as returned_units,
        cast(balances.transferred_in_units as bigint) as transferred_in_units,
        cast(balances.shipped_units as bigint) as shipped_units,
        cast(balances.transferred_out_units as bigint) as transferred_out_units,
        cast(balances.adjusted_units as bigint) as adjusted_units,
        balances.closing_units,
        cast(balances.closing_units * products.unit_cost as numeric(18, 2)) as inventory_value,
        balances.closing_units <= 0 as is_stock_out
    from balances
    left join products
        on balances.product_id = products.product_id

)

select * from final
