-- The alerts that a channel was sent the start of, of environments that have been dropped since.
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
where
    channel = {{ channel }}
    and state = 'dropped'
order by scope, days, name
