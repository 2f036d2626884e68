-- What was last sent to each channel about the alerts that `wanted` selects.
select
    scope,
    days,
    channel,
    name,
    state,
    since,
    as_of,
    reported_at
from {{ reported }}
where {{ wanted }}
order by scope, days, channel, name, as_of, reported_at
