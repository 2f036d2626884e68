-- Who may do what. Two roles: one builds, one reads. Both hang below SYSADMIN, so that administrators see what they
-- own. Neither can create users, roles, databases or warehouses.
use role useradmin;

create role if not exists logistics_builder
    comment = 'Builds the environments of LOGISTICS_DEMO; used by CI and by developers';

create role if not exists logistics_reader
    comment = 'Reads the environments of LOGISTICS_DEMO; for dashboards and analysts';

-- Who builds can read.
grant role logistics_reader to role logistics_builder;
grant role logistics_builder to role sysadmin;
