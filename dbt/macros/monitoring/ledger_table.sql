{#
    A table of the ledger to select from, declared as a source so that the lineage shows it.

    The toolkit writes the ledger, not dbt: in a schema that dbt alone has built there is no ledger, and then this is an
    empty table of the columns and types that the source's YAML gives, so that a bare `dbt build` succeeds.
#}
{% macro ledger_table(name) -%}
    {%- set relation = source('ledger', name) -%}
    {#- In a unit test the source is given rows, which no look-up finds. -#}
    {%- if not execute or logistics.in_unit_test() or load_relation(relation) is not none -%}
        {{ relation }}
    {%- else -%}
        {%- set columns = [] -%}
        {%- for node in graph.sources.values() if node.source_name == 'ledger' and node.name == name -%}
            {%- for column in node.columns.values() -%}
                {#- Quoted, because some names are words of SQL; in upper case where the engine keeps names so. -#}
                {%- set name = column.name | upper if target.type == 'snowflake' else column.name -%}
                {%- do columns.append('cast(null as ' ~ column.data_type ~ ') as ' ~ adapter.quote(name)) -%}
            {%- endfor -%}
        {%- endfor -%}
        (select {{ columns | join(', ') }} where false)
    {%- endif -%}
{%- endmacro %}
