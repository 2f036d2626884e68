//! The data-driven cases of `tests/cases/<group>/`: what a rule finds in a few small files, written in YAML,
//! so that a case needs no Rust.
//!
//! ```yaml
//! name of the case:
//!   files:
//!     models/a.sql: select 1
//!   parameters: {rule: {key: value}}
//!   expect:
//!     - rule path:line:column
//!     - "rule path:line:column: part of the message"
//! ```

use std::path::{Path, PathBuf};

use super::rule::{Offence, Parameters, Source};
use crate::core::yaml::{self, Node, Style, Value};

/// One case: files, and the offences expected in them.
pub(crate) struct Case {
    name: String,
    node: Node,
}

impl Case {
    pub(crate) fn sources(&self) -> Vec<Source> {
        self.node
            .get("files")
            .map(Node::entries)
            .unwrap_or_default()
            .iter()
            .map(|(path, text)| Source {
                path: path.text().unwrap_or_default().to_owned(),
                text: text.text().unwrap_or_default().to_owned(),
            })
            .collect()
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.node.get(key).and_then(Node::text)
    }

    pub(crate) fn texts(&self, key: &str) -> Vec<&str> {
        self.node.get(key).map(Node::items).unwrap_or_default().iter().filter_map(Node::text).collect()
    }

    pub(crate) fn parameters(&self) -> Parameters {
        let tables = self.node.get("parameters").map(Node::entries).unwrap_or_default();
        Parameters(
            tables
                .iter()
                .filter_map(|(rule, table)| match to_toml(table) {
                    toml::Value::Table(table) => Some((rule.text()?.to_owned(), table)),
                    _ => None,
                })
                .collect(),
        )
    }
}

fn to_toml(node: &Node) -> toml::Value {
    match &node.value {
        Value::Scalar { text, style } => match (style, node.truth(), text.parse()) {
            (Style::Plain, Some(truth), _) => truth.into(),
            (Style::Plain, None, Ok(number)) => toml::Value::Integer(number),
            _ => text.as_str().into(),
        },
        Value::Sequence(items) => items.iter().map(to_toml).collect::<Vec<_>>().into(),
        Value::Mapping(entries) => entries
            .iter()
            .map(|(key, value)| (key.text().unwrap_or_default().to_owned(), to_toml(value)))
            .collect::<toml::Table>()
            .into(),
    }
}

/// Runs every case of `tests/cases/<group>/`, and fails with all differences.
pub(crate) fn assert_all(group: &str, check: impl Fn(&Case) -> Vec<Offence>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases").join(group);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("a folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .collect();
    files.sort();
    let (mut checked, mut wrong) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a readable file");
        let root = yaml::parse_one(&text).expect("YAML").expect("cases");
        for (name, node) in root.entries() {
            let case = Case {
                name: format!(
                    "{}: {}",
                    file.file_name().unwrap_or_default().to_string_lossy(),
                    name.text().unwrap_or_default()
                ),
                node: node.clone(),
            };
            checked += 1;
            wrong.extend(differences(&case, &check(&case)));
        }
    }
    assert!(checked > 0, "no case in {}", folder.display());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn differences(case: &Case, offences: &[Offence]) -> Vec<String> {
    let found: Vec<String> = offences
        .iter()
        .map(|o| format!("{} {}:{}:{}: {}", o.rule, o.path, o.span.line, o.span.column, o.message))
        .collect();
    let mut expected = case.texts("expect");
    let mut wrong = Vec::new();
    for line in &found {
        let is_it = |expected: &&str| {
            let (place, message) = expected
                .match_indices(": ")
                .next()
                .map_or((*expected, ""), |(at, colon)| (&expected[..at], &expected[at + colon.len()..]));
            line.starts_with(&format!("{place}: ")) && line.contains(message)
        };
        match expected.iter().position(is_it) {
            Some(at) => drop(expected.remove(at)),
            None => wrong.push(format!("{}\n  not expected: {line}", case.name)),
        }
    }
    wrong.extend(expected.iter().map(|line| format!("{}\n  missing: {line}", case.name)));
    wrong
}

/// The files of this repository whose names `wanted` accepts, as the command would read them.
pub(crate) fn repository(wanted: impl Fn(&str) -> bool) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let walk = ignore::WalkBuilder::new(&root).hidden(false).build();
    let mut sources: Vec<Source> = walk
        .filter_map(|entry| {
            let path = entry.expect("an entry").into_path();
            let shown = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            let is_ours = path.is_file() && !shown.starts_with(".git/") && wanted(&shown);
            is_ours.then(|| Source { text: std::fs::read_to_string(&path).expect("text"), path: shown })
        })
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Whether the path ends in one of these extensions.
pub(crate) fn is_one(path: &str, extensions: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
}

/// The offences in files that should be clean, for the message of a failed test.
pub(crate) fn listed(offences: &[Offence]) -> String {
    let line =
        |o: &Offence| format!("{} {}:{}:{}: {}", o.rule, o.path, o.span.line, o.span.column, o.message);
    offences.iter().map(line).collect::<Vec<_>>().join("\n")
}
