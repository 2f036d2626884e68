-- How each alert stood when it was last judged, so that only a change is told.
create table if not exists {{ registry }}.metrics_alerts (
    scope varchar not null,
    days bigint not null,
    name varchar not null,
    state varchar not null,
    since timestamp not null,
    as_of timestamp not null
)
