-- How often each node of the window's runs was executed, failed, and how long it took, and how long in the window
-- before: the twenty that took longest in total, the twenty that failed most often, the twenty models, seeds and
-- snapshots whose mean time grew most, and the twenty tests that took longest. One pass over the node log: `max_by`
-- keeps the values of the newest run while it reads. It skips nulls, so they are replaced by empty texts before it. A
-- node that the project no longer has is marked as removed by the run that noticed, and is left out.
with executed as (
    select
        *,
        run_started_at >= {{ window_start }} as is_in_window,
        case when run_started_at >= {{ window_start }} then seconds end as window_seconds,
        case when run_started_at < {{ before_end }} then seconds end as previous_seconds
    from ({{ nodes }}) as nodes
    where
        run_started_at >= {{ before_start }}
        and run_started_at < {{ window_end }}
        and status <> 'skipped'
),

totals as (
    select
        environment,
        node_id,
        count(case when is_in_window and status <> 'removed' then 1 end) as executions,
        count(case when is_in_window and status in ('fail', 'error') then 1 end) as failed_executions,
        count(window_seconds) as timed_executions,
        sum(window_seconds) as total_seconds,
        percentile_cont(0.95) within group (order by window_seconds) as p95_seconds,
        max(window_seconds) as max_seconds,
        count(previous_seconds) as previous_executions,
        sum(previous_seconds) as previous_total_seconds,
        max_by(name, run_started_at) as name,
        max_by(kind, run_started_at) as kind,
        nullif(max_by(coalesce(layer, ''), run_started_at), '') as layer,
        nullif(max_by(coalesce(path, ''), run_started_at), '') as path,
        max_by(status, run_started_at) as last_status,
        max_by(
            message,
            case when is_in_window and status in ('fail', 'error') and message is not null then run_started_at end
        ) as last_message
    from executed
    group by environment, node_id
),

compared as (
    select
        *,
        case when kind in ('test', 'unit_test') then 1 else 0 end as is_test,
        case
            when timed_executions > 0 and previous_executions > 0
                then total_seconds / timed_executions - previous_total_seconds / previous_executions
        end as change_seconds
    from totals
    where
        last_status <> 'removed'
        and executions > 0
),

ranked as (
    select
        *,
        row_number() over (order by coalesce(total_seconds, 0) desc, environment asc, node_id asc) as slowness,
        row_number() over (
            order by failed_executions desc, coalesce(total_seconds, 0) desc, environment asc, node_id asc
        ) as failing,
        row_number() over (
            partition by is_test order by coalesce(total_seconds, 0) desc, environment asc, node_id asc
        ) as cost,
        row_number() over (
            order by is_test asc, coalesce(change_seconds, 0) desc, environment asc, node_id asc
        ) as growth
    from compared
)

select *
from ranked
where
    slowness <= 20
    or (failing <= 20 and failed_executions > 0)
    or (is_test = 1 and cost <= 20 and timed_executions > 0)
    or (is_test = 0 and growth <= 20 and change_seconds > 0)
order by slowness
