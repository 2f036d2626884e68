-- The reader reads every environment that is there or will be, the moment it is built, and can change none. To let it
-- read some only, leave this file out and name them in policies/environments.toml, `[[snowflake.grants]]`.
use role securityadmin;

grant usage on all schemas in database logistics_demo to role logistics_reader;
grant usage on future schemas in database logistics_demo to role logistics_reader;

grant select on all tables in database logistics_demo to role logistics_reader;
grant select on future tables in database logistics_demo to role logistics_reader;

grant select on all views in database logistics_demo to role logistics_reader;
grant select on future views in database logistics_demo to role logistics_reader;
