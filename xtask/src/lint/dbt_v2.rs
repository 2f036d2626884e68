//! dbt v2: input that dbt v1 accepts and the native engine rejects, so that a switch brings no surprises.
//!
//! It runs only if selected (`--only dbt-v2`): a project that stays on v1 does not need it. The keys of v2 come from
//! the JSON schemas that dbt publishes (`keys.json`); faults outside of files, such as a missing environment variable,
//! are left to dbt. Duplicate keys, which v2 rejects too, are `key-duplicates` of the group `yaml`.

mod argument_key;
pub(super) mod keys;
mod lines;
mod obsolete_project_key;
mod top_level_config;
mod top_level_test_argument;
mod unknown_config;
mod unknown_file_key;
mod unknown_property;
mod unprefixed_config;

use super::rule::{Offence, Rule, Source};
use crate::core::yaml::{self, Node as Yaml};
use crate::dbt::graph::{Graph, Project};

type Check = fn(&Project<'_>) -> Vec<Offence>;

const CHECKS: &[(&Rule, Check)] = &[
    (&argument_key::RULE, argument_key::check),
    (&obsolete_project_key::RULE, obsolete_project_key::check),
    (&top_level_config::RULE, top_level_config::check),
    (&top_level_test_argument::RULE, top_level_test_argument::check),
    (&unknown_config::RULE, unknown_config::check),
    (&unknown_property::RULE, unknown_property::check),
    (&unprefixed_config::RULE, unprefixed_config::check),
];

pub(crate) const RULES: &[&Rule] = &[
    &argument_key::RULE,
    &obsolete_project_key::RULE,
    &top_level_config::RULE,
    &top_level_test_argument::RULE,
    &unknown_config::RULE,
    &unknown_file_key::RULE,
    &unknown_property::RULE,
    &unprefixed_config::RULE,
];

/// Everything that dbt v2 would reject, sorted by file.
pub(crate) fn check(graph: &Graph<'_>, sources: &[&Source]) -> Vec<Offence> {
    let mut offences: Vec<Offence> = graph
        .projects
        .iter()
        .flat_map(|project| CHECKS.iter().flat_map(|(_, check)| check(project)))
        .collect();
    for project in &graph.projects {
        offences.extend(unknown_file_key::check(project, sources));
    }
    offences.sort_by(|a, b| (&a.path, a.span, &a.rule).cmp(&(&b.path, b.span, &b.rule)));
    offences.dedup();
    offences
}

/// The text of a property file or `dbt_project.yml` as dbt v2 expects it, if its meaning stays the same.
pub(crate) fn fix(source: &Source) -> Option<String> {
    let name = source.path.rsplit('/').next().unwrap_or(&source.path);
    let fixes = if name == "dbt_project.yml" {
        [unprefixed_config::fix, obsolete_project_key::fix]
    } else {
        [top_level_test_argument::fix, top_level_config::fix]
    };
    let text = fixes.iter().fold(source.text.clone(), |text, fix| fix(&text).unwrap_or(text));
    (text != source.text && yaml::parse(&text).is_ok()).then_some(text)
}

/// Something that a property file describes.
pub(super) struct Thing<'a> {
    /// Its kind, as named in `keys.json`.
    pub(super) kind: &'static str,
    pub(super) path: &'a str,
    pub(super) node: &'a Yaml,
}

/// Models, seeds, snapshots, sources, their tables, and columns of all of them.
pub(super) fn things<'a>(project: &'a Project<'_>) -> Vec<Thing<'a>> {
    let mut all = Vec::new();
    for entry in &project.entries {
        if let Some(kind) = keys::kind(entry.kind) {
            add(&mut all, kind, entry.path, &entry.node);
        }
    }
    let mut last: Option<&Yaml> = None;
    for table in &project.sources {
        let parent = &*table.parent;
        // A source has several tables; it is listed once, before the first of them.
        if last.is_none_or(|last| !std::ptr::eq(last, parent)) {
            all.push(Thing { kind: "sources", path: table.path, node: parent });
        }
        last = Some(parent);
        add(&mut all, "tables", table.path, &table.node);
    }
    all
}

fn add<'a>(all: &mut Vec<Thing<'a>>, kind: &'static str, path: &'a str, node: &'a Yaml) {
    all.push(Thing { kind, path, node });
    let columns = node.get("columns").map(Yaml::items).unwrap_or_default();
    all.extend(columns.iter().map(|node| Thing { kind: "columns", path, node }));
}

/// A test in a property file, with its arguments.
struct Test<'a> {
    path: &'a str,
    name: &'a str,
    /// The mapping below its name, or the one that contains `test_name`.
    body: &'a Yaml,
}

fn tests<'a>(project: &'a Project<'_>) -> Vec<Test<'a>> {
    things(project).iter().flat_map(|thing| tests_of(thing.node, thing.path)).collect()
}

