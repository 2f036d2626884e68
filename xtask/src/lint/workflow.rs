//! GitHub workflows, composite actions and issue templates: files that run with the repository's secrets.
//!
//! Each rule is one file: its texts, its parameters, and one function from a parsed file to offences.

pub(crate) mod expression;
pub(crate) mod view;

mod adhoc_package;
mod broad_app_token;
mod cache_poisoning;
mod constant_condition;
mod contexts;
mod dangerous_trigger;
mod deprecated_command;
mod empty_list;
mod exposed_secrets;
mod foreign_step;
mod hardcoded_password;
mod if_without_status;
mod inconsistent_input;
mod ineffective_matrix;
mod inherited_secrets;
mod insecure_commands;
mod invalid_expression;
mod invalid_filter;
mod invalid_schedule;
mod invalid_shell;
mod invalid_uses;
mod invalid_variable;
mod invalid_workflow;
mod issue_template_folder;
mod known_actions;
mod manual_publishing;
mod mismatched_action;
mod mismatched_call;
mod missing_permissions;
mod missing_script;
mod missing_timeout;
mod mistyped_expression;
mod obfuscated_text;
mod outdated_action;
mod persisted_credentials;
mod schema;
mod self_referring_env;
mod spoofable_bot;
mod swallowed_failure;
mod template_injection;
mod types;
mod uncovered_permissions;
mod unknown_runner;
mod unpinned_action;
mod unpinned_image;
mod unpinned_tool;
mod unsound_contains;
mod untrusted_checkout;
mod wide_permissions;
mod written_environment;
mod written_secret;

use anyhow::Result;

pub(crate) use self::view::Context;
use self::view::View;
use super::rule::{Offence, Parameters, Rule, Source};
use crate::core::finding::Span;
use crate::core::yaml;

