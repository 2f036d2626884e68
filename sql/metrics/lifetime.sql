-- Runs since the ledger began: counters that only ever grow, as long as the environment exists.
select
    environment,
    status,
    count(*) as runs,
    sum(seconds) as seconds,
    min(started_at) as first_started_at,
    max(finished_at) as last_finished_at
from ({{ runs }}) as runs
group by environment, status
order by environment, status
