//! YAML: yamllint's rules through `ryl`, and rules that no style setting can switch off: unreadable files and
//! duplicate keys.
//!
//! Our own bounded reader runs first. The style rules load a file by recursion and expand aliases, so they get
//! only files that are known to be small, shallow and finite.

mod commas;
mod described;
mod foreign_template;
mod indentation;
mod key_duplicates;
mod quoted;
mod style;
mod tokens;
mod yaml_limits;
mod yaml_syntax;

pub(crate) use described::{DESCRIBED, Described};
pub(crate) use style::Config;

use super::rule::{Checked, Rule, Source};
use crate::core::yaml::{self, Kind};

/// Our own rules; the style rules keep yamllint's names and texts.
pub(crate) const RULES: &[&Rule] = &[&key_duplicates::RULE, &yaml_limits::RULE, &yaml_syntax::RULE];

/// All offences of a single YAML file.
pub(crate) fn check(source: &Source, config: &Config) -> Checked {
    // A template that is not YAML says so with `# yamllint disable-file`.
    if config.ignores(&source.path) || style::is_off(&source.text) {
        return Checked::default();
    }
    let offences = match yaml::parse(&source.text) {
        Err(error) if error.kind == Kind::Syntax && foreign_template::is_one(source) => {
            let reason = "it is a template of another program, which makes YAML of it".to_owned();
            return Checked { unknown: Some(reason), ..Checked::default() };
        }
        Err(error) => {
            let rule = match error.kind {
                Kind::Syntax => &yaml_syntax::RULE,
                Kind::Limit => &yaml_limits::RULE,
            };
            vec![rule.offence(&source.path, error.span, error.message)]
        }
        Ok(documents) => {
            let mut offences = style::check(source, &documents, config);
            // Reported once, under one name, whether or not the style settings have it.
            if !config.has(key_duplicates::RULE.name) {
                offences.extend(key_duplicates::check(source, &documents));
            }
            offences.sort_by(|a, b| (a.span, &a.rule).cmp(&(b.span, &b.rule)));
            offences
        }
    };
    Checked { offences, ..Checked::default() }
}

/// The text with its white space fixed, if the parsed content stays the same.
/// Rules for which `is_off` is true are not fixed.
pub(crate) fn fix(source: &Source, config: &Config, is_off: &dyn Fn(&str) -> bool) -> Option<String> {
    if config.ignores(&source.path) {
        return None;
    }
    style::fix(source, config, is_off)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::cases;
    use proptest::prelude::*;

    fn config() -> Config {
        Config::load("extends: default\n", std::path::Path::new(".")).expect("settings")
    }

    #[test]
    fn cases_hold() {
        cases::assert_all("yaml", |case| {
            let settings = case.text("settings").unwrap_or("extends: default");
            let config = Config::load(settings, std::path::Path::new(".")).expect("settings");
            case.sources().iter().flat_map(|source| check(source, &config).offences).collect()
        });
    }

    #[test]
    fn this_repository_is_clean() {
        let settings = cases::repository(|path| path == ".yamllint.yml");
        let config = Config::load(&settings[0].text, std::path::Path::new(".")).expect("settings");
        let sources = cases::repository(|path| cases::is_one(path, &["yml", "yaml"]));
        let offences: Vec<_> = sources.iter().flat_map(|source| check(source, &config).offences).collect();
        assert!(sources.len() > 10);
        assert!(offences.is_empty(), "{}", cases::listed(&offences));
    }

    #[test]
    fn fixes_hold() {
        for (name, text, fixed) in [
            (
                "spaces, blank lines, final newline",
                "a: 1  \n\n\n\n\nb: [ 1,2 ]",
                Some("a: 1\n\n\nb: [1, 2]\n"),
            ),
            ("carriage returns", "a: 1\r\nb: 2\r\n", Some("a: 1\nb: 2\n")),
            ("a comment keeps its words", "a: 1 #why\n", Some("a: 1  # why\n")),
            ("nothing to fix", "a: 1\n", None),
            (
                "what a block says is not touched",
                "a: |\n  x  \n\n\n\n\n  y\nb: 1  \n",
                Some("a: |\n  x  \n\n\n\n\n  y\nb: 1\n"),
            ),
            ("a byte-order mark in the middle", "\r\u{feff}", None),
            ("no YAML", "a: [1  \n", None),
        ] {
            let source = Source { path: "a.yml".to_owned(), text: text.to_owned() };
            let config = Config::load(
                "extends: default\nrules: {document-start: disable}\n",
                std::path::Path::new("."),
            )
            .expect("settings");
            let found = fix(&source, &config, &|_| false);
            assert_eq!(found.as_deref(), fixed, "{name}");
            if let Some(text) = found {
                assert_eq!(fix(&Source { text, ..source }, &config, &|_| false), None, "{name}, again");
            }
        }
    }

    #[test]
    fn a_wrong_setting_is_an_error_that_names_the_file() {
        let error = Config::load("rules: {colour: enable}", std::path::Path::new(".")).expect_err("an error");
        assert!(format!("{error:#}").contains(".yamllint.yml"), "{error:#}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-?:,\\[\\]{}#&*!|>'\"%@` \t\r\na-c0~<\u{feff}\u{2028}]{0,60}") {
            let source = Source { path: "a.yml".to_owned(), text };
            let config = config();
            drop(check(&source, &config));
            if let Some(text) = fix(&source, &config, &|_| false) {
                prop_assert_eq!(
                    yaml::parse(&text).expect("still YAML").roots,
                    yaml::parse(&source.text).expect("YAML").roots
                );
                prop_assert_eq!(fix(&Source { text, ..source }, &config, &|_| false), None);
            }
        }
    }
}
