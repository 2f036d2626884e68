//! An action that runs on a version of Node that GitHub has withdrawn.

use super::view::{Step, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "outdated-action",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "An action has a major version that was made for Node 12 or 16.",
    why: "GitHub has removed these versions of Node: the action runs on a newer one that it was not tested with, or not \
          at all. Old versions of the cache and artifact actions fail, since their service is gone.",
    example: "```yaml\n- uses: actions/checkout@v3\n```\n\n```yaml\n- uses: actions/checkout@v6\n```",
    remedy: "use a newer major version",
};

/// The newest major version for Node 16 or older, by the `runs.using` of each action.
const OLD: [(&str, u32); 30] = [
    ("actions/cache", 3),
    ("actions/checkout", 3),
    ("actions/configure-pages", 3),
    ("actions/create-release", 1),
    ("actions/deploy-pages", 2),
    ("actions/dependency-review-action", 3),
    ("actions/download-artifact", 3),
    ("actions/github-script", 6),
    ("actions/labeler", 4),
    ("actions/setup-dotnet", 3),
    ("actions/setup-go", 4),
    ("actions/setup-java", 3),
    ("actions/setup-node", 3),
    ("actions/setup-python", 4),
    ("actions/stale", 8),
    ("actions/upload-artifact", 3),
    ("actions/upload-release-asset", 1),
    ("aws-actions/configure-aws-credentials", 3),
    ("azure/login", 1),
    ("codecov/codecov-action", 3),
    ("docker/build-push-action", 4),
    ("docker/login-action", 2),
    ("docker/metadata-action", 4),
    ("docker/setup-buildx-action", 2),
    ("docker/setup-qemu-action", 2),
    ("github/codeql-action", 2),
    ("google-github-actions/auth", 1),
    ("peaceiris/actions-gh-pages", 3),
    ("pnpm/action-setup", 2),
    ("softprops/action-gh-release", 1),
];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let offences = view.steps.iter().filter_map(Step::uses).filter_map(|uses| {
        let (action, version) = uses.text()?.split_once('@')?;
        let name = action.splitn(3, '/').take(2).collect::<Vec<_>>().join("/").to_lowercase();
        let (_, newest) = OLD.iter().find(|(old, _)| *old == name)?;
        let major = major(version)?;
        (major <= *newest).then(|| {
            let message =
                format!("`{action}` {version} was made for a version of Node that GitHub has removed");
            view.offence(&RULE, uses.span, message)
        })
    });
    offences.collect()
}

/// Of `v3`, `3.1` and `v3.1.2`; other names, such as `v3-node20`, say nothing.
fn major(version: &str) -> Option<u32> {
    let numbers = version.strip_prefix('v').unwrap_or(version);
    let is_version = numbers.len() < 12 && numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    numbers.split('.').next()?.parse().ok().filter(|_| is_version)
}
