{#
    Rows that break one of the model's rules, and which: the columns of `key` identify a row, those of `not_null` are
    never null, those of `references` are null or in the column of that name of another relation, and `rules` gives the
    expression that holds of every row by the name of the rule; an unknown expression is broken. A row that breaks
    several names them all. One test for a whole model, since each test costs dbt far more than its query.
#}
{% test key_and_rules_hold(model, key, not_null=[], references={}, rules={}) %}

{%- set conditions = {'the key is unique': 'repeated.key_1 is null'} %}
{%- for column in key + not_null %}
    {%- do conditions.update({column ~ ' is not null': 'tested.' ~ column ~ ' is not null'}) %}
{%- endfor %}
{%- for column in references %}
    {%- do conditions.update({
        column ~ ' is known': '(tested.' ~ column ~ ' is null or known_' ~ column ~ 's.known_key is not null)'
    }) %}
{%- endfor %}
{%- for rule, expression in rules.items() %}
    {%- do conditions.update({rule | replace('_', ' '): 'coalesce(' ~ expression ~ ', false)'}) %}
{%- endfor %}
with tested as (

    select * from {{ model }}

),

{%- for column, relation in references.items() %}

known_{{ column }}s as (

    select distinct {{ column }} as known_key
    from {{ relation }}

),
{%- endfor %}

repeated as (

    select
        {%- for column in key %}
        {{ column }} as key_{{ loop.index }}{{ ',' if not loop.last }}
        {%- endfor %}
    from tested
    group by {{ key | join(', ') }}
    having count(*) > 1

)

select
    substr(
        ''
        {%- for rule, condition in conditions.items() %}
        || case when {{ condition }} then '' else ', {{ rule }}' end
        {%- endfor %},
        3
    ) as broken_rule,
    tested.*
from tested
left join repeated
    on
        {%- for column in key %}
        {{ 'and ' if not loop.first }}tested.{{ column }} = repeated.key_{{ loop.index }}
        {%- endfor %}
{%- for column in references %}
left join known_{{ column }}s
    on tested.{{ column }} = known_{{ column }}s.known_key
{%- endfor %}
where not (
    {{ conditions.values() | join('\n    and ') }}
)

{% endtest %}
