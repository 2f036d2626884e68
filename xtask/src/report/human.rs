//! The format for people: place, message and remedy, the line with a caret, and a summary.

use std::collections::HashSet;
use std::io::{self, Write};

use super::Report;
use crate::core::finding::{Finding, Group};

pub(super) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut explained = HashSet::new();
    for finding in report.findings {
        one(finding, out)?;
        // `lint` explains its own rules; the message of an advisory explains it already.
        if finding.group != Group::Supply && explained.insert(&finding.rule) {
            writeln!(out, "        = why: cargo xtask lint --explain {}", finding.rule)?;
        }
    }
    summary(report, out)
}

fn one(finding: &Finding, out: &mut impl Write) -> io::Result<()> {
    let span = finding.span;
    write!(
        out,
        "{}:{}:{}: {} [{}] {}",
        finding.path,
        span.line,
        span.column,
        finding.severity.name(),
        finding.rule,
        finding.message
    )?;
    if let Some(commit) = &finding.commit {
        write!(out, " (commit {})", commit.get(..12).unwrap_or(commit))?;
    }
    writeln!(out)?;
    if let Some(excerpt) = &finding.excerpt {
        // A tab is replaced by a space, so that the caret is below the offence.
        let shown: String = excerpt.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let indent = shown.chars().take(excerpt.start).take_while(|c| c.is_whitespace()).count();
        writeln!(out, "  {:>5} | {}", span.line, shown.chars().skip(indent).collect::<String>().trim_end())?;
        let caret = "^".repeat(excerpt.width.max(1));
        writeln!(out, "        | {:width$}{caret}", "", width = excerpt.start - indent)?;
    }
    writeln!(out, "        = {}", finding.remedy)
}

fn summary(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut groups: Vec<(Group, usize)> = Vec::new();
    for finding in report.findings {
        match groups.iter_mut().find(|(group, _)| *group == finding.group) {
            Some((_, count)) => *count += 1,
            None => groups.push((finding.group, 1)),
        }
    }
    let found = match report.findings.len() {
        0 => "no findings".to_owned(),
        count => {
            let by: Vec<String> =
                groups.iter().map(|(group, count)| format!("{count} {}", group.name())).collect();
            format!("{count} finding{} ({})", if count == 1 { "" } else { "s" }, by.join(", "))
        }
    };
    let rest: Vec<String> = report
        .summary
        .iter()
        .filter(|(_, value)| value.as_u64().is_some_and(|count| count > 0))
        .map(|(name, value)| format!("{} {value}", name.replace('_', " ")))
        .collect();
    let rest = if rest.is_empty() { String::new() } else { format!("; {}", rest.join(", ")) };
    let incomplete = report.summary.get("incomplete").and_then(serde_json::Value::as_bool) == Some(true);
    let incomplete = if incomplete { "; INCOMPLETE" } else { "" };
    writeln!(out, "{}: {found}{rest}{incomplete}", report.command)?;
    for line in report.summary.get("not_read").and_then(serde_json::Value::as_array).into_iter().flatten() {
        writeln!(out, "  not read: {}", line.as_str().unwrap_or_default())?;
    }
    Ok(())
}
