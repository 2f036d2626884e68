-- The database whose schemas are the environments. One day of Time Travel for `prod` and `dev`; the toolkit makes the
-- others transient with none, because dropped permanent tables go on costing.
use role sysadmin;

create database if not exists logistics_demo
    data_retention_time_in_days = 1
    comment = 'Inventory analytics; each schema is an environment of cargo xtask';

-- Each role owns the schemas that it creates, and so all that is in them: it needs nothing else.
grant usage, create schema on database logistics_demo to role logistics_prod_builder;
grant usage, create schema on database logistics_demo to role logistics_builder;
grant usage on database logistics_demo to role logistics_registry;
grant usage on database logistics_demo to role logistics_reader;
