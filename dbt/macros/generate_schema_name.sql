{#
    An environment is exactly one schema: dropping it must remove everything, so nothing may land beside it.
    dbt's own version would append a custom schema name; here a custom name is deliberately without effect.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ target.schema }}
{%- endmacro %}
