-- The nodes of all environments' own runs.
{% for schema in schemas %}
select
    nodes.run_id,
    {{ schema.literal }} as environment,
    runs.started_at as run_started_at,
    nodes.node_id,
    nodes.name,
    nodes.kind,
    nodes.layer,
    nodes.materialized,
    nodes.status,
    nodes.started_at,
    nodes.seconds,
    nodes.{{ rows_column }} as row_count,
    nodes.failures,
    nodes.message,
    nodes.path
from {{ schema.nodes }} as nodes
inner join {{ schema.runs }} as runs
    on nodes.run_id = runs.run_id {{ schema.same_nodes }}
where runs.schema_name = {{ schema.literal }}
{% if not loop.last %}
union all
{% endif %}
{% endfor %}
