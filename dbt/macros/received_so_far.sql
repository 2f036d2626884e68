{# Units that the movements of a purchase order line have brought up to each movement, itself included. #}
{% macro received_so_far(movements) -%}
    sum({{ movements }}.moved_units) over (
            partition by {{ movements }}.purchase_order_line_id
            order by {{ movements }}.moved_at, {{ movements }}.movement_id
            rows between unbounded preceding and current row
        )
{%- endmacro %}
