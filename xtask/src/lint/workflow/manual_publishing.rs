//! A package that is published with a stored token.

use std::sync::LazyLock;

use regex::Regex;

use super::view::{Step, View};
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "manual-publishing",
    group: Group::Workflow,
    severity: Severity::Low,
    summary: "A package is published with a stored token instead of the identity of the workflow.",
    why: "PyPI, npm, crates.io, RubyGems and NuGet accept the identity of a workflow (trusted publishing): a token for \
          minutes that cannot be stolen from the settings, and that only this workflow gets.",
    example: "```yaml\n- run: twine upload dist/*\n  env:\n    TWINE_PASSWORD: ${{ secrets.PYPI_TOKEN }}\n```\n\n```yaml\npermissions:\n  \
              id-token: write\nsteps:\n  - uses: pypa/gh-action-pypi-publish@…\n```",
    remedy: "set up trusted publishing at the registry, and grant the job `id-token: write`",
};

static PUBLISHES: LazyLock<Regex> = LazyLock::new(|| {
    // A command can go on in the next line, after a backslash or, in PowerShell, a backtick.
    let gap = r"[\s\\`]+";
    let commands = [
        r"(?:npm|pnpm|bun|lerna|cargo|uv|poetry|flit|hatch|pdm)GAP(?:[^\s\\`]+GAP){0,4}?publish",
        r"yarnGAPnpmGAPpublish",
        r"(?:python[\d.]*GAP-mGAP)?twine(?:==[^\s\\`]+)?GAPupload",
        r"gemGAPpush",
        r"(?:dotnetGAP)?nuget(?:\.exe)?GAPpush",
    ];
    Regex::new(&format!(r"\b(?:{})\b", commands.join("|")).replace("GAP", gap)).expect("a regular expression")
});

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for step in &view.steps {
        let Some(run) = step.run().filter(|_| !has_identity(view, step)) else { continue };
        for line in view.script(run).into_iter().filter(|line| !line.text.contains("--dry-run")) {
            if let Some(found) = PUBLISHES.find(line.text) {
                let span = view.span(line.start + found.start()..line.start + found.end());
                let words: Vec<&str> =
                    found.as_str().split_whitespace().filter(|word| !matches!(*word, "\\" | "`")).collect();
                let message = format!("`{}` without the identity of the workflow", words.join(" "));
                offences.push(view.offence(&RULE, span, message));
            }
        }
    }
    offences
}

/// Whether the job can ask for an identity.
fn has_identity(view: &View<'_>, step: &Step<'_>) -> bool {
    let permissions = view.levels(step).into_iter().skip(1).find_map(|level| level.get("permissions"));
    let Some(permissions) = permissions else { return false };
    permissions.text() == Some("write-all")
        || permissions.get("id-token").and_then(Node::text) == Some("write")
}
