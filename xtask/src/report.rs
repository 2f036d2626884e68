//! Prints findings in the requested format. Renderers are free functions over the same data, so a finding is the
//! same for a person, a script, code scanning and a workflow log.

mod github;
mod human;
mod json;
mod sarif;

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

pub(crate) use self::json::contract;
use crate::core::finding::Finding;
use crate::system::outcome::Outcome;

/// How findings are written to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Human,
    /// One stable JSON object.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of a GitHub workflow run.
    Github,
}

/// Everything a renderer may show.
pub(crate) struct Report<'a> {
    /// The command that made the report: `secrets`, `lint`.
    pub(crate) command: &'static str,
    /// Sorted.
    pub(crate) findings: &'a [Finding],
    /// The one-line summary of a rule, if it is known apart from its findings.
    pub(crate) describe: fn(&str) -> Option<String>,
    /// What was checked and what was not: names and counts, printed in every format that has room for them.
    pub(crate) summary: &'a serde_json::Map<String, serde_json::Value>,
}

impl Report<'_> {
    /// Writes the report to stdout. A closed pipe is the reader's choice, not an error.
    pub(crate) fn print(&self, format: Format) -> Result<Outcome> {
        let mut out = Vec::new();
        match format {
            Format::Human => human::write(self, &mut out),
            Format::Json => json::write(self, &mut out),
            Format::Sarif => sarif::write(self, &mut out),
            Format::Github => github::write(self, &mut out),
        }
        .context("failed to render the findings")?;
        match io::stdout().lock().write_all(&out) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(error).context("failed to write the findings to stdout");
            }
            _ => {}
        }
        Ok(if self.findings.is_empty() { Outcome::Clean } else { Outcome::Findings })
    }
}
