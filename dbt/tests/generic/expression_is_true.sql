{# Rows for which the expression is false or unknown; `where` limits the rows it is asked of. #}
{% test expression_is_true(model, expression) %}

select *
from {{ model }}
where coalesce(not ({{ expression }}), true)

{% endtest %}
