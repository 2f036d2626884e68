-- The runs of all environments. A clone includes the ledger of its base: those runs are left out.
{% for schema in schemas %}
select
    run_id,
    {{ schema.literal }} as environment,
    started_at,
    finished_at,
    status,
    seconds,
    dbt_seconds,
    dbt_started,
    up_to_date,
    git_commit,
    git_branch,
    triggered_by,
    run_url,
    dbt_version,
    message
from {{ schema.runs }}
where schema_name = {{ schema.literal }}
{% if not loop.last %}
union all
{% endif %}
{% endfor %}
