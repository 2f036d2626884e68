{# One row a UTC day: what the queries of that day were, failed and took, all in one pass. #}
{% macro monitoring_query_daily() -%}
    {{ return(adapter.dispatch('monitoring_query_daily', 'logistics')()) }}
{%- endmacro %}


{% macro default__monitoring_query_daily() -%}
with queries as (

    select
        cast(start_time as date) as date_day,
        execution_status,
        is_own,
        rows_produced,
        is_truncated,
        total_elapsed_time / 1000.0 as elapsed_seconds
    from {{ query_log() }}

),

final as (

    select
        date_day,
        cast(count(*) as bigint) as queries,
        cast(sum(case when execution_status = 'SUCCESS' or is_own then 0 else 1 end) as bigint) as failed_queries,
        {{ ratio("sum(case when execution_status = 'SUCCESS' or is_own then 0 else 1 end)", 'count(*)') }} as failure_rate,
        cast(sum(rows_produced) as bigint) as produced_rows,
        cast(count(elapsed_seconds) as bigint) as timed_queries,
        cast(sum(elapsed_seconds) as numeric(18, 3)) as total_seconds,
        {{ ratio('sum(elapsed_seconds)', 'count(elapsed_seconds)', 3) }} as mean_seconds,
        cast(percentile_cont(0.5) within group (order by elapsed_seconds) as numeric(18, 3)) as p50_seconds,
        cast(percentile_cont(0.95) within group (order by elapsed_seconds) as numeric(18, 3)) as p95_seconds,
        cast(max(elapsed_seconds) as numeric(18, 3)) as max_seconds,
        max(case when is_truncated then 1 else 0 end) = 1 as is_truncated
    from queries
    group by date_day

)

select * from final
{%- endmacro %}
