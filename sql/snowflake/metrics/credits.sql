-- Compute credits of the window by query tag. Up to eight hours behind; queries under about 100 ms and the time
-- that a warehouse idles are not in it.
select
    query_tag,
    sum(credits_attributed_compute) as credits
from snowflake.account_usage.query_attribution_history
where
    cast(convert_timezone('UTC', start_time) as timestamp_ntz) >= {{ window_start }}
    and cast(convert_timezone('UTC', start_time) as timestamp_ntz) < {{ window_end }}
group by query_tag
order by query_tag
