-- The tests whose latest result is a failure, with the rows that they found and when they passed for the last time.
-- One pass over the node log: `max_by` keeps the values of the newest result. It skips nulls, so they are replaced
-- before it.
with dated as (
    select
        environment,
        node_id,
        name,
        status,
        failures,
        run_started_at,
        coalesce(layer, '') as layer,
        coalesce(message, '') as message,
        coalesce(path, '') as path,
        coalesce(started_at, run_started_at - interval '1000 years') as began_at
    from ({{ nodes }}) as nodes
    where
        kind in ('test', 'unit_test')
        and run_started_at < {{ window_end }}
),

latest as (
    select
        environment,
        node_id,
        max_by(name, began_at) as name,
        nullif(max_by(layer, began_at), '') as layer,
        max_by(status, began_at) as status,
        nullif(max_by(coalesce(failures, -1), began_at), -1) as failures,
        nullif(max_by(message, began_at), '') as message,
        nullif(max_by(path, began_at), '') as path,
        max(case when status in ('fail', 'error') then run_started_at end) as last_run_at,
        max(case when status in ('pass', 'success', 'warn') then run_started_at end) as last_passed_at
    from dated
    group by environment, node_id
)

select *
from latest
where status in ('fail', 'error')
order by coalesce(failures, 0) desc, environment asc, node_id asc
limit 100
