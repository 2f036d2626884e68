-- How many runs started in the window, how they ended and how long they took. An interrupted run shows nothing
-- about the project, so it counts as a run but not in a rate; one that found everything up to date shows nothing
-- about how long a build takes.
select
    count(*) as runs,
    count(case when status = 'success' then 1 end) as successful_runs,
    count(case when status in ('fail', 'error') then 1 end) as failed_runs,
    count(build_seconds) as timed_runs,
    sum(build_seconds) as total_seconds,
    percentile_cont(0.5) within group (order by build_seconds) as p50_seconds,
    percentile_cont(0.95) within group (order by build_seconds) as p95_seconds
from (
    select
        status,
        started_at,
        case when not up_to_date then seconds end as build_seconds
    from ({{ runs }}) as all_runs
) as runs
where
    started_at >= {{ window_start }}
    and started_at < {{ window_end }}
