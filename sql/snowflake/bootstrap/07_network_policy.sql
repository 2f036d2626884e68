-- From where the service users may log in: GitHub's runners, by the rule that Snowflake keeps up to date itself. It
-- binds these users only, so it cannot lock anyone else out. For runners of your own make a network rule with their
-- addresses and add it to the list.
use role securityadmin;

create network policy if not exists logistics_ci_policy
    allowed_network_rule_list = ('SNOWFLAKE.NETWORK_SECURITY.GITHUBACTIONS_GLOBAL')
    comment = 'Where the users of GitHub Actions may come from';

alter user logistics_ci_prod set network_policy = logistics_ci_policy;
alter user logistics_ci_dev set network_policy = logistics_ci_policy;
alter user logistics_ci_preview set network_policy = logistics_ci_policy;
alter user logistics_ci_maintenance set network_policy = logistics_ci_policy;
