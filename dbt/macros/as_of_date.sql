{#
    The clock of the project, an aggregate: the last day that counts is the variable `as_of`, or else the last of
    the given days, those of the data itself. So the same inputs give the same bytes on any day, and no model asks
    what day it is. What is not a date is refused here, because a cast would not name the variable.
#}
{% macro as_of_date(day) -%}
    {%- set as_of = var('as_of', '') | string | trim -%}
    {%- if as_of in ('', 'None') -%}
        max({{ day }})
    {%- elif modules.re.match('^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$', as_of) -%}
        max(cast('{{ as_of }}' as date))
    {%- else -%}
        {{ exceptions.raise_compiler_error("variable as_of: '" ~ as_of ~ "' is not a date, write YYYY-MM-DD") }}
    {%- endif -%}
{%- endmacro %}
