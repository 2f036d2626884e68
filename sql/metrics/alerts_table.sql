-- The state of each alert at its last evaluation, so that only a change is reported.
create table if not exists {{ alerts }} (
    scope varchar not null,
    days bigint not null,
    name varchar not null,
    state varchar not null,
    since {{ timestamp_type }} not null,
    as_of {{ timestamp_type }} not null
)
