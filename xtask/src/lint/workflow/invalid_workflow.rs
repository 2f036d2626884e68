//! A workflow that GitHub rejects, or reads in another way than intended.

use std::collections::{HashMap, HashSet};

use super::view::{Kind, Step, View};
use crate::core::finding::{Group, Severity, Span};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "invalid-workflow",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "GitHub would reject the workflow or action.",
    why: "A rejected workflow does not run at all: no check appears, so none fails. In workflows that run on labels \
          or a schedule the fault is found weeks later, when they are needed.",
    example: "```yaml\njobs:\n  build:\n    run-on: ubuntu-24.04   # runs-on\n    needs: [pln]           # no such job\n    \
              steps:\n      - run: cargo xtask elt\n        uses: ./.github/actions/setup   # run or uses, not both\n```",
    remedy: "correct the key or name that is reported",
};

const TOP: [&str; 10] = [
    "name",
    "description",
    "run-name",
    "on",
    "permissions",
    "env",
    "defaults",
    "concurrency",
    "jobs",
    "cache-mode",
];
const JOB: [&str; 22] = [
    "name",
    "permissions",
    "needs",
    "if",
    "runs-on",
    "environment",
    "concurrency",
    "outputs",
    "env",
    "defaults",
    "steps",
    "timeout-minutes",
    "strategy",
    "continue-on-error",
    "container",
    "services",
    "uses",
    "with",
    "secrets",
    "snapshot",
    "cache-mode",
    "cancel-timeout-minutes",
];
const STEP: [&str; 11] = [
    "id",
    "if",
    "name",
    "uses",
    "run",
    "working-directory",
    "shell",
    "with",
    "env",
    "continue-on-error",
    "timeout-minutes",
];
const ACTION: [&str; 7] = ["name", "author", "description", "inputs", "outputs", "runs", "branding"];
pub(super) const SCOPES: [&str; 17] = [
    "actions",
    "artifact-metadata",
    "attestations",
    "checks",
    "contents",
    "deployments",
    "discussions",
    "id-token",
    "issues",
    "models",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "security-events",
    "statuses",
    "vulnerability-alerts",
];
const EVENTS: [&str; 36] = [
    "branch_protection_rule",
    "check_run",
    "check_suite",
    "create",
    "delete",
    "deployment",
    "deployment_status",
    "discussion",
    "discussion_comment",
    "fork",
    "gollum",
    "image_version",
    "issue_comment",
    "issues",
    "label",
    "merge_group",
    "milestone",
    "page_build",
    "project",
    "project_card",
    "project_column",
    "public",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_target",
    "push",
    "registry_package",
    "release",
    "repository_dispatch",
    "schedule",
    "status",
    "watch",
    "workflow_call",
    "workflow_dispatch",
    "workflow_run",
];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut checker = Checker { view, offences: Vec::new() };
    match view.kind {
        Kind::Workflow => checker.workflow(),
        Kind::Action => checker.action(),
    }
    for step in &view.steps {
        checker.step(step);
    }
    checker.ids();
    checker.offences.extend(super::schema::check(view));
    checker.offences
}

struct Checker<'v, 'a> {
    view: &'v View<'a>,
    offences: Vec<Offence>,
}

impl Checker<'_, '_> {
    fn say(&mut self, span: Span, message: impl Into<String>) {
        self.offences.push(self.view.offence(&RULE, span, message));
    }

    fn keys(&mut self, node: &Node, known: &[&str], what: &str) {
        for (key, _) in node.entries() {
            let name = key.text().unwrap_or_default();
            if !known.contains(&name) {
                self.say(key.span, format!("{what} has no key `{name}`"));
            }
        }
    }

    fn workflow(&mut self) {
        let root = self.view.root;
        let place = root.entries().first().map_or(root.span, |(key, _)| key.span);
        self.keys(root, &TOP, "a workflow");
        if root.get("on").is_none() {
            self.say(place, "nothing says when it runs: `on` is missing");
        }
        if self.view.jobs.is_empty() {
            self.say(root.get("jobs").map_or(place, |jobs| jobs.span), "it has no jobs");
        }
        self.merge_keys();
        self.events();
        self.permissions(root);
        for at in 0..self.view.jobs.len() {
            self.job(at);
        }
        self.needs();
    }

    /// GitHub reads anchors and aliases, and not the merge key `<<`.
    fn merge_keys(&mut self) {
        let view = self.view;
        let mut start = 0;
        for line in view.text.split_inclusive('\n') {
            let key = line.trim_start_matches(['-', ' ', '{']);
            let at = start + line.len() - key.len();
            start += line.len();
            let is_key = key.strip_prefix("<<").is_some_and(|rest| rest.trim_start().starts_with(':'));
            if is_key && !view.is_in_text(at) {
                self.say(view.span(at..at + 2), "GitHub does not support the YAML merge key `<<`");
            }
        }
    }

    fn events(&mut self) {
        let Some(on) = self.view.root.get("on") else { return };
        let keys = on.entries().iter().map(|(key, _)| key);
        let names: Vec<&Node> = on.one_or_many().iter().filter(|node| node.is_scalar()).chain(keys).collect();
        for node in names {
            let Some(name) = node.text() else { continue };
            if !EVENTS.contains(&name) {
                self.say(node.span, format!("no event is named `{name}`"));
            }
        }
        for node in on.one_or_many().iter().filter(|node| node.text() == Some("schedule")) {
            self.say(node.span, "`schedule` needs its times: `schedule: [{cron: …}]`");
        }
    }

