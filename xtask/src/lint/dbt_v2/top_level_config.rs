//! Configuration at the level of a model's `name`.

use super::keys;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::{self, Node as Yaml};
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "top-level-config",
    group: Group::DbtV2,
    severity: Severity::Medium,
    summary: "Configuration is at the level of `name` instead of below `config:`.",
    why: "dbt v1 accepts `meta`, `tags`, `access`, `freshness` and others in both places. dbt v2 accepts them below `config:` \
          only and stops with an error.",
    example: "```yaml\nmodels:\n  - name: orders\n    meta: {owner: ann}\n```\n\n```yaml\nmodels:\n  - name: orders\n    config:\n      meta: {owner: ann}\n```",
    remedy: "run `cargo xtask lint --only dbt-v2 --fix`, or move it below `config:`",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for thing in super::things(project) {
        for key in moved(thing.kind, thing.node) {
            let name = key.text().unwrap_or_default();
            offences.push(RULE.offence(thing.path, key.span, format!("`{name}` belongs below `config:`")));
        }
    }
    offences
}

/// The keys of a mapping that belong below its `config:`.
fn moved<'a>(kind: &'a str, node: &'a Yaml) -> impl Iterator<Item = &'a Yaml> {
    node.entries().iter().map(|(key, _)| key).filter(move |key| {
        key.text().is_some_and(|name| !keys::is_property(kind, name) && keys::is_config(kind, name))
    })
}

/// Moves it, entry by entry: whole lines, so that comments move with them. Only block style, and only if `config:`
/// does not set the same key already.
pub(super) fn fix(text: &str) -> Option<String> {
    let mut text = text.to_owned();
    let mut has_changed = false;
    // Each change moves lines, so the file is parsed again; it has few entries.
    while let Some(next) = fix_one(&text) {
        text = next;
        has_changed = true;
    }
    has_changed.then_some(text)
}

fn fix_one(text: &str) -> Option<String> {
    let root = yaml::parse_one(text).ok()??;
    for (kind, entry) in entries(&root) {
        let moving: Vec<&Yaml> = moved(kind, entry).collect();
        let config = entry.entry("config");
        let says_both = |key: &&Yaml| {
            config.is_some_and(|(_, node)| key.text().is_some_and(|key| node.get(key).is_some()))
        };
        if moving.is_empty() || moving.iter().any(says_both) {
            continue;
        }
        if let Some(changed) = move_lines(text, entry, &moving, config) {
            return Some(changed);
        }
    }
    None
}

fn entries(root: &Yaml) -> Vec<(&'static str, &Yaml)> {
    let mut all = Vec::new();
    for kind in ["models", "seeds", "snapshots", "sources"] {
        for entry in root.get(kind).map(Yaml::items).unwrap_or_default() {
            all.push((kind, entry));
            let tables = entry.get("tables").map(Yaml::items).unwrap_or_default();
            all.extend(tables.iter().map(|table| ("tables", table)));
            let owners = std::iter::once(entry).chain(tables);
            let columns = owners.filter_map(|owner| owner.get("columns")).flat_map(Yaml::items);
            all.extend(columns.map(|column| ("columns", column)));
        }
    }
    all
}

fn move_lines(text: &str, entry: &Yaml, moving: &[&Yaml], config: Option<(&Yaml, &Yaml)>) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let indent_of = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let indent = moving.first()?.span.column - 1;
    // Each on its own line in a block, at one depth; the first key of a list item follows the dash.
    let is_block = |key: &Yaml| {
        lines
            .get(key.span.line - 1)
            .is_some_and(|line| indent_of(line) == indent && key.span.column - 1 == indent)
    };
    if !moving.iter().all(|key| is_block(key)) || entry.entries().len() <= moving.len() {
        return None;
    }
    let block = |key: &Yaml| {
        let first = key.span.line - 1;
        let more =
            lines[first + 1..].iter().take_while(|line| line.trim().is_empty() || indent_of(line) > indent);
        let mut end = first + 1 + more.count();
        while end > first + 1 && lines[end - 1].trim().is_empty() {
            end -= 1;
        }
        first..end
    };
    let blocks: Vec<std::ops::Range<usize>> = moving.iter().map(|key| block(key)).collect();
    // A text block keeps its own indentation: moving it could change its value.
    let is_plain = |range: &std::ops::Range<usize>| {
        lines[range.clone()].iter().all(|line| {
            !line.trim_end().ends_with(['|', '>', '-', '+']) || line.trim_start().starts_with("- ")
        })
    };
    if !blocks.iter().all(is_plain) || !text.ends_with('\n') {
        return None;
    }
    let target = match config {
        None => None,
        // `config:` with its keys below it.
        Some((key, node)) if node.is_mapping() && node.span.line > key.span.line && is_block(key) => {
            Some(key.span.line - 1)
        }
        Some(_) => return None,
    };
    let mut body = String::new();
    for range in &blocks {
        for line in &lines[range.clone()] {
            body.push_str(if line.trim().is_empty() { "" } else { "  " });
            body.push_str(line);
        }
    }
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        if target.is_none() && number == blocks[0].start {
            out.extend([&" ".repeat(indent), "config:\n", &body]);
        }
        if !blocks.iter().any(|range| range.contains(&number)) {
            out.push_str(line);
        }
        if target == Some(number) {
            out.push_str(&body);
        }
    }
    Some(out)
}
