-- Which schemas hold a ledger, and what the registry holds.
select
    lower(table_schema) as schema_name,
    lower(table_name) as table_name
from {{ database }}.information_schema.tables
where
    lower(table_name) in (
        'ledger_environment', 'ledger_runs', 'ledger_nodes', 'ledger_queries', 'ledger_relations'
    )
    or lower(table_schema) = {{ registry }}
order by schema_name, table_name