    fn permissions(&mut self, node: &Node) {
        let Some(permissions) = node.get("permissions") else { return };
        let is_wrong =
            permissions.is_scalar() && !matches!(permissions.text(), Some("read-all" | "write-all"));
        if is_wrong {
            let text = permissions.text().unwrap_or_default();
            let message = format!("`{text}` is not a permission: use read-all, write-all or a mapping");
            self.say(permissions.span, message);
        }
        for (scope, value) in permissions.entries() {
            let name = scope.text().unwrap_or_default();
            if !SCOPES.contains(&name) {
                self.say(scope.span, format!("no permission is named `{name}`"));
            }
            let (levels, named): (&[&str], _) = match name {
                "id-token" => (&["write", "none"], "write or none"),
                "models" => (&["read", "none"], "read or none"),
                _ => (&["read", "write", "none"], "read, write or none"),
            };
            if !value.text().is_some_and(|text| levels.contains(&text)) {
                self.say(value.span, format!("`{name}` must be {named}"));
            }
        }
    }

    fn job(&mut self, at: usize) {
        let job = &self.view.jobs[at];
        if !is_id(job.id) {
            self.say(
                job.key.span,
                format!("`{}` is not a valid job id: use letters, digits, - and _", job.id),
            );
        }
        if !job.node.is_mapping() {
            self.say(job.key.span, format!("`{}` is empty", job.id));
            return;
        }
        self.keys(job.node, &JOB, "a job");
        self.permissions(job.node);
        let has = |key: &str| job.node.get(key).is_some();
        if has("uses") {
            if has("steps") || has("runs-on") {
                self.say(
                    job.key.span,
                    format!("`{}` calls a workflow, so it has no steps and no runs-on", job.id),
                );
            }
        } else {
            if !has("runs-on") {
                self.say(job.key.span, format!("`{}` has no runs-on", job.id));
            }
            if job.node.get("steps").is_none_or(|steps| steps.items().is_empty()) {
                self.say(job.key.span, format!("`{}` has no steps", job.id));
            }
        }
    }

    /// Needs that name a missing job, and needs in a cycle.
    fn needs(&mut self) {
        let view = self.view;
        let numbers: HashMap<String, usize> =
            view.jobs.iter().enumerate().map(|(at, job)| (job.id.to_lowercase(), at)).collect();
        let mut edges: Vec<Vec<usize>> = vec![Vec::new(); view.jobs.len()];
        for (at, job) in view.jobs.iter().enumerate() {
            for need in job.node.get("needs").map(Node::one_or_many).unwrap_or_default() {
                let Some(name) = need.text() else { continue };
                match numbers.get(&name.to_lowercase()) {
                    Some(&to) => edges[at].push(to),
                    None => self.say(need.span, format!("no job is named `{name}`")),
                }
            }
        }
        // Jobs without open needs are removed until none is left; the remaining ones are in or behind a cycle.
        let mut waits: Vec<usize> = edges.iter().map(Vec::len).collect();
        let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
        for (at, needs) in edges.iter().enumerate() {
            for to in needs {
                needed_by[*to].push(at);
            }
        }
        let mut free: Vec<usize> = (0..edges.len()).filter(|at| waits[*at] == 0).collect();
        while let Some(done) = free.pop() {
            for &at in &needed_by[done] {
                waits[at] -= 1;
                if waits[at] == 0 {
                    free.push(at);
                }
            }
        }
        let ring: HashSet<usize> = (0..edges.len()).filter(|at| waits[*at] > 0).collect();
        let first = (0..edges.len()).find_map(|at| {
            let to = edges[at].iter().find(|to| ring.contains(&at) && ring.contains(to))?;
            Some((&view.jobs[at], view.jobs[*to].id))
        });
        if let Some((job, to)) = first {
            let message = format!("`{}` waits for `{to}`, which is part of a cycle", job.id);
            self.say(job.key.span, message);
        }
    }

    fn action(&mut self) {
        let root = self.view.root;
        let place = root.entries().first().map_or(root.span, |(key, _)| key.span);
        self.keys(root, &ACTION, "an action");
        if root.at(&["runs", "using"]).is_none() {
            self.say(place, "`runs.using` is missing");
        }
        let is_composite = root.at(&["runs", "using"]).and_then(Node::text) == Some("composite");
        let shellless: Vec<Span> = self
            .view
            .steps
            .iter()
            .filter(|step| is_composite && step.node.get("shell").is_none())
            .filter_map(|step| step.node.entry("run").map(|(key, _)| key.span))
            .collect();
        for span in shellless {
            self.say(span, "a step of an action names its `shell`");
        }
    }

    fn step(&mut self, step: &Step<'_>) {
        if !step.node.is_mapping() {
            self.say(step.node.span, "a step is a mapping with `run` or `uses`");
            return;
        }
        self.keys(step.node, &STEP, "a step");
        let place = step.node.entries().first().map_or(step.node.span, |(key, _)| key.span);
        match (step.node.get("run"), step.node.get("uses")) {
            (None, None) => self.say(place, "a step has `run` or `uses`"),
            (Some(_), Some(_)) => self.say(place, "a step has `run` or `uses`, not both"),
            _ => {}
        }
    }

    fn ids(&mut self) {
        let mut known = HashSet::new();
        let view = self.view;
        for step in &view.steps {
            let Some(id) = step.node.get("id") else { continue };
            let name = id.text().unwrap_or_default();
            if !is_id(name) {
                self.say(id.span, format!("`{name}` is not a valid id: use letters, digits, - and _"));
            }
            if !known.insert((step.job, name.to_lowercase())) {
                self.say(id.span, format!("another step has the id `{name}`"));
            }
        }
    }
}

fn is_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}
