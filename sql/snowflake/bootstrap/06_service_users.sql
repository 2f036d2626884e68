-- The users that GitHub Actions logs in as, without any secret: GitHub signs a token that says which repository and
-- which deployment environment of it a job runs for, and Snowflake lets in the user with that subject. One user for each
-- deployment environment that the workflows use (policies/pipeline.toml, `[deployments]`): the protection rules of the
-- GitHub environment `prod` decide who becomes LOGISTICS_CI_PROD, the only one that can change prod. A service user can
-- neither have a password nor open the web interface.
--
-- `subject` is given on the command line (README.md beside this folder): what comes before `:environment:` in the
-- token's own subject. `cargo xtask doctor --target snowflake` prints that in a job. It is repo:OWNER/REPO, and
-- repo:OWNER@ID/REPO@ID for repositories that were created, renamed or transferred since the middle of 2026.
use role useradmin;

create user if not exists logistics_ci_prod
    type = service
    default_role = logistics_prod_builder
    default_warehouse = logistics_wh
    default_namespace = logistics_demo
    comment = 'GitHub Actions, deployment environment prod';

create user if not exists logistics_ci_dev
    type = service
    default_role = logistics_builder
    default_warehouse = logistics_wh
    default_namespace = logistics_demo
    comment = 'GitHub Actions, deployment environment dev';

create user if not exists logistics_ci_preview
    type = service
    default_role = logistics_builder
    default_warehouse = logistics_wh
    default_namespace = logistics_demo
    comment = 'GitHub Actions, deployment environment preview: issues, pull requests and branches';

create user if not exists logistics_ci_maintenance
    type = service
    default_role = logistics_builder
    default_warehouse = logistics_wh
    default_namespace = logistics_demo
    comment = 'GitHub Actions, deployment environment maintenance: the nightly clean-up';

-- Set every time, for users that existed and repositories that have moved.
alter user logistics_ci_prod set
    workload_identity = (
        type = oidc
        issuer = 'https://token.actions.githubusercontent.com'
        subject = '<% subject %>:environment:prod'
    );

alter user logistics_ci_dev set
    workload_identity = (
        type = oidc
        issuer = 'https://token.actions.githubusercontent.com'
        subject = '<% subject %>:environment:dev'
    );

alter user logistics_ci_preview set
    workload_identity = (
        type = oidc
        issuer = 'https://token.actions.githubusercontent.com'
        subject = '<% subject %>:environment:preview'
    );

alter user logistics_ci_maintenance set
    workload_identity = (
        type = oidc
        issuer = 'https://token.actions.githubusercontent.com'
        subject = '<% subject %>:environment:maintenance'
    );

-- A role is granted by a role that may manage grants.
use role securityadmin;
grant role logistics_prod_builder to user logistics_ci_prod;
grant role logistics_builder to user logistics_ci_dev;
grant role logistics_builder to user logistics_ci_preview;
grant role logistics_builder to user logistics_ci_maintenance;

-- A second repository, or a second subject, for one of these users: `alter user … add workload identity NAME`, as
-- `cargo xtask doctor --target snowflake` prints it.
--
-- If workload identity is not available, one of these instead; each is a secret that has to be renewed.
--
-- Key pair (SNOWFLAKE_PRIVATE_KEY or SNOWFLAKE_PRIVATE_KEY_PATH), made with
--     openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes256 -out rsa_key.p8
--     openssl rsa -in rsa_key.p8 -pubout -out rsa_key.pub
-- and with the lines between BEGIN and END of rsa_key.pub:
--     alter user logistics_ci_prod set rsa_public_key = 'MIIBIjANBgkqh…';
-- To renew it without a gap set rsa_public_key_2, change the secret, and unset rsa_public_key.
--
-- Programmatic access token (SNOWFLAKE_AUTHENTICATOR=programmatic_access_token, SNOWFLAKE_TOKEN); it is shown once, and
-- needs the network policy of 07_network_policy.sql:
--     alter user logistics_ci_prod add programmatic access token ci
--         role_restriction = 'LOGISTICS_PROD_BUILDER'
--         days_to_expiry = 30;
