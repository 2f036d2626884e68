-- Which schemas hold a ledger, and what the registry holds. Names are compared as they are kept: Snowflake restricts
-- what it gathers only by a column itself, and refuses to gather too much (090030).
select
    lower(kept.table_schema) as schema_name,
    lower(kept.table_name) as table_name
from {{ database }}.information_schema.tables as kept
where
    kept.table_name in (
        'LEDGER_ENVIRONMENT', 'LEDGER_RUNS', 'LEDGER_NODES', 'LEDGER_QUERIES', 'LEDGER_RELATIONS'
    )
    or kept.table_schema = upper({{ registry }})
order by schema_name, table_name
