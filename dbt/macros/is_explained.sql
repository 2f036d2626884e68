{#
    Whether missing or suspicious data explains a contradiction between rows: a finding of a week after it or earlier,
    of the warehouse or of all. What nothing explains is a broken rule, and stops what is built from it. Without a warehouse
    the finding may be anywhere, since goods come back to another one.
#}
{% macro is_explained(day, warehouse_id=none) -%}
    exists (
        select 1
        from {{ ref('suspicious_data') }} as findings
        where
            findings.source in ('orders', 'movements', 'shipments', 'purchase orders')
            and findings.reason not like '%price%'
            and findings.reason not like '%cost%'
            and findings.reason <> 'more left than there was'
            {%- if warehouse_id is not none %}
            and findings.warehouse_id in ({{ warehouse_id }}, 'all')
            {%- endif %}
            and {{ dbt.dateadd('day', 7, day) }} >= findings.date_day
    )
{%- endmacro %}
