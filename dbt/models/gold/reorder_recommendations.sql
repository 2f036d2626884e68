with inventory_position as (

    select * from {{ ref('inventory_position') }}

),

demand_forecast as (

    select * from {{ ref('demand_forecast') }}

),

supplier_scorecard as (

    select * from {{ ref('supplier_scorecard') }}

),

products as (

    select * from {{ ref('accepted_products') }}

),

left_out_prices as (

    select row_key
    from {{ ref('suspicious_data') }}
    where
        source = 'price lists'
        and handling = 'left out'

),

price_breaks as (

    select prices.*
    from {{ ref('stg_logistics__price_breaks') }} as prices
    left join left_out_prices
        on prices.product_id || ' from ' || cast(prices.minimum_units as varchar) = left_out_prices.row_key
    where left_out_prices.row_key is null

),

-- A product without a price list is bought at its standard cost, in any number.
minimum_orders as (

    select
        product_id,
        min(minimum_units) as minimum_order_units
    from price_breaks
    group by product_id

),

position_now as (

    select
        inventory_position.*,
        products.product_name,
        products.supplier_id,
        products.pack_size_units,
        products.unit_cost,
        demand_forecast.as_of,
        demand_forecast.demand_class,
        demand_forecast.demand_days,
        demand_forecast.forecast_daily_units,
        demand_forecast.pooled_stddev_units as error_stddev_units,
        supplier_scorecard.planning_lead_time_days,
        supplier_scorecard.planning_lead_time_stddev_days,
        coalesce(minimum_orders.minimum_order_units, 1) as minimum_order_units,
        cast(
            least(
                greatest(
                    1 - {{ var('risk_per_cost') }} * products.unit_cost, {{ var('service_level_min') }}
                ),
                {{ var('service_level_max') }}
            ) as numeric(9, 6)
        ) as service_level
    from inventory_position
    inner join demand_forecast
        on
            inventory_position.product_id = demand_forecast.product_id
            and inventory_position.warehouse_id = demand_forecast.warehouse_id
            and inventory_position.date_day = demand_forecast.as_of
    inner join products
        on inventory_position.product_id = products.product_id
    inner join supplier_scorecard
        on products.supplier_id = supplier_scorecard.supplier_id
    left join minimum_orders
        on inventory_position.product_id = minimum_orders.product_id

),

scored as (

    select
        *,
        cast(round({{ normal_quantile('cast(service_level as double)') }}, 6) as numeric(9, 6)) as z_score,
        cast(planning_lead_time_days + {{ var('review_days') }} as double) as protection_days
    from position_now

),

-- rounded here once: what is shown is what the next step reckons with, so a reader can check each figure
planned as (

    select
        *,
        cast(round(forecast_daily_units * planning_lead_time_days, 4) as numeric(18, 4)) as lead_time_demand_units,
        cast(round(cast(forecast_daily_units as double) * protection_days, 4) as numeric(18, 4))
            as protection_demand_units,
        cast(
            round(
                {{ var('safety_factor') }} * cast(z_score as double) * sqrt(
                    protection_days * cast(error_stddev_units as double) * cast(error_stddev_units as double)
                    + cast(forecast_daily_units as double) * cast(forecast_daily_units as double)
                    * cast(planning_lead_time_stddev_days as double) * cast(planning_lead_time_stddev_days as double)
                ),
                4
            ) as numeric(18, 4)
        ) as safety_stock_units,
        cast(ceil(round(cast(forecast_daily_units as double) * {{ var('order_cycle_days') }}, 4)) as bigint)
            as order_cycle_demand_units
    from scored

),

reorder_points as (

    select
        *,
        cast(ceil(protection_demand_units + safety_stock_units) as bigint) as reorder_point_units
    from planned

),

-- No demand, no reorder. What is on order or in transit counts as there: no need is ordered twice.
decided as (

    select
        *,
        reorder_point_units + order_cycle_demand_units as order_up_to_units,
        case
            when reorder_point_units is null then 'unknown'
            when forecast_daily_units = 0 or position_units > reorder_point_units then 'none'
            when on_hand_units <= 0 then 'critical'
            when position_units < lead_time_demand_units then 'high'
            else 'normal'
        end as priority
    from reorder_points

),

needed as (

    select
        *,
        case
            when priority = 'unknown' then null
            when priority = 'none' then 0
            else
                cast(
                    ceil(
                        cast(greatest(order_up_to_units - position_units, minimum_order_units) as double)
                        / pack_size_units
                    ) as bigint
                ) * pack_size_units
        end as needed_units
    from decided

),

