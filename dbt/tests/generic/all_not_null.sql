{# Rows in which one of these columns is null, and which: one test for many columns, as in `rules_hold`. #}
{% test all_not_null(model, columns) %}

select *
from (
    select
        case
            {%- for column in columns %}
            when {{ column }} is null then '{{ column }} is not null'
            {%- endfor %}
        end as broken_rule,
        *
    from {{ model }}
) as checked
where broken_rule is not null

{% endtest %}
