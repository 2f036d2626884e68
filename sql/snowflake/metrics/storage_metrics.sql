-- Bytes by environment with what Time Travel, Fail-safe and clones hold back, dropped tables too. Snowflake shows
-- rows here to ACCOUNTADMIN only.
select
    {{ environment }} as environment,
    count(*) as tables,
    0 as unmeasured_tables,
    cast(sum(active_bytes) as bigint) as active_bytes,
    cast(sum(time_travel_bytes) as bigint) as time_travel_bytes,
    cast(sum(failsafe_bytes) as bigint) as fail_safe_bytes,
    cast(sum(retained_for_clone_bytes) as bigint) as clone_retained_bytes
from {{ database }}.information_schema.table_storage_metrics
where table_schema in ({{ schemas }})
group by {{ environment }}
order by environment
