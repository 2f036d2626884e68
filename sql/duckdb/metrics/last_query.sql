-- The day of the last query before the window's end. Asked only where none ran in the window: it reads the whole log.
select cast(cast(max(start_time) as date) as varchar) as last_day
from ({{ queries }}) as queries
where start_time < {{ window_end }}
