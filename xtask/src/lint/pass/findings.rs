//! Findings from what the checks object to.

use std::collections::{BTreeMap, HashMap};

use crate::core::finding::{Excerpt, Finding, Lines};
use crate::lint::cache::Evaluated;
use crate::lint::rule::Offence;
use crate::lint::{catalogue, common};
use crate::system::digest::Digest;

pub(super) fn by_path(offences: Vec<Offence>) -> BTreeMap<String, Vec<Offence>> {
    let mut paths: BTreeMap<String, Vec<Offence>> = BTreeMap::new();
    for offence in offences {
        paths.entry(offence.path.clone()).or_default().push(offence);
    }
    paths
}

impl From<crate::secrets::Scanned> for Evaluated {
    fn from(scanned: crate::secrets::Scanned) -> Self {
        Self { findings: scanned.findings, allowed_inline: scanned.allowed_inline, ..Self::default() }
    }
}

/// The offences of one file as findings, except those that a comment allows.
pub(super) fn evaluated(offences: Vec<Offence>, text: &str) -> Evaluated {
    let mut evaluated = Evaluated::default();
    // Both are asked of the whole text: once for a file that may have thousands of offences.
    let lines = Lines::new(text.as_bytes());
    let has_waiver = common::has_waiver(text);
    for offence in offences {
        if has_waiver && common::allowed_inline(&offence, |number| line_of(text, &lines, number)) {
            evaluated.allowed_inline += 1;
        } else {
            evaluated.findings.push(finding(offence, text, &lines));
        }
    }
    number_repeats(&mut evaluated.findings);
    evaluated
}

/// An offence as a finding, completed from the catalogue entry of its rule.
pub(super) fn finding(offence: Offence, text: &str, lines: &Lines<'_>) -> Finding {
    let entry = catalogue::entry(&offence.rule);
    let line = line_of(text, lines, offence.span.line);
    let fingerprint = Digest::default()
        .with(offence.rule.as_ref())
        .with(&offence.path)
        .with(&offence.message)
        .with(line.trim())
        .short();
    Finding {
        group: entry.group,
        severity: entry.severity,
        excerpt: Some(excerpt(line, &offence)),
        remedy: offence.remedy.unwrap_or_else(|| entry.remedy.into_owned()),
        rule: offence.rule.into_owned(),
        path: offence.path,
        span: offence.span,
        message: offence.message,
        fingerprint,
        commit: None,
    }
}

/// Two equal lines with the same offence are two findings: the second gets a different fingerprint.
pub(super) fn number_repeats(findings: &mut [Finding]) {
    let mut seen = HashMap::<String, u32>::new();
    for finding in findings {
        let count = seen.entry(finding.fingerprint.clone()).or_default();
        if *count > 0 {
            finding.fingerprint =
                Digest::default().with(&finding.fingerprint).with(count.to_le_bytes()).short();
        }
        *count += 1;
    }
}

fn line_of<'a>(text: &'a str, lines: &Lines<'_>, number: usize) -> &'a str {
    let (start, end) = lines.bounds_of_line(number);
    text.get(start..end).unwrap_or_default().trim_end_matches('\r')
}

/// The line with the offence in its middle, shortened if it is long.
fn excerpt(line: &str, offence: &Offence) -> Excerpt {
    let span = offence.span;
    let characters: Vec<char> = line.trim_start_matches('\u{feff}').chars().collect();
    let from = (span.column.max(1) - 1).min(characters.len());
    let until = if span.end_line > span.line {
        characters.len()
    } else {
        (span.end_column.max(1) - 1).min(characters.len())
    };
    let (first, last) = (
        from.saturating_sub(EXCERPT),
        (until.max(from) + EXCERPT).min(characters.len()).min(from + 3 * EXCERPT),
    );
    let mut text = if first > 0 { "…".to_owned() } else { String::new() };
    let start = text.chars().count() + from - first;
    text.extend(&characters[first..last]);
    let width = until.saturating_sub(from).clamp(1, last.saturating_sub(from).max(1));
    if last < characters.len() {
        text.push('…');
    }
    Excerpt { text, start, width }
}

/// How far an excerpt extends on each side of a finding, in characters.
const EXCERPT: usize = 60;
