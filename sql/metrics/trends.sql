-- How long each node took in the window and in the window before: the twenty models, seeds and snapshots whose mean
-- time grew most, and the twenty tests that took longest in total. A node that the project no longer has is left out.
with totals as (
    select
        environment,
        node_id,
        max_by(name, run_started_at) as name,
        max_by(kind, run_started_at) as kind,
        nullif(max_by(coalesce(layer, ''), run_started_at), '') as layer,
        max_by(status, run_started_at) as last_status,
        count(case when run_started_at >= {{ window_start }} then seconds end) as executions,
        sum(case when run_started_at >= {{ window_start }} then seconds end) as total_seconds,
        count(case when run_started_at < {{ before_end }} then seconds end) as previous_executions,
        sum(case when run_started_at < {{ before_end }} then seconds end) as previous_total_seconds
    from ({{ nodes }}) as nodes
    where
        run_started_at >= {{ before_start }}
        and run_started_at < {{ window_end }}
        and status <> 'skipped'
    group by environment, node_id
),

compared as (
    select
        *,
        case when kind in ('test', 'unit_test') then 1 else 0 end as is_test,
        case
            when executions > 0 and previous_executions > 0
                then total_seconds / executions - previous_total_seconds / previous_executions
        end as change_seconds
    from totals
    where
        last_status <> 'removed'
        and executions > 0
),

ranked as (
    select
        *,
        row_number() over (partition by is_test order by total_seconds desc, environment asc, node_id asc) as cost_rank,
        row_number() over (
            order by
                is_test asc, coalesce(change_seconds, 0) desc, environment asc, node_id asc
        ) as growth_rank
    from compared
)

select
    environment,
    node_id,
    name,
    kind,
    layer,
    executions,
    total_seconds,
    previous_executions,
    previous_total_seconds
from ranked
where
    (is_test = 1 and cost_rank <= 20)
    or (is_test = 0 and change_seconds > 0 and growth_rank <= 20)
order by is_test, growth_rank, cost_rank
