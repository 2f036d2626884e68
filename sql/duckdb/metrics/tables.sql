-- Which schemas hold a ledger, and what the registry holds.
select
    schema_name,
    table_name
from duckdb_tables()
where
    database_name = current_database()
    and (
        table_name in ('ledger_environment', 'ledger_runs', 'ledger_nodes', 'ledger_queries', 'ledger_relations')
        or schema_name = {{ registry }}
    )
order by schema_name, table_name
