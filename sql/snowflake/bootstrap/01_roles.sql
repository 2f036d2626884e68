-- Who may do what. One role builds prod and another one everything else, so that what a pull request or an issue runs
-- can never change prod; both share the registry of environments, and both can read. All are below SYSADMIN, so that
-- administrators see what they own. None can create users, roles, databases or warehouses.
use role useradmin;

create role if not exists logistics_prod_builder
    comment = 'Builds prod of LOGISTICS_DEMO; used by the deployment environment prod only';

create role if not exists logistics_builder
    comment = 'Builds dev and the environments of issues, pull requests and branches; used by CI and by developers';

create role if not exists logistics_registry
    comment = 'Owns the registry of environments and the locks in it';

create role if not exists logistics_reader
    comment = 'Reads the environments of LOGISTICS_DEMO; for dashboards and analysts';

grant role logistics_registry to role logistics_prod_builder;
grant role logistics_registry to role logistics_builder;
grant role logistics_prod_builder to role sysadmin;
grant role logistics_builder to role sysadmin;

-- Who builds can read: a copy of prod needs it, and so do the metrics.
grant role logistics_reader to role logistics_prod_builder;
grant role logistics_reader to role logistics_builder;

-- What the metrics read of the account: credits and metering, the query history of all warehouses, storage.
use role accountadmin;
grant database role snowflake.usage_viewer to role logistics_reader;
grant database role snowflake.governance_viewer to role logistics_reader;
