-- The query log of all environments. The environment of a query is that of its tag, else its schema: a clone
-- carries the log of its base along, and those queries are not its own.
{% for schema in schemas %}
select
    start_time,
    total_elapsed_time,
    execution_status,
    user_name,
    {{ schema.literal }} as environment
from {{ schema.queries }}
where
    coalesce(
        try(json_extract_string(query_tag, '$.environment')),
        schema_name
    ) = {{ schema.literal }}
{% if not loop.last %}
union all
{% endif %}
{% endfor %}
