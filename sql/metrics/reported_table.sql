-- What each channel was sent last about an alert, so that a channel hears of its start and its end once.
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
