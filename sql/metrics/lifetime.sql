-- Runs since the ledger began: counters that only ever grow, as long as the environment stands.
select
    environment,
    status,
    count(*) as runs,
    sum(seconds) as seconds
from ({{ runs }}) as runs
group by environment, status
order by environment, status
