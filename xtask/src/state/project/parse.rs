//! What one file holds: a template, macros, snapshots, properties, docs.

use std::sync::Arc;

use super::gather::Content;
use super::walk::Found;
use super::{Kind, Macro, Role};
use crate::core::yaml::{self, Node as Yaml};
use crate::dbt::graph::jinja::{Piece, Token, keyword, pieces, tokens};
use crate::state::fold::{Dialect, unix_lines};
use crate::state::unit::{self, Unit};
use crate::system::digest::Digest;

/// What one file is to its project.
pub(super) enum Parsed {
    Template(Found, Arc<Unit>, String),
    Macros(Vec<Macro>),
    Snapshots(Found, Vec<(String, Unit)>),
    Properties(Found, Option<Yaml>, Option<String>),
    /// With a short hash of its rows.
    Seed(Found, String),
    /// With a short hash of its rows: line ends between them and a byte order mark say nothing.
    Fixture(Found, String),
    Docs(Vec<(String, String)>),
    Nothing,
}

pub(super) fn parse(found: Found, content: Content, dialect: Dialect) -> Parsed {
    let text = match content {
        Content::Text(text) => text,
        Content::Rows(hash) => {
            return match found.role {
                Role::Nodes(Kind::Seed) => Parsed::Seed(found, hash),
                Role::Nodes(Kind::Test) => Parsed::Fixture(found, hash),
                _ => Parsed::Nothing,
            };
        }
    };
    match (&found.role, found.extension.as_str()) {
        (_, "yml" | "yaml") => match yaml::parse_one(&text) {
            Ok(node) => Parsed::Properties(found, node, None),
            Err(error) => {
                let fault = format!("{}: {error}", found.shown);
                Parsed::Properties(found, None, Some(fault))
            }
        },
        (_, "md") => Parsed::Docs(docs(&text)),
        (Role::Macros, "sql") => Parsed::Macros(macros(&found, &text, dialect)),
        (Role::Nodes(Kind::Test), "sql") if found.folders.iter().any(|folder| folder == "fixtures") => {
            let hash = Digest::default().with(unix_lines(&text)).short()[..12].to_owned();
            Parsed::Fixture(found, hash)
        }
        (Role::Nodes(Kind::Test), "sql") => {
            let macros = macros(&found, &text, dialect);
            if macros.is_empty() && found.folders.first().is_none_or(|folder| folder != "generic") {
                Parsed::Template(found, Arc::new(unit::sql(&text, dialect)), String::new())
            } else {
                Parsed::Macros(macros)
            }
        }
        (Role::Nodes(Kind::Snapshot), "sql") => {
            let snapshots: Vec<(String, Unit)> = blocks(&text, &["snapshot"])
                .into_iter()
                .map(|block| (block.name, unit::sql(&text[block.body], dialect)))
                .collect();
            Parsed::Snapshots(found, snapshots)
        }
        (Role::Nodes(Kind::Model), "sql") => {
            Parsed::Template(found, Arc::new(unit::sql(&text, dialect)), text)
        }
        (Role::Nodes(Kind::Model), "py") => Parsed::Template(found, Arc::new(unit::python(&text)), text),
        _ => Parsed::Nothing,
    }
}

/// A definition in a file.
struct Block {
    keyword: String,
    name: String,
    /// With the tags that open and close it.
    whole: std::ops::Range<usize>,
    body: std::ops::Range<usize>,
    adapter: Option<String>,
}

fn blocks(text: &str, keywords: &[&str]) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for piece in pieces(text) {
        let Piece::Statement(inner) = piece else { continue };
        let word = keyword(&text[inner.clone()]);
        match &mut open {
            None if keywords.contains(&word) => {
                let words = tokens(text, inner.clone(), false);
                let mut names = words.iter().filter_map(|(token, _)| match token {
                    Token::Name(name) => Some((*name).to_owned()),
                    _ => None,
                });
                let (Some(keyword), Some(name)) = (names.next(), names.next()) else { continue };
                let adapter =
                    words.windows(3).find_map(|three| match (&three[0].0, &three[1].0, &three[2].0) {
                        (Token::Name("adapter"), Token::Mark('='), Token::Text(text)) => {
                            Some((*text).to_owned())
                        }
                        _ => None,
                    });
                let start = inner.start.saturating_sub(2);
                let body = (inner.end + 2).min(text.len());
                open =
                    Some(Block { keyword, name, whole: start..text.len(), body: body..text.len(), adapter });
            }
            Some(block) if word.strip_prefix("end") == Some(block.keyword.as_str()) => {
                block.body.end = inner.start.saturating_sub(2).max(block.body.start);
                block.whole.end = (inner.end + 2).min(text.len());
                found.extend(open.take());
            }
            _ => {}
        }
    }
    found.extend(open);
    found
}

fn macros(found: &Found, text: &str, dialect: Dialect) -> Vec<Macro> {
    blocks(text, &["macro", "test", "data_test", "materialization"])
        .into_iter()
        .map(|block| {
            let name = match block.keyword.as_str() {
                "macro" => block.name,
                "materialization" => {
                    format!(
                        "materialization_{}_{}",
                        block.name,
                        block.adapter.as_deref().unwrap_or("default")
                    )
                }
                _ => format!("test_{}", block.name),
            };
            let text = text[block.whole].to_owned();
            Macro {
                package: found.package,
                name,
                path: found.shown.clone(),
                unit: unit::of_macro(&text, dialect),
                text,
            }
        })
        .collect()
}

fn docs(text: &str) -> Vec<(String, String)> {
    let of = |block: Block| (block.name, text[block.body].trim().to_owned());
    blocks(text, &["docs"]).into_iter().map(of).collect()
}
