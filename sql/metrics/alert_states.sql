-- The alert states of a scope at their last evaluation.
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
