-- A transfer takes from one warehouse what it gives to another, and of the same product. What has left and not arrived
-- is in transit; nothing arrives that has not left, unless missing data explains it.
with transfers as (

    select
        transfer_id,
        count(*) as number_of_movements,
        sum(moved_units) as balance_units,
        count(distinct product_id) as number_of_products,
        count(distinct warehouse_id) as number_of_warehouses,
        count(case when movement_type = 'transfer_out' then 1 end) as departures,
        count(case when movement_type = 'transfer_in' then 1 end) as arrivals,
        max(moved_on) as last_moved_on,
        min(movement_id) as first_movement_id,
        max(movement_id) as last_movement_id
    from {{ ref('accepted_movements') }}
    where transfer_id is not null
    group by transfer_id

)

select *
from transfers
where
    (
        balance_units > 0
        or number_of_products <> 1
        or departures = 0
        or (arrivals > 0 and number_of_warehouses <> 2)
    )
    and not {{ is_explained('transfers.last_moved_on') }}
order by transfer_id
