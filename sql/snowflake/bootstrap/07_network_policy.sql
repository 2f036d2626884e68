-- From where the service user may log in: GitHub's runners, by the rule that Snowflake keeps up to date itself. It
-- binds this user only, so it cannot lock anybody else out. For runners of your own make a network rule with their
-- addresses and add it to the list.
use role securityadmin;

create network policy if not exists logistics_ci_policy
    allowed_network_rule_list = ('SNOWFLAKE.NETWORK_SECURITY.GITHUBACTIONS_GLOBAL')
    comment = 'Where LOGISTICS_CI may come from';

alter user logistics_ci set network_policy = logistics_ci_policy;
