-- The quantiles of the standard normal distribution as printed in tables (Abramowitz and Stegun 1964, table 26.5).
with quantiles as (
    {%- for level, expected in [
        (0.5, 0), (0.6, 0.253347), (0.75, 0.674490), (0.84, 0.994458), (0.9, 1.281552), (0.925, 1.439531),
        (0.926, 1.446632), (0.95, 1.644854), (0.975, 1.959964), (0.98, 2.053749), (0.99, 2.326348), (0.995, 2.575829),
        (0.999, 3.090232), (0.9999, 3.719016), (0.999999, 4.753424),
    ] %}
    select
        {{ level }} as service_level,
        {{ expected }} as expected_z_score,
        {{ z_score(level) }} as z_score
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    service_level,
    expected_z_score,
    z_score
from quantiles
where abs(z_score - expected_z_score) > 0.000001
