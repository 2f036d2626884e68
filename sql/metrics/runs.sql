-- Runs that started in the window, the newest 200.
select
    run_id,
    environment,
    started_at,
    finished_at,
    status,
    seconds,
    dbt_seconds,
    up_to_date,
    git_commit,
    git_branch,
    triggered_by,
    run_url,
    dbt_version,
    message
from ({{ runs }}) as runs
where
    started_at >= {{ window_start }}
    and started_at < {{ window_end }}
order by started_at desc, run_id desc
limit 200
