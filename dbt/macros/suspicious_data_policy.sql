{#
    What happens to suspicious data, the variable `suspicious_data`: `quarantine` keeps it out of gold and reports it,
    `report` only reports it, `stop` stops gold. Anything else is refused here, because it would silently be one of them.
#}
{% macro suspicious_data_policy() -%}
    {%- set policy = var('suspicious_data') | string | trim -%}
    {%- if policy not in ('quarantine', 'report', 'stop') -%}
        {{ exceptions.raise_compiler_error(
            "variable suspicious_data: '" ~ policy ~ "' is not a policy, write quarantine, report or stop"
        ) }}
    {%- endif -%}
    {{ return(policy) }}
{%- endmacro %}
