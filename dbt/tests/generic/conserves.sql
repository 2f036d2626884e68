{#
    What goes in comes out: the rows, and the sum of each measure, are those of another relation, and there are rows
    at all. `measures` gives the expression here by the expression there; a failing row says which differs, and both
    figures.
#}
{% test conserves(model, source, measures={}) %}

{%- set here = {'count(*)': 'count(*)'} %}
{%- for ours, theirs in measures.items() %}
    {%- do here.update({'sum(' ~ ours ~ ')': 'sum(' ~ theirs ~ ')'}) %}
{%- endfor %}
with compared as (
    {%- for ours, theirs in here.items() %}
    select
        '{{ ours | replace("'", "''") }}' as figure,
        (select {{ theirs }} from {{ source }}) as figure_in,
        (select {{ ours }} from {{ model }}) as figure_out
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    case when figure_in = 0 then 'there are rows' else 'what goes in comes out' end as broken_rule,
    figure,
    figure_in,
    figure_out,
    figure_out - figure_in as difference
from compared
where
    coalesce(figure_in, 0) <> coalesce(figure_out, 0)
    or (figure = 'count(*)' and figure_in = 0)

{% endtest %}
