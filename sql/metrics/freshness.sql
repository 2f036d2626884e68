-- When the last successful run of each environment ended.
select
    environment,
    max(finished_at) as last_success_at
from ({{ runs }}) as runs
where
    status = 'success'
    and finished_at < {{ window_end }}
group by environment
order by environment
