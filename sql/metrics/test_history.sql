-- The newest fifteen results of each test in the window: of the five hundred tests that fail now or failed most, if
-- there are more. A skipped test has no result, and one that the project no longer has is left out.
--
-- Counted and listed from two reads of the log: a part that is used twice would be kept in memory as a whole. The
-- newest are chosen by time alone, which DuckDB does without sorting the log.
with counted as (
    select
        environment,
        node_id,
        status,
        count(*) as results,
        max(run_started_at) as run_started_at
    from ({{ nodes }}) as nodes
    where
        kind in ('test', 'unit_test')
        and status <> 'skipped'
        and run_started_at >= {{ window_start }}
        and run_started_at < {{ window_end }}
    group by environment, node_id, status
),

totals as (
    select
        environment,
        node_id,
        max_by(status, run_started_at) as last_status,
        cast(coalesce(sum(case when status in ('pass', 'success') then results end), 0) as bigint) as passed,
        cast(coalesce(sum(case when status = 'warn' then results end), 0) as bigint) as warned,
        cast(coalesce(sum(case when status in ('fail', 'error') then results end), 0) as bigint) as failed,
        max(case when status in ('pass', 'success', 'warn') then run_started_at end) as last_passed_at,
        max(case when status in ('fail', 'error') then run_started_at end) as last_failed_at
    from counted
    group by environment, node_id
),

ranked as (
    select
        *,
        count(*) over () as tests,
        row_number() over (
            order by
                case when last_status in ('fail', 'error') then 0 else 1 end asc,
                failed desc,
                warned desc,
                environment asc,
                node_id asc
        ) as place
    from totals
    where last_status <> 'removed'
),

newest as (
    select
        environment,
        node_id,
        name,
        kind,
        layer,
        run_id,
        run_started_at,
        status,
        failures
    from ({{ nodes }}) as nodes
    where
        kind in ('test', 'unit_test')
        and status <> 'skipped'
        and run_started_at >= {{ window_start }}
        and run_started_at < {{ window_end }}
    qualify row_number() over (partition by environment, node_id order by run_started_at desc) <= 15
)

select
    ranked.environment,
    ranked.node_id,
    newest.name,
    newest.kind,
    newest.layer,
    ranked.passed,
    ranked.warned,
    ranked.failed,
    ranked.last_passed_at,
    ranked.last_failed_at,
    ranked.tests,
    ranked.place,
    newest.run_id,
    newest.run_started_at,
    newest.status,
    newest.failures
from ranked
inner join newest
    on
        ranked.environment = newest.environment
        and ranked.node_id = newest.node_id
where
    ranked.place <= 500
    and newest.status <> 'removed'
order by ranked.place asc, newest.run_started_at desc, newest.run_id desc
