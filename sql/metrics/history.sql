-- What was kept of a scope, before the day of the report.
select
    as_of as date_day,
    name,
    value
from {{ registry }}.metrics_history
where
    scope = {{ scope }}
    and days = {{ days }}
    and as_of >= {{ since }}
    and as_of < {{ before }}
order by as_of, name
