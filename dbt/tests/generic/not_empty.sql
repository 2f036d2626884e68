{# Fails when there is no row: every other test passes on an empty table. #}
{% test not_empty(model) %}

select 'no rows in {{ model.identifier or "the model" }}' as finding
from (select count(*) as number_of_rows from {{ model }}) as counted
where number_of_rows = 0

{% endtest %}
