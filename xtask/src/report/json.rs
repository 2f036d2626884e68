//! The JSON format: a separate type, so that its names stay stable when internal names change.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::Report;
use crate::core::finding::{Finding, Group, Severity};
use crate::system::contract::Contract;

#[derive(Serialize, JsonSchema)]
struct Document<'a> {
    findings: Vec<Entry<'a>>,
    summary: &'a serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize, JsonSchema)]
struct Entry<'a> {
    rule: &'a str,
    #[schemars(with = "Group")]
    group: &'a str,
    #[schemars(with = "Severity")]
    severity: &'a str,
    path: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    message: &'a str,
    remedy: &'a str,
    fingerprint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
}

impl<'a> From<&'a Finding> for Entry<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            rule: &finding.rule,
            group: finding.group.name(),
            severity: finding.severity.name(),
            path: &finding.path,
            line: finding.span.line,
            column: finding.span.column,
            end_line: finding.span.end_line,
            end_column: finding.span.end_column,
            message: &finding.message,
            remedy: &finding.remedy,
            fingerprint: &finding.fingerprint,
            commit: finding.commit.as_deref(),
        }
    }
}

pub(crate) fn contract() -> Contract {
    Contract::output::<Document<'_>>("findings", "cargo xtask lint, secrets or audit --format json")
}

pub(super) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    let document =
        Document { findings: report.findings.iter().map(Entry::from).collect(), summary: report.summary };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}
