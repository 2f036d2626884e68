{#
    Rows that break one of the model's rules, and which: `rules` gives the expression that holds of every row by the
    name of the rule, and an unknown expression is broken. One test for many rules, since each test costs dbt far
    more than its query.
#}
{% test rules_hold(model, rules) %}

select *
from (
    select
        case
            {%- for rule, expression in rules.items() %}
            when coalesce(not ({{ expression }}), true) then '{{ rule | replace('_', ' ') }}'
            {%- endfor %}
        end as broken_rule,
        *
    from {{ model }}
) as checked
where broken_rule is not null

{% endtest %}
