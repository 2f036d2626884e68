-- Bytes of the current rows by environment, as every role may read them.
select
    lower(table_schema) as environment,
    count(*) as tables,
    count(*) - count(bytes) as unmeasured_tables,
    cast(sum(bytes) as bigint) as active_bytes
from {{ database }}.information_schema.tables
where
    table_type = 'BASE TABLE'
    and lower(table_schema) in ({{ environments }})
group by lower(table_schema)
order by environment
