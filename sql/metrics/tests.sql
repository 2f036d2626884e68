-- The latest result of each test, counted by layer. A skipped test has told nothing: it neither passed nor failed.
with latest as (
    select
        layer,
        status
    from ({{ nodes }}) as nodes
    where
        kind in ('test', 'unit_test')
        and run_started_at < {{ window_end }}
    qualify row_number() over (
        partition by environment, node_id order by started_at desc nulls last, run_id desc
    ) = 1
)

select
    layer,
    count(*) as tests,
    count(case when status in ('pass', 'success', 'warn') then 1 end) as passed,
    count(case when status in ('fail', 'error') then 1 end) as failed,
    count(case when status not in ('pass', 'success', 'warn', 'fail', 'error') then 1 end) as skipped
from latest
group by layer
order by layer nulls last
