{#
    dbt's own versions of these tests return only the value that is wrong: null, or the key that is not known. A
    failed gate must name the row, so these return all of it. The arguments and what passes are dbt's.
#}
{% macro default__test_not_null(model, column_name) %}
select *
from {{ model }}
where {{ column_name }} is null
{% endmacro %}


{% macro default__test_relationships(model, column_name, to, field) %}
select child.*
from {{ model }} as child
left join {{ to }} as parent
    on child.{{ column_name }} = parent.{{ field }}
where
    child.{{ column_name }} is not null
    and parent.{{ field }} is null
{% endmacro %}


{% macro default__test_accepted_values(model, column_name, values, quote=true) %}
select *
from {{ model }}
where {{ column_name }} not in (
    {%- for value in values %}
    {% if quote %}'{{ value }}'{% else %}{{ value }}{% endif %}{{ ',' if not loop.last }}
    {%- endfor %}
)
{% endmacro %}
