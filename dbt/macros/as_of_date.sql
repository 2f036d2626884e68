{#
    The clock of the project. The last day that counts is the variable `as_of`, or else `last_day`, an expression
    over the data itself: so the same inputs give the same bytes on any day, and no model asks what day it is.
    A date that does not exist is refused here, because a cast would name neither the variable nor the mistake.
#}
{% macro as_of_date(last_day) -%}
    {%- set as_of = var('as_of', '') | string | trim -%}
    {%- if as_of in ('', 'None') -%}
        {{ last_day }}
    {%- elif not modules.re.match('^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$', as_of) -%}
        {{ exceptions.raise_compiler_error("variable as_of: '" ~ as_of ~ "' is not a date, write YYYY-MM-DD") }}
    {%- else -%}
        cast('{{ as_of }}' as date)
    {%- endif -%}
{%- endmacro %}
