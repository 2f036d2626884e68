-- The newest fifteen results of each test in the window: of the five hundred tests that fail now or failed most, if
-- there are more. A skipped test has no result, and one that the project no longer has is left out.
with results as (
    select
        environment,
        node_id,
        name,
        kind,
        layer,
        run_id,
        run_started_at,
        status,
        failures,
        row_number() over (
            partition by environment, node_id order by run_started_at desc, run_id desc
        ) as recency
    from ({{ nodes }}) as nodes
    where
        kind in ('test', 'unit_test')
        and status <> 'skipped'
        and run_started_at >= {{ window_start }}
        and run_started_at < {{ window_end }}
),

totals as (
    select
        environment,
        node_id,
        max(case when recency = 1 then status end) as last_status,
        count(case when status in ('pass', 'success') then 1 end) as passed,
        count(case when status = 'warn' then 1 end) as warned,
        count(case when status in ('fail', 'error') then 1 end) as failed,
        max(case when status in ('pass', 'success', 'warn') then run_started_at end) as last_passed_at,
        max(case when status in ('fail', 'error') then run_started_at end) as last_failed_at
    from results
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
)

select
    ranked.environment,
    ranked.node_id,
    results.name,
    results.kind,
    results.layer,
    ranked.passed,
    ranked.warned,
    ranked.failed,
    ranked.last_passed_at,
    ranked.last_failed_at,
    ranked.tests,
    ranked.place,
    results.run_id,
    results.run_started_at,
    results.status,
    results.failures
from ranked
inner join results
    on
        ranked.environment = results.environment
        and ranked.node_id = results.node_id
where
    ranked.place <= 500
    and results.recency <= 15
    and results.status <> 'removed'
order by ranked.place asc, results.recency asc
