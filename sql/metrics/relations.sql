-- Rows and bytes of the relations that the latest run of each environment found, compared with the measurement
-- before, and when each was last built. A relation that the latest run did not find has been dropped.
with measurements as (
    select
        *,
        lag(row_count) over (
            partition by environment, relation_name order by measured_at, run_id
        ) as previous_row_count,
        lag(bytes) over (partition by environment, relation_name order by measured_at, run_id) as previous_bytes,
        lag(measured_at) over (
            partition by environment, relation_name order by measured_at, run_id
        ) as previous_measured_at,
        row_number() over (
            partition by environment, relation_name order by measured_at desc, run_id desc
        ) as recency,
        max(measured_at) over (partition by environment, run_id) as run_measured_at,
        max(measured_at) over (partition by environment) as last_measured_at
    from ({{ relations }}) as relations
    where measured_at < {{ window_end }}
),

-- The rows at the end of each of the 28 days before the latest measurement of the environment.
daily as (
    select
        environment,
        relation_name,
        cast(measured_at as date) as date_day,
        max_by(row_count, measured_at) as row_count
    from measurements
    where
        row_count is not null
        and cast(measured_at as date) < cast(last_measured_at as date)
        and measured_at >= last_measured_at - interval '28 days'
    group by environment, relation_name, cast(measured_at as date)
),

baselines as (
    select
        environment,
        relation_name,
        cast(median(row_count) as double) as baseline_row_count,
        count(*) as baseline_days
    from daily
    group by environment, relation_name
),

builds as (
    select
        environment,
        name as relation_name,
        max(started_at) as last_built_at
    from ({{ nodes }}) as nodes
    where
        kind in ('model', 'seed', 'snapshot')
        and status = 'success'
        and started_at < {{ window_end }}
    group by environment, name
)

select
    measurements.environment,
    measurements.relation_name,
    measurements.relation_type,
    measurements.layer,
    measurements.row_count,
    measurements.previous_row_count,
    measurements.bytes as storage_bytes,
    measurements.previous_bytes,
    measurements.measured_at,
    measurements.previous_measured_at,
    baselines.baseline_row_count,
    baselines.baseline_days,
    builds.last_built_at
from measurements
left join builds
    on
        measurements.environment = builds.environment
        and measurements.relation_name = builds.relation_name
left join baselines
    on
        measurements.environment = baselines.environment
        and measurements.relation_name = baselines.relation_name
where
    measurements.recency = 1
    and measurements.run_measured_at = measurements.last_measured_at
order by measurements.environment, measurements.relation_name
