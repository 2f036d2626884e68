{# One row a test: its latest result, and how often it has run and failed before. #}
{% macro monitoring_test_results() -%}
    {{ return(adapter.dispatch('monitoring_test_results', 'logistics')()) }}
{%- endmacro %}


{% macro default__monitoring_test_results() -%}
with results as (

    select
        *,
        row_number() over (partition by node_id order by started_at desc nulls last, run_id desc) as recency,
        count(case when status <> 'skipped' then 1 end) over (partition by node_id) as executions,
        count(case when status in ('fail', 'error') then 1 end) over (partition by node_id) as failed_executions,
        max(case when status <> 'skipped' then started_at end) over (partition by node_id) as last_executed_at
    from {{ ledger_table('ledger_nodes') }}
    where kind in ('test', 'unit_test')

),

-- a skipped test has no result: it neither passed nor failed, so that a pass rate leaves it out
final as (

    select
        node_id,
        name as test_name,
        kind as test_kind,
        layer,
        status,
        case
            when status in ('pass', 'success', 'warn') then 1
            when status in ('fail', 'error') then 0
        end as is_passed,
        failures as failing_rows,
        seconds as elapsed_seconds,
        message,
        run_id,
        started_at as recorded_at,
        last_executed_at,
        cast(executions as bigint) as executions,
        cast(failed_executions as bigint) as failed_executions
    from results
    -- the run that noticed that a test is no longer in the project marks it as removed
    where recency = 1 and status <> 'removed'

)

select * from final
{%- endmacro %}
