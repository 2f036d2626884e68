-- The day of the last query before the window's end, and the queries that start after now: those were written by
-- a clock that runs ahead.
select
    cast(cast(max(case when start_time < {{ window_end }} then start_time end) as date) as varchar) as last_day,
    count(case when start_time > {{ now }} then 1 end) as ahead_of_clock
from ({{ queries }}) as queries
