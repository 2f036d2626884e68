//! dbt: rules on the project graph: models, sources, tests and packages.
//!
//! Each rule is one file: its texts, its parameters, and one function from the graph to offences. A rule
//! reports nothing that only a run could decide.

mod custom_schema;
mod cyclic_ref;
mod duplicate_name;
mod governance;
mod ignored_target_schema;
mod incremental_without_key;
mod invalid_properties;
mod layer_order;
mod layers;
mod missing_contract;
mod missing_description;
mod missing_docs_block;
mod missing_grain;
mod missing_key_test;
mod missing_version;
mod misspelt_key;
mod model_name;
mod orphan_model;
mod raw_read;
mod skipped_layer;
mod unbounded_freshness;
mod undefined_macro;
mod undefined_test;
mod undefined_variable;
mod unknown_column;
mod unknown_node;
mod unpinned_package;
mod unresolved_ref;

use anyhow::Result;

use super::rule::{Offence, Parameters, Rule};
use crate::core::finding::Span;
use crate::dbt::graph::{Graph, Node, Project};

/// A rule's function from the graph to offences, with or without parameters.
enum Check {
    Plain(fn(&Project<'_>) -> Vec<Offence>),
    Tuned(fn(&Project<'_>, &Parameters) -> Result<Vec<Offence>>),
}

const CHECKS: &[(&Rule, Check)] = &[
    (&custom_schema::RULE, Check::Plain(custom_schema::check)),
    (&cyclic_ref::RULE, Check::Plain(cyclic_ref::check)),
    (&duplicate_name::RULE, Check::Plain(duplicate_name::check)),
    (&ignored_target_schema::RULE, Check::Plain(ignored_target_schema::check)),
    (&incremental_without_key::RULE, Check::Tuned(incremental_without_key::check)),
    (&invalid_properties::RULE, Check::Plain(invalid_properties::check)),
    (&layer_order::RULE, Check::Tuned(layer_order::check)),
    (&missing_contract::RULE, Check::Tuned(missing_contract::check)),
    (&missing_description::RULE, Check::Tuned(missing_description::check)),
    (&missing_docs_block::RULE, Check::Plain(missing_docs_block::check)),
    (&missing_grain::RULE, Check::Tuned(missing_grain::check)),
    (&missing_key_test::RULE, Check::Tuned(missing_key_test::check)),
    (&missing_version::RULE, Check::Plain(missing_version::check)),
    (&misspelt_key::RULE, Check::Plain(misspelt_key::check)),
    (&model_name::RULE, Check::Tuned(model_name::check)),
    (&orphan_model::RULE, Check::Tuned(orphan_model::check)),
    (&raw_read::RULE, Check::Tuned(raw_read::check)),
    (&skipped_layer::RULE, Check::Tuned(skipped_layer::check)),
    (&unbounded_freshness::RULE, Check::Plain(unbounded_freshness::check)),
    (&undefined_macro::RULE, Check::Plain(undefined_macro::check)),
    (&undefined_test::RULE, Check::Plain(undefined_test::check)),
    (&undefined_variable::RULE, Check::Plain(undefined_variable::check)),
    (&unknown_column::RULE, Check::Plain(unknown_column::check)),
    (&unknown_node::RULE, Check::Plain(unknown_node::check)),
    (&unpinned_package::RULE, Check::Plain(unpinned_package::check)),
    (&unresolved_ref::RULE, Check::Plain(unresolved_ref::check)),
];

pub(crate) const RULES: &[&Rule] = &{
    let mut rules = [CHECKS[0].0; CHECKS.len() + governance::RULES.len()];
    let mut at = 1;
    while at < CHECKS.len() {
        rules[at] = CHECKS[at].0;
        at += 1;
    }
    while at < rules.len() {
        rules[at] = governance::RULES[at - CHECKS.len()];
        at += 1;
    }
    rules
};

/// The offences of all rules, sorted by file.
pub(crate) fn check(graph: &Graph<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let mut offences = Vec::new();
    for project in &graph.projects {
        for (_, check) in CHECKS {
            offences.extend(match check {
                Check::Plain(check) => check(project),
                Check::Tuned(check) => check(project, parameters)?,
            });
        }
        offences.extend(governance::offences(project, parameters)?);
    }
    offences.sort_by(|a, b| (&a.path, a.span, &a.rule).cmp(&(&b.path, b.span, &b.rule)));
    Ok(offences)
}

/// The place at which a missing property of a node is reported: its entry, else its file.
fn reported_at<'a>(project: &'a Project<'_>, node: &'a Node<'_>) -> (&'a str, Span) {
    project.entry(node).map_or((node.path, node.span), |entry| (entry.path, entry.span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::cases::{self, is_one};
    use crate::lint::rule::Source;
    use crate::lint::settings::Settings;
    use proptest::prelude::*;

    const POLICY: &str = include_str!("../../../policies/lint.toml");

    #[test]
    fn cases_hold() {
        cases::assert_all("dbt", |case| {
            let mut sources = case.sources();
            if !sources.iter().any(|source| source.path.ends_with("dbt_project.yml")) {
                sources.push(Source { path: "dbt_project.yml".to_owned(), text: "name: shop\n".to_owned() });
            }
            let files: Vec<&Source> = sources.iter().collect();
            let only = case.texts("only");
            let mut offences =
                check(&Graph::build(&files, &case.texts("paths")), &case.parameters()).expect("offences");
            offences.retain(|offence| only.is_empty() || only.contains(&offence.rule.as_ref()));
            offences
        });
    }

    #[test]
    fn this_repository_is_clean() {
        let sources =
            cases::repository(|path| path.starts_with("dbt/") && is_one(path, &["sql", "yml", "md"]));
        let seeds = cases::repository(|path| path.starts_with("dbt/seeds/") && is_one(path, &["csv"]));
        let files: Vec<&Source> = sources.iter().collect();
        let paths: Vec<&str> = seeds.iter().map(|seed| seed.path.as_str()).collect();
        let graph = Graph::build(&files, &paths);
        assert!(graph.projects[0].models().count() > 10);
        let settings = Settings::parse(POLICY, |_| true).expect("the policy");
        let offences = check(&graph, &settings.parameters).expect("offences");
        assert!(offences.is_empty(), "{}", cases::listed(&offences));
    }

    #[test]
    fn rules_are_in_order_and_say_what_a_reader_wants() {
        assert!(RULES[..CHECKS.len()].is_sorted_by_key(|rule| rule.name));
        assert!(governance::are_in_order() && governance::RULES.len() >= 60);
        for rule in RULES {
            assert_eq!(rule.group, crate::core::finding::Group::Dbt);
            for text in [rule.summary, rule.why, rule.example, rule.remedy] {
                assert!(!text.is_empty(), "{}", rule.name);
            }
        }
    }

    #[test]
    fn a_misspelt_parameter_is_an_error_that_names_the_rule() {
        let table = toml::toml! { folder = ["gold"] };
        let parameters = Parameters([("missing-contract".to_owned(), table)].into());
        let project = Source { path: "dbt_project.yml".to_owned(), text: "name: a".to_owned() };
        let error = check(&Graph::build(&[&project], &[]), &parameters).expect_err("an error");
        assert!(format!("{error:#}").contains("missing-contract"), "{error:#}");
    }

    fn chain(models: usize) -> Vec<Source> {
        let mut sources = vec![Source {
            path: "dbt_project.yml".to_owned(),
            text: "name: big\nmodels: {big: {gold: {+materialized: table}}}\n".to_owned(),
        }];
        for i in 0..models {
            let text = if i == 0 {
                "select 1 as a".to_owned()
            } else {
                format!("select a from {{{{ ref('m{}') }}}} join {{{{ ref('m{}') }}}}", i - 1, i / 2)
            };
            sources.push(Source { path: format!("models/gold/m{i}.sql"), text });
            sources.push(Source {
                path: format!("models/gold/m{i}.yml"),
                text: format!("models: [{{name: m{i}, description: one row an a, columns: [{{name: a}}]}}]"),
            });
        }
        sources
    }

    #[test]
    fn a_long_chain_and_a_large_ring_end() {
        let mut sources = chain(500);
        let count = |sources: &[Source]| {
            let files: Vec<&Source> = sources.iter().collect();
            let offences = check(&Graph::build(&files, &[]), &Parameters::default()).expect("offences");
            offences.iter().filter(|offence| offence.rule == "cyclic-ref").count()
        };
        assert_eq!(count(&sources), 0);
        sources[1].text = "select a from {{ ref('m499') }}".to_owned();
        assert_eq!(count(&sources), 1);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            sql in "(select a from |with a as \\(|\\)|\\{\\{ ref\\('[ab]'\\) \\}\\}|\\{\\{ config\\(|\\{%|%\\}| macro m\\(\\) |'|\\}\\}|,|\n){0,20}",
            yml in "(models:|sources:|  - name: [ab]\n|    |columns: |data_tests: |\\[|\\]|freshness: |\\{|\\}|unique|: |, |\n){0,20}",
            project in "(name: [ab]|\n|models:|  \\+schema: x|  [ab]:|model-paths: |\\[|\\]|\\.|/){0,10}",
        ) {
            let sources = [
                Source { path: "dbt_project.yml".to_owned(), text: format!("{project}\n") },
                Source { path: "models/gold/a.sql".to_owned(), text: sql.clone() },
                Source { path: "macros/b.sql".to_owned(), text: sql.clone() },
                Source { path: "models/b.py".to_owned(), text: sql },
                Source { path: "models/a.yml".to_owned(), text: yml.clone() },
                Source { path: "packages.yml".to_owned(), text: yml },
            ];
            let files: Vec<&Source> = sources.iter().collect();
            check(&Graph::build(&files, &[]), &Parameters::default()).expect("offences");
        }
    }
}
