-- How the alerts of a scope stood when they were last judged.
select
    scope,
    days,
    name,
    state,
    since,
    as_of
from {{ alerts }}
where
    scope = {{ scope }}
    and days = {{ days }}
order by name
