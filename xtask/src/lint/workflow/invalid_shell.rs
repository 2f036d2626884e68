//! A shell that does not exist on the runner.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "invalid-shell",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "A step names a shell that GitHub does not know, or that its runner does not have.",
    why: "The step fails before its script starts. Any other program is a shell only with `{0}` for the file of the \
          script.",
    example: "```yaml\n- run: echo $x\n  shell: zsh\n```\n\n```yaml\n- run: echo $x\n  shell: zsh {0}\n```",
    remedy: "use bash, sh, pwsh, python, or on Windows cmd and powershell; or `program {0}`",
};

const EVERYWHERE: [&str; 4] = ["bash", "pwsh", "python", "sh"];
const WINDOWS: [&str; 2] = ["cmd", "powershell"];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    let mut check = |shell: Option<&Node>, runner: Option<&str>| {
        let Some(shell) = shell else { return };
        if let Some(message) = shell.text().and_then(|name| fault(name, runner)) {
            offences.push(view.offence(&RULE, shell.span, message));
        }
    };
    check(view.root.at(&["defaults", "run", "shell"]), None);
    for job in &view.jobs {
        check(job.node.at(&["defaults", "run", "shell"]), runner(job.node));
    }
    for step in &view.steps {
        check(step.node.get("shell"), step.job.and_then(|job| runner(view.jobs[job].node)));
    }
    offences
}

/// The label of the runner, if it is one.
fn runner(job: &Node) -> Option<&str> {
    let label = job.get("runs-on").and_then(Node::text);
    label.filter(|label| !label.contains("${{"))
}

fn fault(shell: &str, runner: Option<&str>) -> Option<String> {
    let name = shell.to_lowercase();
    let is_free = shell.is_empty() || shell.contains("{0}") || shell.contains("${{");
    if is_free || EVERYWHERE.contains(&name.as_str()) {
        return None;
    }
    if !WINDOWS.contains(&name.as_str()) {
        return Some(format!(
            "GitHub knows no shell `{shell}`; write `{shell} {{0}}` for a program of that name"
        ));
    }
    let runner = runner?.to_lowercase();
    let is_other = ["ubuntu-", "macos-"].iter().any(|system| runner.starts_with(system));
    is_other.then(|| format!("`{runner}` has no `{shell}`"))
}
