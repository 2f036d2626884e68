with daily_demand as (

    select * from {{ ref('daily_demand') }}

),

daily_inventory as (

    select * from {{ ref('daily_inventory') }}

),

products as (

    select * from {{ ref('accepted_products') }}

),

clock as (

    select
        max(date_day) as as_of,
        cast({{ dbt.dateadd('day', -(var('turnover_window_days') | int), 'max(date_day)') }} as date) as window_start
    from daily_inventory

),

sales as (

    select
        daily_demand.product_id,
        sum(daily_demand.revenue) as revenue,
        sum(daily_demand.cost_of_goods_sold) as cost_of_goods_sold
    from daily_demand
    inner join clock
        on daily_demand.date_day > clock.window_start
    group by daily_demand.product_id

),

stock as (

    select
        daily_inventory.product_id,
        count(distinct daily_inventory.date_day) as window_days,
        sum(daily_inventory.inventory_value) as inventory_value_days
    from daily_inventory
    inner join clock
        on daily_inventory.date_day > clock.window_start
    group by daily_inventory.product_id

),

final as (

    select
        products.product_id,
        products.product_name,
        clock.as_of,
        cast(coalesce(stock.window_days, 0) as bigint) as window_days,
        cast(coalesce(sales.revenue, 0) as numeric(18, 2)) as revenue,
        cast(coalesce(sales.cost_of_goods_sold, 0) as numeric(18, 2)) as cost_of_goods_sold,
        cast(coalesce(sales.revenue - sales.cost_of_goods_sold, 0) as numeric(18, 2)) as gross_margin,
        cast(coalesce(stock.inventory_value_days, 0) as numeric(18, 2)) as inventory_value_days,
        -- (margin / days x 365) over (sum of daily values / days): the days of the window cancel out
        {{ ratio('(sales.revenue - sales.cost_of_goods_sold) * 365', 'stock.inventory_value_days') }} as gmroi
    from products
    cross join clock
    left join sales
        on products.product_id = sales.product_id
    left join stock
        on products.product_id = stock.product_id

)

-- ordered, so that two builds of the same inputs agree byte by byte and not only row by row
select * from final
order by product_id
