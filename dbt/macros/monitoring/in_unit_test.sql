{#
    Whether this is compiled for a unit test, where sources and refs are rows that the test gives and no look-up in the
    warehouse finds them. dbt-core 1.x marks them (`relation.is_cte`), dbt v2 does not; both say what they compile.
#}
{% macro in_unit_test() -%}
    {{ return(model is defined and model.resource_type == 'unit_test') }}
{%- endmacro %}
