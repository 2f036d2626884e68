-- The latest result of each test, counted by layer: as of the window's end, and of the end of the window before. A
-- skipped test has no result: it neither passed nor failed. One pass over the node log: `max_by` keeps the newest
-- row of a test while it reads, where a window function would sort the log. A test that never began (it was
-- skipped) counts as older than every one that did. A test that the project no longer has is marked as removed by
-- the run that noticed, and does not count.
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

latest as (
    select
        max_by(layer, began_at) as layer,
        max_by(status, began_at) as status,
        max(case when status <> 'skipped' then began_at end) as result_at,
        max_by(layer, case when run_started_at < {{ before_end }} then began_at end) as layer_before,
        max_by(status, case when run_started_at < {{ before_end }} then began_at end) as status_before,
        max(case when status <> 'skipped' and run_started_at < {{ before_end }} then began_at end) as result_at_before
    from dated
    group by environment, node_id
),

results as (
    select
        'now' as as_of,
        nullif(layer, '') as layer,
        status,
        result_at
    from latest
    where status <> 'removed'
    union all
    select
        'before' as as_of,
        nullif(layer_before, '') as layer,
        status_before as status,
        result_at_before as result_at
    from latest
    where status_before <> 'removed'
)

select
    as_of,
    layer,
    count(*) as tests,
    count(case when status in ('pass', 'success', 'warn') then 1 end) as passed,
    count(case when status in ('fail', 'error') then 1 end) as failed,
    count(case when status not in ('pass', 'success', 'warn', 'fail', 'error') then 1 end) as skipped,
    min(result_at) as oldest_result_at
from results
group by as_of, layer
order by as_of, layer nulls last
