//! A called workflow that requests more than its caller grants.

use std::collections::BTreeMap;

use super::view::{Context, View, called};
use crate::core::finding::{Group, Severity, Span};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "uncovered-permissions",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "A called workflow requests permissions that the calling job does not grant.",
    why: "GitHub compares the permissions of every nested job with those of its caller before anything runs, whatever \
          the `if:` of the jobs says. One that is not covered makes the whole file invalid: no event starts it, and \
          no check reports that.",
    example: "```yaml\njobs:\n  cleanup:\n    permissions:\n      contents: read   # and `issues: read`, which the job \
              `drop` of cleanup.yml requests\n    uses: ./.github/workflows/cleanup.yml\n```",
    remedy: "grant the permission in the calling job, or stop requesting it in the called workflow",
};

/// What may be requested at most, by scope.
type Grants = BTreeMap<&'static str, Level>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    #[default]
    None,
    Read,
    Write,
}

impl Level {
    fn of(text: &str) -> Self {
        match text {
            "write" => Self::Write,
            "read" => Self::Read,
            _ => Self::None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

pub(super) fn check(view: &View<'_>, repo: &Context<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for job in &view.jobs {
        let Some((uses, path)) = called(job.node) else { continue };
        // Without explicit permissions the limit is a setting of the repository, which is unknown here;
        // `missing-permissions` reports such jobs.
        let explicit = job.node.get("permissions").or_else(|| view.root.get("permissions"));
        let Some(limit) = explicit.and_then(grants) else { continue };
        let mut walk = Walk { view, repo, span: uses.span, chain: vec![view.path], offences: &mut offences };
        walk.call(path, &limit);
    }
    offences
}

struct Walk<'w, 'a> {
    view: &'w View<'a>,
    repo: &'w Context<'a>,
    /// Of the call in the file that is checked.
    span: Span,
    chain: Vec<&'w str>,
    offences: &'w mut Vec<Offence>,
}

impl<'w> Walk<'w, '_> {
    /// The called workflow's own permissions, then those of its jobs, then the calls in it: in the order
    /// and with the limits that GitHub uses.
    fn call(&mut self, path: &'w str, limit: &Grants) {
        let Some(root) = self.repo.workflow(path).filter(|_| !self.chain.contains(&path)) else { return };
        self.chain.push(path);
        let whole = root.get("permissions").and_then(grants);
        if let Some(requested) = &whole {
            self.compare(path, None, requested, limit);
        }
        for (key, job) in root.get("jobs").map(Node::entries).unwrap_or_default() {
            let own = job.get("permissions").and_then(grants);
            if let Some(requested) = &own {
                self.compare(path, key.text(), requested, limit);
            }
            if let Some((_, inner)) = called(job) {
                let inherited = whole.as_ref().unwrap_or(limit);
                self.call(inner, own.as_ref().unwrap_or(inherited));
            }
        }
        self.chain.pop();
    }

    fn compare(&mut self, path: &str, job: Option<&str>, requested: &Grants, limit: &Grants) {
        let granted = |scope: &str| limit.get(scope).copied().unwrap_or_default();
        let over: Vec<(&str, Level)> = requested
            .iter()
            .filter(|(scope, level)| **level > granted(scope))
            .map(|(scope, level)| (*scope, *level))
            .collect();
        if over.is_empty() {
            return;
        }
        let list = |level: &dyn Fn(&(&str, Level)) -> Level| {
            let parts: Vec<String> =
                over.iter().map(|part| format!("{}: {}", part.0, level(part).name())).collect();
            parts.join(", ")
        };
        let who = job.map_or_else(|| path.to_owned(), |job| format!("the job `{job}` of {path}"));
        let message = format!(
            "{who} requests {}, and this call grants {}",
            list(&|part| part.1),
            list(&|part| granted(part.0))
        );
        self.offences.push(self.view.offence(&RULE, self.span, message));
    }
}

/// The permissions that a value of `permissions` grants; `None` for one that GitHub does not accept.
fn grants(node: &Node) -> Option<Grants> {
    let all = |level: Level| -> Grants {
        // The one scope that is read and never written.
        let most = |scope: &str| if scope == "models" { level.min(Level::Read) } else { level };
        super::invalid_workflow::SCOPES.iter().map(|scope| (*scope, most(scope))).collect()
    };
    match node.text() {
        Some("read-all") => Some(all(Level::Read)),
        Some("write-all") => Some(all(Level::Write)),
        Some(_) => None,
        None => {
            let written = |scope: &&'static str| {
                let level = node.get(scope).and_then(Node::text).map(Level::of)?;
                Some((*scope, level))
            };
            let scopes = super::invalid_workflow::SCOPES.iter();
            node.is_mapping().then(|| scopes.filter_map(written).collect())
        }
    }
}
