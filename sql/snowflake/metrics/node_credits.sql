-- Compute credits of the window by query tag and dbt node, which dbt writes into a comment of each statement. As far
-- behind as its sources, and it leaves out what they leave out.
select
    attributed.query_tag,
    regexp_substr(logged.query_text, '"node_id": "([^"]+)"', 1, 1, 'e', 1) as node_id,
    sum(attributed.credits_attributed_compute) as credits
from snowflake.account_usage.query_attribution_history as attributed
inner join snowflake.account_usage.query_history as logged
    on attributed.query_id = logged.query_id
where
    cast(convert_timezone('UTC', attributed.start_time) as timestamp_ntz) >= {{ window_start }}
    and cast(convert_timezone('UTC', attributed.start_time) as timestamp_ntz) < {{ window_end }}
    and cast(convert_timezone('UTC', logged.start_time) as timestamp_ntz) >= {{ window_start }}
    and cast(convert_timezone('UTC', logged.start_time) as timestamp_ntz) < {{ window_end }}
group by attributed.query_tag, node_id
order by credits desc, attributed.query_tag asc, node_id asc
