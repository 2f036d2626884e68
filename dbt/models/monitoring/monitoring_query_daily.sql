{#- On Snowflake a table: each reading of a view would call QUERY_HISTORY fourteen times, also those of its tests. -#}
{{ config(materialized='table' if target.type == 'snowflake' else 'view') }}

{{ monitoring_query_daily() }}
