//! Issue forms in a folder that GitHub does not read.

use crate::core::finding::{Group, Severity, Span};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "issue-template-folder",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "An issue form is in a folder that GitHub does not read.",
    why: "GitHub reads `.github/ISSUE_TEMPLATE/`, in upper case and in the singular. From any other folder no form is \
          offered, no error is shown, and issues arrive without the labels that the workflows wait for.",
    example: "`.github/issue_template/feature.yml` or `.github/ISSUE_TEMPLATES/feature.yml`.\n\nMove it to \
              `.github/ISSUE_TEMPLATE/feature.yml`.",
    remedy: "move it to .github/ISSUE_TEMPLATE/",
};

pub(super) fn check(path: &str) -> Option<Offence> {
    let parts: Vec<&str> = path.split('/').collect();
    let (top, folder) = match parts.as_slice() {
        [top, folder, _file] => (*top, *folder),
        _ => return None,
    };
    let plain: String = folder.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let is_meant = matches!(plain.as_str(), "issuetemplate" | "issuetemplates");
    let is_right = top == ".github" && folder == "ISSUE_TEMPLATE";
    (top.eq_ignore_ascii_case(".github") && is_meant && !is_right).then(|| {
        let span = Span { line: 1, column: 1, end_line: 1, end_column: 1 };
        RULE.offence(path, span, format!("GitHub does not look for forms in {top}/{folder}"))
    })
}
