-- The queries that start after now: those were written by a clock that runs ahead.
select count(*) as ahead_of_clock
from ({{ queries }}) as queries
where start_time > {{ now }}
