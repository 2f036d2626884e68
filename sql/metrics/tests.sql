-- The latest result of each test. Counted by layer, as of the window's end (`now`) and of the end of the window before
-- (`before`); and, one row each, the tests that fail at the window's end (`failing`), with the rows that they found and
-- when they passed for the last time. A skipped test has no result: it neither passed nor failed. A test that never
-- began (it was skipped) counts as older than every one that did. A test that the project no longer has is marked as
-- removed by the run that noticed, and does not count.
--
-- One pass over the node log keeps the newest time of each test, layer and status, so that only those few are compared
-- by `max_by`; a second reads the texts of failures only. (Both name the log, since a part that is used twice would be
-- kept in memory as a whole.)
with dated as (
    select
        environment,
        node_id,
        status,
        run_started_at,
        coalesce(layer, '') as layer,
        coalesce(started_at, run_started_at - interval '1000 years') as began_at
    from ({{ nodes }}) as nodes
    where
        kind in ('test', 'unit_test')
        and run_started_at < {{ window_end }}
),

newest as (
    select
        environment,
        node_id,
        layer,
        status,
        max(began_at) as began_at,
        max(case when run_started_at < {{ before_end }} then began_at end) as began_at_before,
        max(run_started_at) as run_started_at
    from dated
    group by environment, node_id, layer, status
),

latest as (
    select
        environment,
        node_id,
        nullif(max_by(layer, began_at), '') as layer,
        max_by(status, began_at) as status,
        max(began_at) as began_at,
        max(case when status <> 'skipped' then began_at end) as result_at,
        nullif(max_by(layer, began_at_before), '') as layer_before,
        max_by(status, began_at_before) as status_before,
        max(case when status <> 'skipped' then began_at_before end) as result_at_before,
        max(case when status in ('fail', 'error') then run_started_at end) as last_run_at,
        max(case when status in ('pass', 'success', 'warn') then run_started_at end) as last_passed_at
    from newest
    group by environment, node_id
),

results as (
    select
        'now' as as_of,
        layer,
        status,
        result_at
    from latest
    where status <> 'removed'
    union all
    select
        'before' as as_of,
        layer_before as layer,
        status_before as status,
        result_at_before as result_at
    from latest
    where status_before <> 'removed'
),

failures as (
    select
        environment,
        node_id,
        name,
        status,
        failures,
        message,
        path,
        coalesce(started_at, run_started_at - interval '1000 years') as began_at
    from ({{ nodes }}) as nodes
    where
        kind in ('test', 'unit_test')
        and status in ('fail', 'error')
),

-- Two results of one moment are one.
failing as (
    select
        latest.environment,
        latest.node_id,
        latest.layer,
        latest.status,
        latest.last_run_at,
        latest.last_passed_at,
        max(failures.name) as name,
        max(failures.failures) as failures,
        max(failures.message) as message,
        max(failures.path) as path
    from latest
    inner join failures
        on
            latest.environment = failures.environment
            and latest.node_id = failures.node_id
            and latest.status = failures.status
            and latest.began_at = failures.began_at
    group by
        latest.environment, latest.node_id, latest.layer, latest.status, latest.last_run_at, latest.last_passed_at
),

placed as (
    select
        *,
        row_number() over (order by coalesce(failures, 0) desc, environment asc, node_id asc) as place
    from failing
)

select
    as_of,
    layer,
    count(*) as tests,
    count(case when status in ('pass', 'success', 'warn') then 1 end) as passed,
    count(case when status in ('fail', 'error') then 1 end) as failed,
    count(case when status not in ('pass', 'success', 'warn', 'fail', 'error') then 1 end) as skipped,
    min(result_at) as oldest_result_at,
    null as environment,
    null as node_id,
    null as name,
    null as status,
    null as failures,
    null as message,
    null as path,
    null as last_run_at,
    null as last_passed_at,
    null as place
from results
group by as_of, layer
union all
select
    'failing' as as_of,
    layer,
    null as tests,
    null as passed,
    null as failed,
    null as skipped,
    null as oldest_result_at,
    environment,
    node_id,
    name,
    status,
    failures,
    message,
    path,
    last_run_at,
    last_passed_at,
    place
from placed
where place <= 100
order by as_of, place, layer nulls last
