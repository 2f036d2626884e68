with daily_demand as (

    select * from {{ ref('daily_demand') }}

),

clock as (

    select max(date_day) as as_of
    from daily_demand

),

-- The last known day: of missing days there is no forecast.
last_days as (

    select
        product_id,
        warehouse_id,
        max(date_day) as date_day
    from {{ ref('forecast_history') }}
    group by product_id, warehouse_id

),

forecast_history as (

    select history.*
    from {{ ref('forecast_history') }} as history
    inner join last_days
        on
            history.product_id = last_days.product_id
            and history.warehouse_id = last_days.warehouse_id
            and history.date_day = last_days.date_day

),

final as (

    select
        forecast_history.product_id,
        forecast_history.warehouse_id,
        clock.as_of,
        forecast_history.window_days as demand_days,
        cast(forecast_history.demand_class as varchar) as demand_class,
        cast(
            case forecast_history.demand_class
                when 'none' then 'none'
                when 'intermittent' then 'croston'
                when 'lumpy' then 'tsb'
                else 'seasonal_smoothing'
            end as varchar
        ) as method,
        forecast_history.adi,
        forecast_history.cv2,
        forecast_history.forecast_daily_units,
        forecast_history.next_day_units,
        cast(forecast_history.forecast_daily_units * 28 as numeric(18, 4)) as forecast_28_days_units,
        forecast_history.error_days,
        forecast_history.error_stddev_units,
        cast(
            round(
                case
                    when forecast_history.error_stddev_units is not null
                        then coalesce(
                            sqrt(
                                cast(forecast_history.forecast_daily_units as double)
                                * sum(
                                    cast(forecast_history.error_stddev_units as double)
                                    * cast(forecast_history.error_stddev_units as double)
                                ) over (partition by forecast_history.product_id)
                                / nullif(
                                    sum(
                                        case
                                            when forecast_history.error_stddev_units is not null
                                                then cast(forecast_history.forecast_daily_units as double)
                                        end
                                    ) over (partition by forecast_history.product_id),
                                    0
                                )
                            ),
                            cast(forecast_history.error_stddev_units as double)
                        )
                end,
                4
            ) as numeric(18, 4)
        ) as pooled_stddev_units,
        {{ ratio('forecast_history.absolute_error_sum', 'forecast_history.naive_error_sum') }} as mase,
        {{ ratio('forecast_history.absolute_error_sum', 'forecast_history.actual_units') }} as wape,
        {{ ratio('-forecast_history.error_sum', 'forecast_history.actual_units') }} as bias
    from forecast_history
    cross join clock

)

-- ordered, so that two builds of the same inputs agree byte by byte and not only row by row
select * from final
order by product_id, warehouse_id
