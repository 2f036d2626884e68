{#
    What the relations of this environment held, to select from: one row a relation and measurement, with the columns
    of the ledger's `ledger_relations` and `figure_source`, where the figures are from.

    - Everywhere: what each run of the toolkit measured when it ended.
    - Snowflake has the present figures at hand, in INFORMATION_SCHEMA.TABLES: they are one more measurement, made at
      the moment of reading and by no run. Its bytes are those of the current rows; what Time Travel and clones hold
      back is in TABLE_STORAGE_METRICS, which is empty to all but ACCOUNTADMIN.
#}
{% macro relation_measurements() -%}
    {{ return(adapter.dispatch('relation_measurements', 'logistics')()) }}
{%- endmacro %}


{% macro default__relation_measurements() -%}
    (
        select
            measured.*,
            cast('ledger_relations' as varchar) as figure_source
        from {{ ledger_table('ledger_relations') }} as measured
    )
{%- endmacro %}


{% macro snowflake__relation_measurements() -%}
    {%- if logistics.in_unit_test() -%}
        {{ return(logistics.default__relation_measurements()) }}
    {%- endif -%}
    (
        select
            run_id,
            lower(relation_name) as relation_name,
            relation_type,
            layer,
            row_count,
            bytes,
            measured_at,
            'ledger_relations' as figure_source
        from {{ ledger_table('ledger_relations') }}
        union all
        select
            cast(null as varchar) as run_id,
            lower(present.table_name) as relation_name,
            case present.table_type when 'BASE TABLE' then 'table' else lower(present.table_type) end as relation_type,
            known.layer,
            present.row_count,
            present.bytes,
            sysdate() as measured_at,
            'INFORMATION_SCHEMA.TABLES' as figure_source
        from {{ target.database }}.information_schema.tables as present
        left join (
            select
                name,
                max(layer) as layer
            from {{ ledger_table('ledger_nodes') }}
            where kind in ('model', 'seed', 'snapshot')
            group by name
        ) as known
            on lower(present.table_name) = lower(known.name)
        where present.table_schema = '{{ target.schema }}'
    )
{%- endmacro %}
