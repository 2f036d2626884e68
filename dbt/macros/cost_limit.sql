{#
    The limit that a cost keeps to: `cost_factor` times the trusted cost, or that part of it, on the side on which the
    cost is. `is_beyond_cost_limit` is the condition that it does not.
#}
{% macro cost_limit(cost, trusted_cost) -%}
    case
            when {{ cost }} > {{ trusted_cost }} then {{ trusted_cost }} * {{ var('cost_factor') }}
            else {{ trusted_cost }} / {{ var('cost_factor') }}
        end
{%- endmacro %}


{% macro is_beyond_cost_limit(cost, trusted_cost) -%}
    (
            {{ cost }} > {{ trusted_cost }} * {{ var('cost_factor') }}
            or {{ cost }} * {{ var('cost_factor') }} < {{ trusted_cost }}
        )
{%- endmacro %}
