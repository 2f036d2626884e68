-- The registry of environments, shared by the roles that build. It has a separate role, because a lock left by a
-- killed run may have to be removed by a role other than the one that took it.
use role sysadmin;

create schema if not exists logistics_demo.xtask_registry
    comment = 'Which environments exist, and who is building them; kept by cargo xtask';

use role securityadmin;

grant ownership on schema logistics_demo.xtask_registry to role logistics_registry copy current grants;
grant ownership on all tables in schema logistics_demo.xtask_registry to role logistics_registry copy current grants;
grant ownership on future tables in schema logistics_demo.xtask_registry to role logistics_registry;

-- Who reads an environment is declared in policies/environments.toml, `[[snowflake.grants]]`, and granted by the
-- toolkit schema by schema. No future grant on the whole database: one on a schema makes Snowflake ignore those on its
-- database, so a reader granted there would lose what others are granted here.
