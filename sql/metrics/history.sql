-- The stored figures of a scope, before the day of the report. Two calls at once may have stored a day twice. Figures
-- about the state at the end of a window do not depend on its length, so those of other lengths count too.
select
    as_of as date_day,
    name,
    value
from {{ figures }}
where
    scope = {{ scope }}
    and (days = {{ days }}{% if latest %} or name in ({{ latest }}){% endif %})
    and as_of >= {{ since }}
    and as_of < {{ before }}
qualify row_number() over (partition by as_of, name order by recorded_at desc) = 1
order by as_of, name
