-- Bytes of the current rows by environment, as every role may read them.
select
    {{ environment }} as environment,
    count(*) as tables,
    count(*) - count(bytes) as unmeasured_tables,
    cast(sum(bytes) as bigint) as active_bytes
from {{ database }}.information_schema.tables
where
    table_type = 'BASE TABLE'
    and table_schema in ({{ schemas }})
group by {{ environment }}
order by environment
