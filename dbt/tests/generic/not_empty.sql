{# Fails on a model without rows, on which every other test would pass. #}
{% test not_empty(model) %}

select '{{ model.identifier }} has no rows' as finding
from (select count(*) as number_of_rows from {{ model }}) as counted
where number_of_rows = 0

{% endtest %}
