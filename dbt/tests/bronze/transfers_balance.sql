-- A transfer takes from one warehouse what it gives to another, and of the same product. What has left and not arrived
-- is in transit; nothing arrives that has not left.
select
    transfer_id,
    count(*) as number_of_movements,
    sum(moved_units) as balance_units,
    count(distinct product_id) as number_of_products,
    count(distinct warehouse_id) as number_of_warehouses,
    min(movement_id) as first_movement_id,
    max(movement_id) as last_movement_id
from {{ ref('stg_logistics__inventory_movements') }}
where transfer_id is not null
group by transfer_id
having
    sum(moved_units) > 0
    or count(distinct product_id) <> 1
    or count(case when movement_type = 'transfer_out' then 1 end) = 0
    or (
        count(case when movement_type = 'transfer_in' then 1 end) > 0
        and count(distinct warehouse_id) <> 2
    )
order by transfer_id
