-- Credits that the warehouse of this session used in the window, idle time too. Up to three hours behind.
select sum(credits_used) as credits
from snowflake.account_usage.warehouse_metering_history
where
    cast(convert_timezone('UTC', start_time) as timestamp_ntz) >= {{ window_start }}
    and cast(convert_timezone('UTC', start_time) as timestamp_ntz) < {{ window_end }}
    and warehouse_name = current_warehouse()
