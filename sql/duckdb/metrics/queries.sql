-- Counts, sums and percentiles of the queries that started in the window: in total, by UTC day, by environment
-- and by user, in one pass over the log. Times are milliseconds.
with log as (
    select
        environment,
        user_name,
        execution_status,
        total_elapsed_time,
        cast(start_time as date) as date_day
    from ({{ queries }}) as queries
    where
        start_time >= {{ window_start }}
        and start_time < {{ window_end }}
)

select
    case
        when grouping(date_day) = 0 then 'day'
        when grouping(environment) = 0 then 'environment'
        when grouping(user_name) = 0 then 'user'
        else 'total'
    end as grouped_by,
    coalesce(cast(date_day as varchar), environment, user_name) as group_key,
    count(*) as queries,
    count(case when execution_status <> 'SUCCESS' then 1 end) as failed_queries,
    count(total_elapsed_time) as timed_queries,
    cast(sum(total_elapsed_time) as bigint) as total_ms,
    percentile_cont(0.5) within group (order by total_elapsed_time) as p50_ms,
    percentile_cont(0.95) within group (order by total_elapsed_time) as p95_ms,
    max(total_elapsed_time) as max_ms
from log
group by grouping sets ((), (date_day), (environment), (user_name))
order by grouped_by, queries desc, group_key
