-- How each alert stood when it was last judged, so that only a change is told.
create table if not exists {{ alerts }} (
    scope varchar not null,
    days bigint not null,
    name varchar not null,
    state varchar not null,
    since {{ timestamp_type }} not null,
    as_of {{ timestamp_type }} not null
)
