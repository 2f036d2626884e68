-- The quantiles of the standard normal distribution as printed in tables (Abramowitz and Stegun 1964, table 26.5).
with quantiles as (
    {%- for level, expected in [
        (0.5, 0), (0.6, 0.253347), (0.75, 0.674490), (0.84, 0.994458), (0.9, 1.281552), (0.925, 1.439531),
        (0.95, 1.644854), (0.975, 1.959964), (0.99, 2.326348), (0.999, 3.090232), (0.9999, 3.719016),
    ] %}
    select
        cast({{ level }} as double) as probability,
        {{ expected }} as expected_quantile
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    probability,
    expected_quantile,
    {{ normal_quantile('probability') }} as quantile
from quantiles
where abs({{ normal_quantile('probability') }} - expected_quantile) > 0.00045
