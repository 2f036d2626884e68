-- The nodes of the latest run that started dbt.
select
    nodes.run_id,
    nodes.environment,
    nodes.node_id,
    nodes.name,
    nodes.kind,
    nodes.layer,
    nodes.materialized,
    nodes.status,
    nodes.started_at,
    nodes.seconds,
    nodes.row_count,
    nodes.failures,
    nodes.message,
    nodes.path
from ({{ nodes }}) as nodes
where
    nodes.status <> 'removed'
    and nodes.run_id = (
        select runs.run_id
        from ({{ runs }}) as runs
        where
            runs.dbt_started
            and runs.started_at < {{ window_end }}
        order by runs.started_at desc, runs.run_id desc
        limit 1
    )
order by nodes.started_at, nodes.node_id
