{# One row per relation: the bytes it takes, null if the engine does not report them, and the source of the figure. #}
{% macro monitoring_storage() -%}
    {{ return(adapter.dispatch('monitoring_storage', 'logistics')()) }}
{%- endmacro %}


{% macro default__monitoring_storage() -%}
with measurements as (

    select
        *,
        lag(bytes) over (partition by relation_name order by measured_at nulls first, run_id nulls first) as previous_bytes,
        row_number() over (partition by relation_name order by measured_at desc nulls last, run_id desc nulls last) as recency,
        max(measured_at) over (partition by run_id) as run_measured_at,
        max(measured_at) over () as last_measured_at
    from {{ relation_measurements() }}

),

-- Unknown is never zero: bytes that were not measured stay null, and so does a change from or to them.
final as (

    select
        relation_name,
        relation_type,
        layer,
        bytes as storage_bytes,
        previous_bytes as previous_storage_bytes,
        bytes - previous_bytes as storage_change_bytes,
        row_count,
        case when row_count > 0 then {{ ratio('bytes', 'row_count', 2) }} end as bytes_per_row,
        figure_source,
        measured_at,
        run_id
    from measurements
    where
        recency = 1
        and run_measured_at = last_measured_at

)

select * from final
{%- endmacro %}
