-- How often each node of the window's runs was executed, failed, and how long it took: the twenty that took longest
-- in total, and the twenty that failed most often. One pass over the node log: `max_by` keeps the values of the
-- newest run while it reads. It skips nulls, so they are replaced by empty texts before it. A node that the project
-- no longer has is marked as removed by the run that noticed, and is left out.
with totals as (
    select
        environment,
        node_id,
        count(case when status <> 'removed' then 1 end) as executions,
        count(case when status in ('fail', 'error') then 1 end) as failed_executions,
        count(seconds) as timed_executions,
        sum(seconds) as total_seconds,
        percentile_cont(0.95) within group (order by seconds) as p95_seconds,
        max(seconds) as max_seconds,
        max_by(name, run_started_at) as name,
        max_by(kind, run_started_at) as kind,
        nullif(max_by(coalesce(layer, ''), run_started_at), '') as layer,
        nullif(max_by(coalesce(path, ''), run_started_at), '') as path,
        max_by(status, run_started_at) as last_status,
        max_by(
            message, case when status in ('fail', 'error') and message is not null then run_started_at end
        ) as last_message
    from ({{ nodes }}) as nodes
    where
        run_started_at >= {{ window_start }}
        and run_started_at < {{ window_end }}
        and status <> 'skipped'
    group by environment, node_id
),

ranked as (
    select
        *,
        row_number() over (order by coalesce(total_seconds, 0) desc, environment asc, node_id asc) as slowness,
        row_number() over (
            order by failed_executions desc, coalesce(total_seconds, 0) desc, environment asc, node_id asc
        ) as failing
    from totals
    where last_status <> 'removed'
)

select *
from ranked
where
    slowness <= 20
    or (failing <= 20 and failed_executions > 0)
order by slowness
