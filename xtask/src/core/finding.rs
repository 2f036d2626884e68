//! One result of a check: what `secrets` and `lint` have in common, and all that a report may show.
//!
//! A finding never contains the secret itself: the code that creates one passes a redacted message, so no
//! report, log or baseline written from it can leak.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

/// The part of the toolkit that found something.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    serde::Deserialize,
    clap::ValueEnum,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Group {
    /// Leaked credentials.
    Secrets,
    /// SQL: whether it renders and parses, its style, and what models and scripts must not do.
    Sql,
    /// YAML: syntax and style.
    Yaml,
    /// The dbt project as a whole: references, layers, names, tests, contracts.
    Dbt,
    /// What dbt v2 refuses; only if it is named.
    #[serde(rename = "dbt-v2")]
    #[value(name = "dbt-v2")]
    DbtV2,
    /// GitHub workflows, actions and issue forms.
    Workflow,
    /// Prose: words that the repository's word list replaces.
    Prose,
    /// Dependencies: advisories, licences and sources. Only of `audit`.
    #[value(skip)]
    Supply,
    /// The policies themselves: waivers that expired or that nothing needs.
    #[value(skip)]
    Policy,
}

impl Group {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Sql => "sql",
            Self::Yaml => "yaml",
            Self::Dbt => "dbt",
            Self::DbtV2 => "dbt-v2",
            Self::Workflow => "workflow",
            Self::Prose => "prose",
            Self::Supply => "supply",
            Self::Policy => "policy",
        }
    }
}

/// How much a finding matters.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Worth a look.
    Low,
    /// Wrong, but not dangerous by itself.
    Medium,
    /// Dangerous.
    High,
    /// A working credential by all that can be checked offline.
    Critical,
}

impl Severity {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Where something is. Lines and columns start at 1; columns count characters; the end is exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
pub(crate) struct Span {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) end_line: usize,
    pub(crate) end_column: usize,
}

/// The line that a finding is on, for people: redacted, and truncated if it is long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) struct Excerpt {
    pub(crate) text: String,
    /// Where in the text the finding starts, and how far it goes on it, in characters.
    pub(crate) start: usize,
    pub(crate) width: usize,
}

/// One result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) struct Finding {
    /// The rule's name, as policies and waivers write it.
    pub(crate) rule: String,
    pub(crate) group: Group,
    pub(crate) severity: Severity,
    /// Relative to the root, or as given for files outside it. Slashes on every system.
    pub(crate) path: String,
    pub(crate) span: Span,
    /// What is wrong, without the value it is about.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) remedy: String,
    /// The same for the same thing in every mode, also when lines move.
    pub(crate) fingerprint: String,
    /// The commit that brought it, where a history was read.
    pub(crate) commit: Option<String>,
    pub(crate) excerpt: Option<Excerpt>,
}

impl Finding {
    /// The order of every report: by place, then by rule, so that two runs print the same bytes.
    pub(crate) fn sort(findings: &mut [Self]) {
        findings.sort_by(|a, b| {
            (&a.path, a.span, &a.rule, &a.commit, &a.fingerprint).cmp(&(
                &b.path,
                b.span,
                &b.rule,
                &b.commit,
                &b.fingerprint,
            ))
        });
    }
}

/// `path` as findings write it.
pub(crate) fn display_path(root: &Path, path: &Path) -> String {
    let shown: PathBuf = path.strip_prefix(root).unwrap_or(path).components().collect();
    let text = shown.to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' { text.into_owned() } else { text.replace('\\', "/") }
}

/// Finds lines and columns in a text; made once a file, asked many times.
pub(crate) struct Lines<'a> {
    bytes: &'a [u8],
    starts: Vec<usize>,
    /// The position asked for last: the next one on the same long line is counted from there.
    last: Cell<(usize, usize)>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', bytes).map(|at| at + 1)).collect();
        Self { bytes, starts, last: Cell::new((0, 1)) }
    }

    /// Line and column of a byte offset, both from 1. A BOM takes no column; broken UTF-8 counts a
    /// character a byte.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let offset = offset.min(self.bytes.len());
        let start = self.starts[line - 1];
        let (known, counted) = self.last.get();
        let (from, before) = if (start..=offset).contains(&known) { (known, counted) } else { (start, 1) };
        let mut passed = &self.bytes[from..offset];
        if from == 0 {
            passed = passed.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(passed);
        }
        let column = before + String::from_utf8_lossy(passed).chars().count();
        self.last.set((offset, column));
        (line, column)
    }

    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        let (line, column) = self.position(start);
        let (end_line, end_column) = self.position(end);
        Span { line, column, end_line, end_column }
    }

    /// The bounds of the line that `offset` is on, without its end.
    pub(crate) fn line_bounds(&self, offset: usize) -> (usize, usize) {
        self.bounds_of_line(self.starts.partition_point(|start| *start <= offset).max(1))
    }

    /// The bounds of a line by its number from 1, without its end; those of the last one past it.
    pub(crate) fn bounds_of_line(&self, number: usize) -> (usize, usize) {
        let line = number.clamp(1, self.starts.len());
        let start = self.starts[line - 1];
        let end = self.starts.get(line).map_or(self.bytes.len(), |next| next - 1);
        (start, end.max(start))
    }
}
