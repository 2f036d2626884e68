//! Annotations of a GitHub workflow run, grouped, and no more than the run's page shows.

use std::io::{self, Write};

use super::Report;
use crate::core::finding::{Finding, Severity};
use crate::system::actions::{escape, escape_property};

/// GitHub shows ten annotations of each kind per step; more appear in the log only.
const SHOWN: usize = 10;

pub(super) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "::group::cargo xtask {}: {} findings", report.command, report.findings.len())?;
    for finding in report.findings.iter().take(SHOWN) {
        annotation(finding, out)?;
    }
    for finding in report.findings.iter().skip(SHOWN) {
        let span = finding.span;
        writeln!(
            out,
            "{}:{}:{}: [{}] {}",
            finding.path, span.line, span.column, finding.rule, finding.message
        )?;
    }
    writeln!(out, "::endgroup::")?;
    if report.findings.len() > SHOWN {
        writeln!(out, "::notice::{} more findings are in the log only", report.findings.len() - SHOWN)?;
    }
    Ok(())
}

fn annotation(finding: &Finding, out: &mut impl Write) -> io::Result<()> {
    let kind = if finding.severity >= Severity::Medium { "error" } else { "warning" };
    let span = finding.span;
    write!(
        out,
        "::{kind} file={},line={},endLine={}",
        escape_property(&finding.path),
        span.line,
        span.end_line
    )?;
    if span.line == span.end_line {
        write!(out, ",col={},endColumn={}", span.column, span.end_column)?;
    }
    writeln!(
        out,
        ",title={}::{}",
        escape_property(&finding.rule),
        escape(&format!("{}; {}", finding.message, finding.remedy))
    )
}
