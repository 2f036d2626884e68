-- Relations whose columns differ from those that the run before found, newest first; one row more than a report shows.
-- What ledgers of earlier releases recorded has no columns, and is not compared.
with compared as (
    select
        environment,
        relation_name,
        run_id,
        measured_at,
        column_types,
        lag(column_types) over (
            partition by environment, relation_name order by measured_at, run_id
        ) as previous_column_types,
        lag(measured_at) over (
            partition by environment, relation_name order by measured_at, run_id
        ) as previous_measured_at
    from ({{ relations }}) as relations
    where
        measured_at < {{ window_end }}
        and column_types is not null
)

select *
from compared
where
    measured_at >= {{ window_start }}
    and column_types <> previous_column_types
order by measured_at desc, environment asc, relation_name asc
limit 201
