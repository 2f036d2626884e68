-- The warehouse that computes. It starts suspended, wakes up for a statement, and sleeps after a minute without one:
-- a minute is also the least that each start is billed.
use role sysadmin;

create warehouse if not exists logistics_wh
    warehouse_size = 'XSMALL'
    auto_suspend = 60
    auto_resume = true
    initially_suspended = true
    comment = 'CI and development of LOGISTICS_DEMO';

-- Again for a warehouse that was there: no statement of a build takes half an hour, and none should wait for ten
-- minutes in a queue.
alter warehouse logistics_wh set
    auto_suspend = 60
    auto_resume = true
    statement_timeout_in_seconds = 1800
    statement_queued_timeout_in_seconds = 600;

-- USAGE runs statements. MONITOR shows who builds what everybody's queries on this warehouse took, which is what the
-- monitoring models count; without it they count its own only.
grant usage, monitor on warehouse logistics_wh to role logistics_prod_builder;
grant usage, monitor on warehouse logistics_wh to role logistics_builder;
grant usage on warehouse logistics_wh to role logistics_reader;
