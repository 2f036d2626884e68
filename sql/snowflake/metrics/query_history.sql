-- The queries that ended in a slice of time, the newest 10,000 of them: the function counts before any filter.
select
    query_id,
    cast(convert_timezone('UTC', start_time) as timestamp_ntz) as start_time,
    total_elapsed_time,
    execution_status,
    database_name,
    schema_name,
    warehouse_name,
    user_name,
    query_tag
from table({{ database }}.information_schema.query_history(
    end_time_range_start => to_timestamp_ltz('{{ slice_start }}'),
    end_time_range_end => to_timestamp_ltz('{{ slice_end }}'),
    result_limit => 10000
))