priced as (

    select
        needed.product_id,
        needed.warehouse_id,
        min(price_breaks.unit_cost) as unit_cost
    from needed
    inner join price_breaks
        on
            needed.product_id = price_breaks.product_id
            and needed.needed_units >= price_breaks.minimum_units
    group by needed.product_id, needed.warehouse_id

),

-- A larger quantity at a lower price pays when the saving is more than the cost of holding the units that are not
-- needed yet, each for as long as the needed ones last.
break_offers as (

    select
        needed.product_id,
        needed.warehouse_id,
        price_breaks.minimum_units as offered_units,
        price_breaks.unit_cost as offered_cost,
        row_number() over (
            partition by needed.product_id, needed.warehouse_id
            order by price_breaks.minimum_units desc
        ) as offer_rank
    from needed
    inner join price_breaks
        on needed.product_id = price_breaks.product_id
    left join priced
        on
            needed.product_id = priced.product_id
            and needed.warehouse_id = priced.warehouse_id
    where
        needed.needed_units > 0
        and price_breaks.minimum_units > needed.needed_units
        and price_breaks.minimum_units - needed.needed_units
        <= needed.forecast_daily_units * {{ var('price_break_days') }}
        and price_breaks.minimum_units * (coalesce(priced.unit_cost, needed.unit_cost) - price_breaks.unit_cost)
        > (price_breaks.minimum_units - needed.needed_units) * price_breaks.unit_cost
        * cast({{ var('holding_rate') }} as double) / 365 * needed.needed_units
        / cast(needed.forecast_daily_units as double)
        and mod(price_breaks.minimum_units, needed.pack_size_units) = 0

),

suggested as (

    select
        needed.*,
        coalesce(break_offers.offered_units, needed.needed_units) as suggested_units,
        break_offers.offered_units is not null as takes_price_break
    from needed
    left join break_offers
        on
            needed.product_id = break_offers.product_id
            and needed.warehouse_id = break_offers.warehouse_id
            and break_offers.offer_rank = 1

),

costs as (

    select
        suggested.product_id,
        suggested.warehouse_id,
        min(price_breaks.unit_cost) as order_unit_cost
    from suggested
    inner join price_breaks
        on
            suggested.product_id = price_breaks.product_id
            and suggested.suggested_units >= price_breaks.minimum_units
    group by suggested.product_id, suggested.warehouse_id

),

final as (

    select
        suggested.product_id,
        suggested.warehouse_id,
        suggested.product_name,
        suggested.supplier_id,
        suggested.as_of,
        cast(suggested.on_hand_units as bigint) as on_hand_units,
        cast(suggested.on_order_units as bigint) as on_order_units,
        cast(suggested.in_transit_units as bigint) as in_transit_units,
        cast(suggested.backordered_units as bigint) as backordered_units,
        cast(suggested.position_units as bigint) as position_units,
        suggested.demand_class,
        suggested.demand_days,
        suggested.forecast_daily_units,
        suggested.error_stddev_units,
        {{ ratio('suggested.on_hand_units', 'suggested.forecast_daily_units', 2) }} as days_of_cover,
        suggested.planning_lead_time_days as lead_time_days,
        suggested.planning_lead_time_stddev_days as lead_time_stddev_days,
        suggested.service_level,
        suggested.z_score,
        suggested.lead_time_demand_units,
        suggested.protection_demand_units,
        suggested.safety_stock_units,
        suggested.reorder_point_units,
        cast(suggested.order_up_to_units as bigint) as order_up_to_units,
        suggested.pack_size_units,
        cast(suggested.minimum_order_units as bigint) as minimum_order_units,
        cast(suggested.suggested_units as bigint) as suggested_units,
        suggested.takes_price_break,
        cast(coalesce(costs.order_unit_cost, suggested.unit_cost) as numeric(12, 2)) as order_unit_cost,
        cast(
            cast(suggested.suggested_units as bigint) * coalesce(costs.order_unit_cost, suggested.unit_cost)
            as numeric(18, 2)
        ) as suggested_value,
        cast(suggested.priority as varchar) as priority
    from suggested
    left join costs
        on
            suggested.product_id = costs.product_id
            and suggested.warehouse_id = costs.warehouse_id

)

-- ordered, so that two builds of the same inputs agree byte by byte and not only row by row
select * from final
order by product_id, warehouse_id