/// A rule's function from a parsed file to offences, by the inputs it needs besides the file.
enum Check {
    /// Of the path alone; such files are checked whatever their content.
    Path(fn(&str) -> Option<Offence>),
    Plain(fn(&View<'_>) -> Vec<Offence>),
    InRepository(fn(&View<'_>, &Context<'_>) -> Vec<Offence>),
    Tuned(fn(&View<'_>, &Context<'_>, &Parameters) -> Result<Vec<Offence>>),
}

const CHECKS: &[(&Rule, Check)] = &[
    (&adhoc_package::RULE, Check::Plain(adhoc_package::check)),
    (&broad_app_token::RULE, Check::Plain(broad_app_token::check)),
    (&cache_poisoning::RULE, Check::Plain(cache_poisoning::check)),
    (&constant_condition::RULE, Check::Plain(constant_condition::check)),
    (&dangerous_trigger::RULE, Check::Plain(dangerous_trigger::check)),
    (&deprecated_command::RULE, Check::Plain(deprecated_command::check)),
    (&empty_list::RULE, Check::Plain(empty_list::check)),
    (&exposed_secrets::RULE, Check::Plain(exposed_secrets::check)),
    (&foreign_step::RULE, Check::Tuned(foreign_step::check)),
    (&hardcoded_password::RULE, Check::Plain(hardcoded_password::check)),
    (&if_without_status::RULE, Check::Plain(if_without_status::check)),
    (&inconsistent_input::RULE, Check::Plain(inconsistent_input::check)),
    (&ineffective_matrix::RULE, Check::Plain(ineffective_matrix::check)),
    (&inherited_secrets::RULE, Check::Plain(inherited_secrets::check)),
    (&insecure_commands::RULE, Check::Plain(insecure_commands::check)),
    (&invalid_expression::RULE, Check::Plain(invalid_expression::check)),
    (&invalid_filter::RULE, Check::Plain(invalid_filter::check)),
    (&invalid_schedule::RULE, Check::Plain(invalid_schedule::check)),
    (&invalid_shell::RULE, Check::Plain(invalid_shell::check)),
    (&invalid_uses::RULE, Check::Plain(invalid_uses::check)),
    (&invalid_variable::RULE, Check::Plain(invalid_variable::check)),
    (&invalid_workflow::RULE, Check::Plain(invalid_workflow::check)),
    (&issue_template_folder::RULE, Check::Path(issue_template_folder::check)),
    (&manual_publishing::RULE, Check::Plain(manual_publishing::check)),
    (&mismatched_action::RULE, Check::InRepository(mismatched_action::check)),
    (&mismatched_call::RULE, Check::InRepository(mismatched_call::check)),
    (&missing_permissions::RULE, Check::Plain(missing_permissions::check)),
    (&missing_script::RULE, Check::InRepository(missing_script::check)),
    (&missing_timeout::RULE, Check::Plain(missing_timeout::check)),
    (&mistyped_expression::RULE, Check::InRepository(mistyped_expression::check)),
    (&obfuscated_text::RULE, Check::Plain(obfuscated_text::check)),
    (&outdated_action::RULE, Check::Plain(outdated_action::check)),
    (&persisted_credentials::RULE, Check::Plain(persisted_credentials::check)),
    (&self_referring_env::RULE, Check::Plain(self_referring_env::check)),
    (&spoofable_bot::RULE, Check::Plain(spoofable_bot::check)),
    (&swallowed_failure::RULE, Check::Plain(swallowed_failure::check)),
    (&template_injection::SPLICED, Check::Tuned(template_injection::check_spliced)),
    (&template_injection::RULE, Check::Tuned(template_injection::check)),
    (&uncovered_permissions::RULE, Check::InRepository(uncovered_permissions::check)),
    (&unknown_runner::RULE, Check::Tuned(unknown_runner::check)),
    (&unpinned_action::RULE, Check::Tuned(unpinned_action::check)),
    (&unpinned_image::RULE, Check::Plain(unpinned_image::check)),
    (&unpinned_tool::RULE, Check::Plain(unpinned_tool::check)),
    (&unsound_contains::RULE, Check::Plain(unsound_contains::check)),
    (&untrusted_checkout::RULE, Check::Plain(untrusted_checkout::check)),
    (&wide_permissions::RULE, Check::Plain(wide_permissions::check)),
    (&written_environment::RULE, Check::Plain(written_environment::check)),
    (&written_secret::RULE, Check::Plain(written_secret::check)),
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

/// Whether GitHub reads the file, or one of the rules applies to it.
pub(crate) fn concerns(path: &str) -> bool {
    view::kind(path).is_some() || path.to_ascii_lowercase().starts_with(".github/")
}

/// Whether findings in other workflows may depend on the file: actions and workflows that they use.
pub(crate) fn decides(path: &str) -> bool {
    view::kind(path).is_some()
}

/// The offences of all rules in one file; none in files that GitHub does not run. A file that is not valid YAML
/// is reported by the YAML rules.
pub(crate) fn check(source: &Source, repo: &Context<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let kind = view::kind(&source.path);
    let root = kind.and_then(|kind| Some((kind, yaml::parse_one(&source.text).ok()??)));
    let view = root.as_ref().map(|(kind, root)| View::new(source, *kind, root));
    let mut offences = Vec::new();
    if kind.is_some() && yaml::parse_one(&source.text).is_ok_and(|root| root.is_none()) {
        let span = Span { line: 1, column: 1, end_line: 1, end_column: 1 };
        offences.push(invalid_workflow::RULE.offence(&source.path, span, "the file is empty"));
    }
    for (_, check) in CHECKS {
        match (check, &view) {
            (Check::Path(check), _) => offences.extend(check(&source.path)),
            (Check::Plain(check), Some(view)) => offences.extend(check(view)),
            (Check::InRepository(check), Some(view)) => offences.extend(check(view, repo)),
            (Check::Tuned(check), Some(view)) => offences.extend(check(view, repo, parameters)?),
            (_, None) => {}
        }
    }
    offences.sort_by(|a, b| (a.span, &a.rule).cmp(&(b.span, &b.rule)));
    offences.dedup();
    Ok(offences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::finding::Group;
    use crate::lint::cases;
    use proptest::prelude::*;

    #[test]
    fn cases_hold() {
        cases::assert_all("workflow", |case| {
            let sources = case.sources();
            let paths = sources.iter().map(|source| source.path.as_str()).chain(case.texts("paths"));
            let repo = Context::new(paths).reading(&sources);
            let only = case.texts("only");
            let found =
                sources.iter().flat_map(|source| check(source, &repo, &case.parameters()).expect("offences"));
            found.filter(|offence| only.is_empty() || only.contains(&offence.rule.as_ref())).collect()
        });
    }

    #[test]
    fn this_repository_is_clean() {
        let every = cases::repository(|path| !cases::is_one(path, &["csv", "png"]));
        let repo = Context::new(every.iter().map(|source| source.path.as_str())).reading(&every);
        let policy = include_str!("../../../policies/lint.toml");
        let settings = crate::lint::settings::Settings::parse(policy, |_| true).expect("the policy");
        let found: Vec<Offence> = every
            .iter()
            .flat_map(|source| check(source, &repo, &settings.parameters).expect("offences"))
            .collect();
        assert!(found.is_empty(), "{}", cases::listed(&found));
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

    #[test]
    fn large_workflows_take_no_time() {
        let chain: Vec<String> = (0..5_000).map(|i| format!("  j{}: {{needs: [j{i}]}}", i + 1)).collect();
        let scripts = "            ./x.sh && ./y.sh > $GITHUB_ENV\n".repeat(5_000);
        let steps = "      - {uses: ./a, env: {A: '${{ secrets.A }}'}, run: echo $A > b}\n".repeat(2_000);
        for text in [
            format!("jobs:\n  j0: {{}}\n{}\n", chain.join("\n")),
            format!("jobs:\n  a:\n    steps:\n      - run: |\n{scripts}"),
            format!("jobs:\n  a:\n    steps:\n{steps}"),
            format!("a: {}", "${{".repeat(50_000)),
        ] {
            let source = Source { path: ".github/workflows/a.yml".to_owned(), text };
            check(&source, &Context::new([]), &Parameters::default()).expect("offences");
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
