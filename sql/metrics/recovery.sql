-- From the end of the first failed run of an outage to the end of the success that ended it, for outages that ended
-- in the window; and the environments whose latest run failed. Interrupted runs neither begin nor end one.
with evaluated as (
    select
        environment,
        started_at,
        run_id,
        coalesce(finished_at, started_at) as ended_at,
        status = 'success' as succeeded,
        lag(status = 'success') over (partition by environment order by started_at, run_id) as succeeded_before,
        row_number() over (partition by environment order by started_at desc, run_id desc) as recency
    from ({{ runs }}) as runs
    where
        status <> 'interrupted'
        and started_at < {{ window_end }}
),

-- The runs at which the result changes: the first failure after a success, and the first success after a
-- failure.
turns as (
    select
        *,
        lag(ended_at) over (partition by environment order by started_at, run_id) as turned_before_at
    from evaluated
    where succeeded <> coalesce(succeeded_before, true)
)

select
    count(case when turns.succeeded and turns.ended_at >= {{ window_start }} then 1 end) as recoveries,
    sum(
        case
            when turns.succeeded and turns.ended_at >= {{ window_start }}
                then datediff('millisecond', turns.turned_before_at, turns.ended_at) / 1000.0
        end
    ) as total_seconds,
    (
        select count(*)
        from evaluated
        where evaluated.recency = 1 and not evaluated.succeeded
    ) as failing_environments,
    (
        select count(*)
        from evaluated
        where evaluated.recency = 1
    ) as evaluated_environments
from turns
