{#
    The queries that ran in this environment, to select from: one row a query, with the columns of Snowflake's
    QUERY_HISTORY, times in UTC, and `is_truncated` where the engine may have left out others of that time.

    - Elsewhere: the ledger's query log, which is whole.
    - Snowflake: INFORMATION_SCHEMA.QUERY_HISTORY, of the last seven days. It gives the newest 10,000 queries of the
      time asked for, of the whole account and before any filter: one call for seven days would leave out the oldest of an
      account with 1,429 queries a day. So it is asked slice by slice, in one statement, and a slice of exactly so many
      is truncated.
      The day on which the seven days begin is only partly there, and left out. A query belongs to the environment
      that its query tag names, with database and project; without a tag of ours, to the schema that it ran in.
      `is_own` marks those that the toolkit sent itself. The role sees its own user's queries, and those of others
      only with MONITOR on the warehouse.
#}
{% macro query_log() -%}
    {{ return(adapter.dispatch('query_log', 'logistics')()) }}
{%- endmacro %}


{% macro default__query_log() -%}
    (select queries.*, false as is_own, false as is_truncated from {{ ledger_table('ledger_queries') }} as queries)
{%- endmacro %}


{% macro snowflake__query_log() -%}
    {%- if logistics.in_unit_test() -%}
        {{ return(logistics.default__query_log()) }}
    {%- endif -%}
    {%- set minutes = 12 * 60 -%}
    {#- Five minutes less than seven days, because the time passes between two readings of the clock. -#}
    {%- set oldest = 7 * 24 * 60 - 5 -%}
    (
        select
            query_id,
            min(cast(convert_timezone('UTC', start_time) as timestamp_ntz)) as start_time,
            min(total_elapsed_time) as total_elapsed_time,
            min(execution_status) as execution_status,
            min(rows_produced) as rows_produced,
            max(case when is_own then 1 else 0 end) = 1 as is_own,
            max(slice_rows) >= 10000 as is_truncated
        from (
            {%- for slice in range(14) %}
            select
                *,
                try_parse_json(query_tag) as tag,
                coalesce(cast(try_parse_json(query_tag):own as boolean), false) as is_own,
                count(*) over () as slice_rows
            from table({{ target.database }}.information_schema.query_history(
                end_time_range_start => dateadd('minute', -{{ [(slice + 1) * minutes, oldest] | min }}, current_timestamp()),
                end_time_range_end => dateadd('minute', -{{ slice * minutes }}, current_timestamp()),
                result_limit => 10000
            ))
            {{- '\n            union all' if not loop.last }}
            {%- endfor %}
        ) as history
        where
            case
                when tag:environment is null
                    then database_name = '{{ target.database | upper }}' and schema_name = '{{ target.schema }}'
                else
                    upper(cast(tag:environment as varchar)) = '{{ target.schema }}'
                    and coalesce(upper(cast(tag:database as varchar)), database_name) = '{{ target.database | upper }}'
                    and coalesce(cast(tag:project as varchar), '{{ project_name }}') = '{{ project_name }}'
            end
            and cast(convert_timezone('UTC', start_time) as date)
                > cast(dateadd('minute', -{{ oldest }}, sysdate()) as date)
        -- a query that ended on the border of two slices is in both
        group by query_id
    )
{%- endmacro %}
