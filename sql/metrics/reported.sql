-- What was last sent to each channel about the alerts of a scope.
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
    scope = {{ scope }}
    and days = {{ days }}
order by channel, name, as_of, reported_at
