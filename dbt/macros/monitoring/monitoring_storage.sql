{# One row a relation: the bytes it takes, null where the engine does not tell, and where the figure is from. #}
{% macro monitoring_storage() -%}
    {{ return(adapter.dispatch('monitoring_storage', 'logistics')()) }}
{%- endmacro %}


{% macro duckdb__monitoring_storage() -%}
with measurements as (

    select
        *,
        lag(bytes) over (partition by relation_name order by measured_at, run_id) as previous_bytes,
        row_number() over (partition by relation_name order by measured_at desc, run_id desc) as recency,
        max(measured_at) over (partition by run_id) as run_measured_at,
        max(measured_at) over () as last_measured_at
    from {{ ledger_table('ledger_relations') }}

),

-- Unknown is never zero: bytes that nobody measured stay null, and so does a change from or to them.
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
        cast('ledger_relations' as varchar) as figure_source,
        measured_at,
        run_id
    from measurements
    where
        recency = 1
        and run_measured_at = last_measured_at

)

select * from final
{%- endmacro %}
