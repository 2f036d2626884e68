-- The user that GitHub Actions logs in as, without any secret: GitHub signs a token that says which repository and
-- which environment of it a job runs for, and Snowflake lets in that one. A service user can neither have a password
-- nor open the web interface.
--
-- owner, repository and environment are given on the command line (README.md beside this folder). The environment is
-- one of the repository's settings (Settings, Environments): its protection rules say who may deploy with it.
use role useradmin;

create user if not exists logistics_ci
    type = service
    default_role = logistics_builder
    default_warehouse = logistics_wh
    default_namespace = logistics_demo
    comment = 'GitHub Actions of <% owner %>/<% repository %>';

-- A user who was there, or a repository that has moved.
alter user logistics_ci set
    workload_identity = (
        type = oidc
        issuer = 'https://token.actions.githubusercontent.com'
        subject = 'repo:<% owner %>/<% repository %>:environment:<% environment %>'
    );

-- A role is granted by who may manage grants.
use role securityadmin;
grant role logistics_builder to user logistics_ci;

-- Where workload identity is not to be had, one of these instead; each is a secret that somebody has to renew.
--
-- Key pair (SNOWFLAKE_PRIVATE_KEY or SNOWFLAKE_PRIVATE_KEY_PATH), made with
--     openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes256 -out rsa_key.p8
--     openssl rsa -in rsa_key.p8 -pubout -out rsa_key.pub
-- and with the lines between BEGIN and END of rsa_key.pub:
--     alter user logistics_ci set rsa_public_key = 'MIIBIjANBgkqh…';
-- To renew it without a gap set rsa_public_key_2, change the secret, and unset rsa_public_key.
--
-- Programmatic access token (SNOWFLAKE_AUTHENTICATOR=programmatic_access_token, SNOWFLAKE_TOKEN); it is shown once, and
-- needs the network policy of 07_network_policy.sql:
--     alter user logistics_ci add programmatic access token ci
--         role_restriction = 'LOGISTICS_BUILDER'
--         days_to_expiry = 30;