fn tests_of<'a>(node: &'a Yaml, path: &'a str) -> Vec<Test<'a>> {
    let lists = ["data_tests", "tests"].into_iter().filter_map(|key| node.get(key));
    let items = lists.flat_map(Yaml::items);
    let test = |item: &'a Yaml| {
        if let Some(name) = item.get("test_name").and_then(Yaml::text) {
            return Some(Test { path, name, body: item });
        }
        // `- unique: {…}`; no other key may be next to the name.
        let [(name, body)] = item.entries() else { return None };
        Some(Test { path, name: name.text()?, body })
    };
    items.filter_map(test).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::cases::{self, is_one};

    #[test]
    fn cases_hold() {
        cases::assert_all("dbt_v2", |case| {
            let mut sources = case.sources();
            if !sources.iter().any(|source| source.path.ends_with("dbt_project.yml")) {
                sources.push(Source { path: "dbt_project.yml".to_owned(), text: "name: shop\n".to_owned() });
            }
            let files: Vec<&Source> = sources.iter().collect();
            check(&Graph::build(&files, &[]), &files)
        });
    }

    #[test]
    fn this_repository_is_clean() {
        let sources =
            cases::repository(|path| path.starts_with("dbt/") && is_one(path, &["sql", "yml", "md"]));
        let files: Vec<&Source> = sources.iter().collect();
        let graph = Graph::build(&files, &[]);
        assert!(!tests(&graph.projects[0]).is_empty() && things(&graph.projects[0]).len() > 50);
        let offences = check(&graph, &files);
        assert!(offences.is_empty(), "{}", cases::listed(&offences));
    }

    #[test]
    fn fixes_mean_the_same_and_are_made_once() {
        for (path, text, fixed) in [
            (
                "models/a.yml",
                "models:\n  - name: a\n    meta:\n      owner: me # who\n    tags: [x]\n    columns: []\n",
                Some(
                    "models:\n  - name: a\n    config:\n      meta:\n        owner: me # who\n      tags: [x]\n    columns: []\n",
                ),
            ),
            (
                "models/a.yml",
                "models:\n  - name: a\n    config:\n      enabled: true\n    access: public\n",
                Some("models:\n  - name: a\n    config:\n      access: public\n      enabled: true\n"),
            ),
            (
                "models/a.yml",
                "models:\n  - name: a\n    data_tests:\n      - is: {rows: [1], other: 2}\n",
                Some(
                    "models:\n  - name: a\n    data_tests:\n      - is: {arguments: {rows: [1], other: 2}}\n",
                ),
            ),
            (
                "models/a.yml",
                "models:\n  - name: a\n    data_tests:\n      - is:\n          rows:\n            - 1\n          name: n\n",
                Some(
                    "models:\n  - name: a\n    data_tests:\n      - is:\n          arguments:\n            rows:\n              - 1\n          name: n\n",
                ),
            ),
            // The last line has no end, the list is as far to the left as its key, and the text has empty lines.
            (
                "models/a.yml",
                "models:\n  - name: a\n    data_tests:\n      - is:\n          severity: warn\n          rows:\n          - 1\n          sql: >\n            a\n\n            b\n          tags: [x] # why",
                Some(
                    "models:\n  - name: a\n    data_tests:\n      - is:\n          config:\n            severity: warn\n            tags: [x] # why\n          arguments:\n            rows:\n            - 1\n            sql: >\n              a\n\n              b",
                ),
            ),
            (
                "models/a.yml",
                "models:\r\n  - name: a\r\n    data_tests:\r\n      - unique:\r\n          config:\r\n            limit: 5\r\n          where: x\r\n",
                Some(
                    "models:\r\n  - name: a\r\n    data_tests:\r\n      - unique:\r\n          config:\r\n            where: x\r\n            limit: 5\r\n",
                ),
            ),
            (
                "models/a.yml",
                "models:\n  - name: a\n    data_tests:\n      - unique: {severity: warn}\n      - is: {rows: 1, severity: warn}\n",
                Some(
                    "models:\n  - name: a\n    data_tests:\n      - unique: {config: {severity: warn}}\n      - is: {rows: 1, severity: warn}\n",
                ),
            ),
            (
                "models/a.yml",
                "models:\n  - name: a\n    data_tests:\n      - is:\n          config: {tags: x}\n          severity: warn\n",
                None,
            ),
            (
                "dbt_project.yml",
                "name: a\nmodels: {a: {materialized: view}}\n",
                Some("name: a\nmodels: {a: {+materialized: view}}\n"),
            ),
            // It sets the same key twice: a person has to decide which one applies.
            ("models/a.yml", "models:\n  - name: a\n    config: {meta: {a: 1}}\n    meta: {b: 2}\n", None),
            (
                "dbt_project.yml",
                "name: a\n\"source-paths\": [m]\ndata-paths: [d] # why\nseed-paths: [s]\n",
                Some("name: a\nmodel-paths: [m]\ndata-paths: [d] # why\nseed-paths: [s]\n"),
            ),
            // `b` may be a folder.
            ("dbt_project.yml", "name: a\nmodels: {a: {schema: {b: {+enabled: true}}}}\n", None),
            ("models/a.yml", "models:\n  - name: a\n    owner: me\n", None),
        ] {
            let source = Source { path: path.to_owned(), text: text.to_owned() };
            let found = fix(&source);
            assert_eq!(found.as_deref(), fixed, "{text}");
            if let Some(text) = found {
                assert_eq!(fix(&Source { text, ..source }), None, "again");
            }
        }
    }

    #[test]
    fn rules_are_in_order_and_say_what_a_reader_needs() {
        assert!(RULES.is_sorted_by_key(|rule| rule.name));
        for rule in RULES {
            assert_eq!(rule.group, crate::core::finding::Group::DbtV2);
            for text in [rule.summary, rule.why, rule.example, rule.remedy] {
                assert!(!text.is_empty(), "{}", rule.name);
            }
        }
    }
}
