//! GitHub workflows, composite actions and issue templates: what runs with the repository's secrets.
//!
//! Each rule is one file: its words, its parameters, and one function from a read file to offences.

pub(crate) mod expression;
pub(crate) mod view;

mod foreign_step;
mod if_without_status;
mod inherited_secrets;
mod invalid_expression;
mod invalid_workflow;
mod issue_template_folder;
mod missing_permissions;
mod missing_script;
mod missing_timeout;
mod persisted_credentials;
mod self_referring_env;
mod swallowed_failure;
mod template_injection;
mod unpinned_action;
mod untrusted_checkout;
mod wide_permissions;
mod written_secret;

use anyhow::Result;

pub(crate) use self::view::Context;
use self::view::View;
use super::rule::{Offence, Parameters, Rule, Source};
use crate::yaml;

type Check = fn(&View<'_>, &Context<'_>, &Parameters) -> Result<Vec<Offence>>;

const CHECKS: &[(&Rule, Check)] = &[
    (&foreign_step::RULE, foreign_step::check),
    (&if_without_status::RULE, if_without_status::check),
    (&inherited_secrets::RULE, inherited_secrets::check),
    (&invalid_expression::RULE, invalid_expression::check),
    (&invalid_workflow::RULE, invalid_workflow::check),
    (&issue_template_folder::RULE, |_, _, _| Ok(Vec::new())),
    (&missing_permissions::RULE, missing_permissions::check),
    (&missing_script::RULE, missing_script::check),
    (&missing_timeout::RULE, missing_timeout::check),
    (&persisted_credentials::RULE, persisted_credentials::check),
    (&self_referring_env::RULE, self_referring_env::check),
    (&swallowed_failure::RULE, swallowed_failure::check),
    (&template_injection::RULE, template_injection::check),
    (&unpinned_action::RULE, unpinned_action::check),
    (&untrusted_checkout::RULE, untrusted_checkout::check),
    (&wide_permissions::RULE, wide_permissions::check),
    (&written_secret::RULE, written_secret::check),
];

pub(crate) const RULES: &[&Rule] = &{
    let mut rules = [CHECKS[0].0; CHECKS.len()];
    let mut at = 1;
    while at < CHECKS.len() {
        rules[at] = CHECKS[at].0;
        at += 1;
    }
    rules
};

/// Whether GitHub, or one of the rules, has an eye on the file.
pub(crate) fn concerns(path: &str) -> bool {
    view::kind(path).is_some() || path.to_ascii_lowercase().starts_with(".github/")
}

/// Everything that the rules object to in one file; nothing in files that GitHub does not run. A file that
/// is no YAML is told by the YAML rules.
pub(crate) fn check(source: &Source, repo: &Context<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let mut offences: Vec<Offence> = issue_template_folder::check(&source.path).into_iter().collect();
    if let Some(kind) = view::kind(&source.path)
        && let Ok(Some(root)) = yaml::parse_one(&source.text)
    {
        let view = View::new(source, kind, &root);
        for (_, check) in CHECKS {
            offences.extend(check(&view, repo, parameters)?);
        }
    }
    offences.sort_by(|a, b| (a.span, &a.rule).cmp(&(b.span, &b.rule)));
    offences.dedup();
    Ok(offences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Group;
    use crate::lint::cases;
    use proptest::prelude::*;

    #[test]
    fn cases_hold() {
        cases::hold("workflow", |case| {
            let sources = case.sources();
            let paths = sources.iter().map(|source| source.path.as_str()).chain(case.texts("paths"));
            let repo = Context::new(paths);
            let only = case.texts("only");
            let found =
                sources.iter().flat_map(|source| check(source, &repo, &case.parameters()).expect("offences"));
            found.filter(|offence| only.is_empty() || only.contains(&offence.rule.as_ref())).collect()
        });
    }

    #[test]
    fn this_repository_is_clean() {
        let every = cases::repository(|path| !path.ends_with(".csv"));
        let repo = Context::new(every.iter().map(|source| source.path.as_str()));
        let found: Vec<Offence> = every
            .iter()
            .flat_map(|source| check(source, &repo, &Parameters::default()).expect("offences"))
            .collect();
        assert!(found.is_empty(), "{}", cases::told(&found));
    }

    #[test]
    fn rules_are_in_order_and_say_what_a_reader_wants() {
        assert!(RULES.is_sorted_by_key(|rule| rule.name));
        for rule in RULES {
            assert_eq!(rule.group, Group::Workflow);
            for text in [rule.summary, rule.why, rule.example, rule.remedy] {
                assert!(!text.is_empty(), "{}", rule.name);
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(on: push\n|jobs:\n|  a:\n|    steps:\n|      - run: |      - uses: |\\|\n|        x: |\\$\\{\\{ |\\}\\}|github.head_ref|secrets.A|needs: \\[a\\]\n|    |env: |\\{|\\}|é|> \\$GITHUB_ENV|\n){0,25}") {
            let source = Source { path: ".github/workflows/a.yml".to_owned(), text };
            check(&source, &Context::new(["xtask/Cargo.toml"]), &Parameters::default()).expect("offences");
        }
    }
}
