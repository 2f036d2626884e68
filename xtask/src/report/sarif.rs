//! SARIF 2.1.0 for code scanning: true positions, and fingerprints that survive moved lines.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::Report;
use crate::core::finding::{Finding, Severity};

pub(super) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    let rules = rules(report.findings);
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, &rules)).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": format!("xtask {}", report.command),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|finding| rule(finding, report.describe)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {"ROOT": {"description": {"text": "the root of the repository"}}},
            "results": results,
            "properties": {"summary": report.summary},
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

/// One finding per rule, sorted by rule name.
fn rules(findings: &[Finding]) -> Vec<&Finding> {
    let mut rules: Vec<&Finding> = findings.iter().collect();
    rules.sort_by(|a, b| a.rule.cmp(&b.rule));
    rules.dedup_by(|a, b| a.rule == b.rule);
    rules
}

fn rule(finding: &Finding, describe: fn(&str) -> Option<String>) -> Value {
    json!({
        "id": finding.rule,
        "shortDescription": {"text": describe(&finding.rule).unwrap_or_else(|| finding.rule.replace('-', " "))},
        "help": {"text": finding.remedy},
        "defaultConfiguration": {"level": level(finding.severity)},
        "properties": {"tags": [finding.group.name()], "security-severity": score(finding.severity)},
    })
}

fn result(finding: &Finding, rules: &[&Finding]) -> Value {
    let span = finding.span;
    let index = rules.binary_search_by(|rule| rule.rule.cmp(&finding.rule)).unwrap_or_default();
    json!({
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": level(finding.severity),
        "message": {"text": format!("{}; {}", finding.message, finding.remedy)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&finding.path)},
            "region": {
                "startLine": span.line, "startColumn": span.column,
                "endLine": span.end_line, "endColumn": span.end_column,
            },
        }}],
        "partialFingerprints": {"xtask/v1": finding.fingerprint},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    }
}

/// The score by which code scanning sorts: CVSS-like, 9 and above critical, 7 high, 4 medium.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "3.0",
        Severity::Medium => "5.5",
        Severity::High => "8.0",
        Severity::Critical => "9.5",
    }
}

/// A path as a URI reference: everything but unreserved characters and slashes is escaped.
fn uri(path: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
