-- Figures of earlier days, so that trends outlive the query log: one row per figure, scope, window length and day.
create table if not exists {{ figures }} (
    scope varchar not null,
    days bigint not null,
    as_of date not null,
    name varchar not null,
    value double not null,
    unit varchar not null,
    status varchar not null,
    source varchar not null,
    recorded_at {{ timestamp_type }} not null
)
