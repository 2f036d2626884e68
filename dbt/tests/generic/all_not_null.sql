{# Rows in which any of these columns is null: one test for many columns, since each test costs dbt its overhead. #}
{% test all_not_null(model, columns) %}

select *
from {{ model }}
where
    {%- for column in columns %}
    {{ 'or ' if not loop.first }}{{ column }} is null
    {%- endfor %}

{% endtest %}
