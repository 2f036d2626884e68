{#
    A ratio of two sums, rounded to a fixed scale: the same digits on every engine, whose decimal divisions differ.
    Null, not zero, when there is nothing to divide by: unknown is never zero.
#}
{% macro ratio(numerator, denominator, scale=4) -%}
    cast(
        round(cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0), {{ scale }})
        as numeric(18, {{ scale }})
    )
{%- endmacro %}
