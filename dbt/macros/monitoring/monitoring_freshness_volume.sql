{# One row a relation: how many rows it has, how many at the measurement before, and when it was last built. #}
{% macro monitoring_freshness_volume() -%}
    {{ return(adapter.dispatch('monitoring_freshness_volume', 'logistics')()) }}
{%- endmacro %}


{% macro default__monitoring_freshness_volume() -%}
with measurements as (

    select
        *,
        lag(row_count) over (partition by relation_name order by measured_at nulls first, run_id nulls first) as previous_row_count,
        lag(measured_at) over (partition by relation_name order by measured_at nulls first, run_id nulls first) as previous_measured_at,
        row_number() over (partition by relation_name order by measured_at desc nulls last, run_id desc nulls last) as recency,
        max(measured_at) over (partition by run_id) as run_measured_at,
        max(measured_at) over () as last_measured_at
    from {{ relation_measurements() }}

),

builds as (

    select
        name as relation_name,
        max(started_at) as last_built_at
    from {{ ledger_table('ledger_nodes') }}
    where
        kind in ('model', 'seed', 'snapshot')
        and status = 'success'
    group by name

),

-- what the latest run did not see any more has been dropped
final as (

    select
        measurements.relation_name,
        measurements.relation_type,
        measurements.layer,
        measurements.row_count,
        measurements.previous_row_count,
        measurements.row_count - measurements.previous_row_count as row_count_change,
        {{ ratio('measurements.row_count - measurements.previous_row_count', 'measurements.previous_row_count') }}
            as row_count_change_ratio,
        measurements.measured_at,
        measurements.previous_measured_at,
        builds.last_built_at,
        {{ dbt.datediff('builds.last_built_at', 'measurements.measured_at', 'minute') }} as minutes_since_built,
        measurements.run_id
    from measurements
    left join builds
        on measurements.relation_name = builds.relation_name
    where
        measurements.recency = 1
        and measurements.run_measured_at = measurements.last_measured_at

)

select * from final
{%- endmacro %}
