{#
    The standard normal quantile of a probability from 0.5 to below 1, as an expression: the engines share no function
    for it. Abramowitz and Stegun (1964), formula 26.2.23, absolute error below 4.5e-4.
#}
{% macro normal_quantile(probability) -%}
    {%- set t = 'sqrt(-2 * ln(1 - (' ~ probability ~ ')))' -%}
    ({{ t }} - (2.515517 + 0.802853 * {{ t }} + 0.010328 * {{ t }} * {{ t }})
    / (1 + 1.432788 * {{ t }} + 0.189269 * {{ t }} * {{ t }} + 0.001308 * {{ t }} * {{ t }} * {{ t }}))
{%- endmacro %}
