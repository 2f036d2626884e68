-- What was last sent to each channel about an alert, so that its start and its end are each sent once.
create table if not exists {{ reported }} (
    scope varchar not null,
    days bigint not null,
    channel varchar not null,
    name varchar not null,
    state varchar not null,
    since {{ timestamp_type }},
    as_of {{ timestamp_type }} not null,
    reported_at {{ timestamp_type }} not null
)
