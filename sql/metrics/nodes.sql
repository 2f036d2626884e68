-- How often each node of the window's runs was executed, failed, and how long it took: the twenty that took longest
-- in total, and the twenty that failed most often.
with executions as (
    select *
    from ({{ nodes }}) as nodes
    where
        run_started_at >= {{ window_start }}
        and run_started_at < {{ window_end }}
        and status <> 'skipped'
),

latest as (
    select
        environment,
        node_id,
        name,
        kind,
        layer,
        path,
        status
    from executions
    qualify row_number() over (
        partition by environment, node_id order by run_started_at desc, run_id desc
    ) = 1
),

complaints as (
    select
        environment,
        node_id,
        message
    from executions
    where
        status in ('fail', 'error')
        and message is not null
    qualify row_number() over (
        partition by environment, node_id order by run_started_at desc, run_id desc
    ) = 1
),

totals as (
    select
        environment,
        node_id,
        count(*) as executions,
        count(case when status in ('fail', 'error') then 1 end) as failed_executions,
        count(seconds) as timed_executions,
        sum(seconds) as total_seconds,
        percentile_cont(0.95) within group (order by seconds) as p95_seconds,
        max(seconds) as max_seconds
    from executions
    group by environment, node_id
),

ranked as (
    select
        *,
        row_number() over (order by coalesce(total_seconds, 0) desc, environment, node_id) as slowness,
        row_number() over (
            order by failed_executions desc, coalesce(total_seconds, 0) desc, environment, node_id
        ) as failing
    from totals
)

select
    ranked.*,
    latest.name,
    latest.kind,
    latest.layer,
    latest.path,
    latest.status as last_status,
    complaints.message as last_message
from ranked
inner join latest
    on
        ranked.environment = latest.environment
        and ranked.node_id = latest.node_id
left join complaints
    on
        ranked.environment = complaints.environment
        and ranked.node_id = complaints.node_id
where
    ranked.slowness <= 20
    or (ranked.failing <= 20 and ranked.failed_executions > 0)
order by ranked.slowness
