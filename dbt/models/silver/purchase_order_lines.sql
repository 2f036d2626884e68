with purchase_orders as (

    select * from {{ ref('accepted_purchase_orders') }}

),

movements as (

    select * from {{ ref('accepted_movements') }}

),

daily_inventory as (

    select * from {{ ref('daily_inventory') }}

),

clock as (

    select max(date_day) as as_of
    from daily_inventory

),

receipts as (

    select
        movements.purchase_order_line_id,
        sum(movements.moved_units) as received_units,
        count(*) as receipts,
        min(movements.moved_on) as first_received_on,
        max(movements.moved_on) as last_received_on
    from movements
    inner join clock
        on movements.moved_on <= clock.as_of
    where movements.purchase_order_line_id is not null
    group by movements.purchase_order_line_id

),

compared as (

    select
        purchase_orders.*,
        clock.as_of,
        coalesce(receipts.received_units, 0) as received_units,
        coalesce(receipts.receipts, 0) as receipts,
        receipts.first_received_on,
        receipts.last_received_on,
        coalesce(receipts.received_units, 0) >= purchase_orders.ordered_units as is_complete
    from purchase_orders
    inner join clock
        on purchase_orders.ordered_on <= clock.as_of
    left join receipts
        on purchase_orders.purchase_order_line_id = receipts.purchase_order_line_id

),

final as (

    select
        purchase_order_line_id,
        purchase_order_id,
        supplier_id,
        warehouse_id,
        product_id,
        ordered_on,
        promised_on,
        as_of,
        cast(ordered_units as bigint) as ordered_units,
        cast(received_units as bigint) as received_units,
        cast(greatest(ordered_units - received_units, 0) as bigint) as open_units,
        cast(receipts as bigint) as receipts,
        first_received_on,
        last_received_on,
        unit_cost,
        case
            when is_complete then 'complete'
            when promised_on < as_of then 'late'
            when received_units > 0 then 'partial'
            else 'open'
        end as status,
        case when is_complete then {{ dbt.datediff('ordered_on', 'last_received_on', 'day') }} end as lead_time_days,
        case
            when is_complete then {{ dbt.datediff('promised_on', 'last_received_on', 'day') }}
            when promised_on < as_of then {{ dbt.datediff('promised_on', 'as_of', 'day') }}
        end as days_after_promise,
        -- what is neither delivered nor due yet is not known to be late
        case
            when is_complete then last_received_on <= promised_on
            when promised_on < as_of then false
        end as is_on_time
    from compared

)

select * from final
