//! A step that runs a missing file.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

use super::view::{Context, Kind, Step, View};
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "missing-script",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A step runs a script, action or workflow that the repository does not have.",
    why: "It fails on the first run, and the pull request that breaks a workflow for labels or a schedule does not run \
          it.",
    example: "```yaml\n- run: ./scripts/deploy.sh   # renamed to scripts/release.sh\n- uses: ./.github/actions/setup-dbt  \
              # has no action.yml\n```\n\nCorrect the path, or add the file in the same commit.",
    remedy: "correct the path, or add the file",
};

/// A script at the start of a command, or after its interpreter.
static SCRIPT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?:^|&&\s*|\|\|\s*|;\s*|\|\s*)(?:(?:bash|sh|zsh|python3?|node|ruby|pwsh|source|\.)\s+(?:-[a-zA-Z]+\s+)*)?["']?(?P<path>(?:\./)?[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*\.(?:sh|bash|py|js|mjs|rb|ps1))\b"#,
    )
    .expect("a regular expression")
});

/// A script's name, at any position.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[A-Za-z0-9_.-]+\.(?:sh|bash|py|js|mjs|rb|ps1)\b").expect("a regular expression")
});

/// A line after which paths are relative to another folder.
static MOVES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:^|[;&|(]\s*)(?:cd|pushd)\b").expect("a regular expression"));

/// A command that creates files which the repository does not list.
static FETCHES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:curl|wget|git|gh|tar|unzip|cp|mv|make|npm|npx|yarn|pnpm|docker|aws|gsutil|az)\b")
        .expect("a regular expression")
});

pub(super) fn check(view: &View<'_>, repo: &Context<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    // Other repositories that a step checks out are in folders that this one does not have.
    let checked_out = view.steps.iter().any(|step| step.node.at(&["with", "path"]).is_some());
    for uses in view.steps.iter().filter_map(Step::uses) {
        offences.extend(missing_action(view, repo, uses, checked_out));
    }
    for uses in view.jobs.iter().filter_map(|job| job.node.get("uses")) {
        if let Some(path) = uses.text().and_then(|text| text.strip_prefix("./"))
            && !repo.has_file(path)
        {
            offences.push(view.offence(&RULE, uses.span, format!("no workflow is at {path}")));
        }
    }
    // An action's scripts run in the folder of the workflow that uses it.
    if view.kind == Kind::Workflow {
        for job in 0..view.jobs.len() {
            missing_files(view, repo, job, &mut offences);
        }
    }
    offences
}

/// Scripts of a job that are not in the repository and that no earlier line can have created.
fn missing_files(view: &View<'_>, repo: &Context<'_>, job: usize, offences: &mut Vec<Offence>) {
    let steps = || view.steps.iter().filter(|step| step.job == Some(job));
    // Another repository is checked out instead of this one.
    if steps().any(|step| step.node.at(&["with", "repository"]).is_some()) {
        return;
    }
    // Scripts that an earlier line has created or fetched are named there.
    let mut mentioned: HashSet<&str> = HashSet::new();
    let mut fetched = false;
    for step in steps() {
        let shell = step.node.get("shell").and_then(Node::text).unwrap_or("bash");
        let Some(run) = step.run().filter(|_| shell.starts_with("bash") || shell.starts_with("sh")) else {
            continue;
        };
        let mut moved = false;
        for line in view.script(run) {
            moved |= MOVES.is_match(line.text);
            for found in SCRIPT.captures_iter(line.text).filter_map(|found| found.name("path")) {
                let name = found.as_str().rsplit('/').next().unwrap_or_default();
                if moved
                    || mentioned.contains(name)
                    || line.text.contains(" -f ")
                    || line.text.contains(" -e ")
                {
                    continue;
                }
                let Some(path) = place(view, step, found.as_str()) else { continue };
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                // A folder that is not in the repository was installed, built or unpacked; so may be files at the root.
                let is_ours = if folder.is_empty() { !fetched } else { repo.has_folder(folder) };
                if is_ours && !repo.has_file(&path) {
                    let start = line.start + found.start();
                    let span = view.span(start..start + found.len());
                    offences.push(view.offence(&RULE, span, format!("no file is at {path}")));
                }
            }
            fetched |= FETCHES.is_match(line.text);
            mentioned.extend(NAME.find_iter(line.text).map(|found| found.as_str()));
        }
    }
}

fn missing_action(view: &View<'_>, repo: &Context<'_>, uses: &Node, checked_out: bool) -> Option<Offence> {
    let path = uses.text()?.strip_prefix("./")?.trim_end_matches('/');
    let path = normal(path)?;
    let has = ["action.yml", "action.yaml", "Dockerfile"].iter().any(|file| {
        repo.has_file(&if path.is_empty() { (*file).to_owned() } else { format!("{path}/{file}") })
    });
    let is_known = repo.has_folder(&path) || !checked_out;
    (!has && is_known).then(|| {
        let shown = if path.is_empty() { "the root" } else { &path };
        view.offence(&RULE, uses.span, format!("no action.yml is in {shown}"))
    })
}

/// The script's path from the root; `None` if it is known only at run time.
fn place(view: &View<'_>, step: &Step<'_>, script: &str) -> Option<String> {
    let mut folder = step.node.get("working-directory");
    for level in view.levels(step).into_iter().skip(1) {
        folder = folder.or_else(|| level.at(&["defaults", "run", "working-directory"]));
    }
    let folder = folder.and_then(Node::text).unwrap_or_default();
    let joined = if folder.is_empty() { script.to_owned() } else { format!("{folder}/{script}") };
    // A build artifact is not a file of the repository.
    let is_made =
        joined.starts_with("target/") || joined.starts_with("./target/") || joined.contains("node_modules");
    if joined.starts_with('/') || joined.contains(['$', '~']) || is_made {
        return None;
    }
    normal(&joined)
}

/// Without `.` and `..`; `None` for a path outside the repository.
fn normal(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
