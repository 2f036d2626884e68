{# The channels whose lines wait for stock, as a list for `in`. #}
{% macro backorder_channels() -%}
    (
    {%- for channel in var('backorder_channels') -%}
        {{ dbt.string_literal(channel) }}{{ ', ' if not loop.last }}
    {%- endfor -%}
    )
{%- endmacro %}
