-- The relations that the environments' own runs found in their schemas when they ended.
{% for schema in schemas %}
select
    relations.run_id,
    {{ schema.literal }} as environment,
    relations.relation_name,
    relations.relation_type,
    relations.layer,
    relations.row_count,
    relations.bytes,
    relations.measured_at,
    relations.column_types
from {{ schema.relations }} as relations
inner join {{ schema.runs }} as runs
    on relations.run_id = runs.run_id {{ schema.same_relations }}
where runs.schema_name = {{ schema.literal }}
{% if not loop.last %}
union all
{% endif %}
{% endfor %}
