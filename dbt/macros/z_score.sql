{#
    The standard normal quantile of a service level, as a literal with six decimals: 0.95 gives 1.644854.

    Wichura (1988), "Algorithm AS 241", routine PPND16, relative error about 1 in 10^16; its third branch, for tails
    under 1.4 in 10^11, is left out and such levels are refused. It is evaluated here and not in SQL because the
    engines share no function for it, and because one literal gives every engine the same safety stock.
#}
{% macro z_score(service_level) -%}
    {%- set p = service_level | float -%}
    {%- if p < 0.5 or p > 0.9999999 -%}
        {{ exceptions.raise_compiler_error(
            "variable service_level: " ~ service_level ~ " must be from 0.5 (no safety stock) to 0.9999999"
        ) }}
    {%- endif -%}
    {%- set q = p - 0.5 -%}
    {%- if q <= 0.425 -%}
        {%- set r = 0.180625 - q * q -%}
        {%- set z = q * logistics.polynomial(r, [
            3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
            4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
        ]) / logistics.polynomial(r, [
            1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
            2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
        ]) -%}
    {%- else -%}
        {%- set r = (-logistics.natural_logarithm(1 - p)) ** 0.5 - 1.6 -%}
        {%- set z = logistics.polynomial(r, [
            1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
            1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
        ]) / logistics.polynomial(r, [
            1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
            1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
            1.05075007164441684324e-9,
        ]) -%}
    {%- endif -%}
    {{ "%.6f" | format(z) }}
{%- endmacro %}


{# The value at `x` of the polynomial with these coefficients, lowest power first (Horner's scheme). #}
{% macro polynomial(x, coefficients) -%}
    {%- set horner = namespace(value=0.0) -%}
    {%- for coefficient in coefficients | reverse -%}
        {%- set horner.value = horner.value * x + coefficient -%}
    {%- endfor -%}
    {{ return(horner.value) }}
{%- endmacro %}


{#
    ln(x) for 0 < x <= 1, which Jinja lacks: x is doubled until it is at least 0.5, then
    ln(x) = 2 artanh((x - 1) / (x + 1)), whose series gains a decimal a term there.
#}
{% macro natural_logarithm(x) -%}
    {%- set reduced = namespace(x=x, halvings=0) -%}
    {%- for _ in range(60) -%}
        {%- if reduced.x < 0.5 -%}
            {%- set reduced.x = reduced.x * 2 -%}
            {%- set reduced.halvings = reduced.halvings + 1 -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set t = (reduced.x - 1) / (reduced.x + 1) -%}
    {%- set series = namespace(power=t, total=0.0) -%}
    {%- for k in range(20) -%}
        {%- set series.total = series.total + series.power / (2 * k + 1) -%}
        {%- set series.power = series.power * t * t -%}
    {%- endfor -%}
    {{ return(2 * series.total - reduced.halvings * 0.6931471805599453) }}
{%- endmacro %}
