-- The most that the warehouse may cost. Only ACCOUNTADMIN can create a resource monitor. Change the quota here and run
-- the file again: it is set, not only created.
use role accountadmin;

create resource monitor if not exists logistics_monitor with
    credit_quota = 20
    frequency = monthly
    start_timestamp = immediately
    triggers
        on 80 percent do notify
        on 100 percent do suspend
        on 110 percent do suspend_immediate;

alter resource monitor logistics_monitor set credit_quota = 20;

alter warehouse logistics_wh set resource_monitor = logistics_monitor;
