//! sqlfluff's configuration in all its files: `.sqlfluff`, `pyproject.toml`, `tox.ini` and `setup.cfg`, merged from the
//! root of the repository down to the folder of a file.
//!
//! The result is in the form that sqruff reads: rules by their codes, sections by their names. Settings without effect
//! are listed, so that none is dropped silently.

mod files;

use self::files::{of_ini, of_toml};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::LazyLock;

use anyhow::{Context as _, Result};

/// sqlfluff's own list; see its first line.
static TABLE: LazyLock<Vec<Named>> = LazyLock::new(|| {
    let lines = include_str!("rule_names.txt").lines().filter(|line| !line.starts_with('#'));
    let rule = |line: &'static str| {
        let mut fields = line.split(' ');
        let (code, name) = (fields.next()?, fields.next()?);
        let mut list =
            || fields.next().unwrap_or_default().split(',').filter(|word| !word.is_empty()).collect();
        Some(Named { code, name, groups: list(), aliases: list() })
    };
    lines.filter_map(rule).collect()
});

/// A rule by all its names.
struct Named {
    code: &'static str,
    name: &'static str,
    groups: Vec<&'static str>,
    aliases: Vec<&'static str>,
}

impl Named {
    fn is_called(&self, name: &str) -> bool {
        self.code == name || self.name == name || self.groups.contains(&name) || self.aliases.contains(&name)
    }
}

/// The codes of the rules that a code, name, group, former name or pattern (`CP*`) matches; empty if it matches none.
pub(super) fn codes(selector: &str) -> Vec<&'static str> {
    let pattern = selector.contains(['*', '?', '[']).then(|| globset::Glob::new(selector).ok()).flatten();
    let pattern = pattern.map(|glob| glob.compile_matcher());
    let is_meant = |rule: &&Named| {
        pattern.as_ref().map_or_else(
            || rule.is_called(selector),
            |pattern| {
                let aliases = rule.aliases.iter().chain(&rule.groups);
                aliases.chain([&rule.code, &rule.name]).any(|name| pattern.is_match(name))
            },
        )
    };
    TABLE.iter().filter(is_meant).map(|rule| rule.code).collect()
}

/// Whether `selector`, as a `noqa` comment writes it, matches the rule of that name.
pub(super) fn means(selector: &str, rule: &str) -> bool {
    match (selector, rule) {
        ("PRS", "sql-parse") | ("TMP", "sql-template") => true,
        _ => TABLE
            .iter()
            .find(|named| named.name == rule)
            .is_some_and(|named| codes(selector).contains(&named.code)),
    }
}

/// Sections to keys to values. The section of a rule is `rules:<its name>`, that of the core is `core`.
type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// The configuration of one folder, or of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    sections: Sections,
    /// Settings that have no effect here, each with its file.
    pub(super) unhonoured: BTreeSet<String>,
    /// Values of `[sqlfluff:templater:jinja:context]`.
    pub(super) context: BTreeMap<String, String>,
    /// Macros of `[sqlfluff:templater:jinja:macros]`.
    pub(super) macros: Vec<String>,
}

/// Keys of the core that change the output or the time limit of a run, but not its findings.
const WITHOUT_EFFECT: &[&str] = &[
    "verbose",
    "nocolor",
    "output_line_length",
    "runaway_limit",
    "rust_parser_max_iterations",
    "rust_parser_warn_threshold",
    "use_rust_parser",
    "use_rust_rules",
    "recursion_limit",
    "max_parse_depth",
    "max_parse_nodes",
    "processes",
    "fixed_suffix",
    "fix_even_unparsable",
    "large_file_skip_fail",
    "encoding",
    "large_file_skip_char_limit",
    "large_file_skip_byte_limit",
    "render_variant_limit",
    "warn_unused_ignores",
    "library_path",
];

/// Keys of the core that are honoured.
const HONOURED: &[&str] = &[
    "dialect",
    "templater",
    "rules",
    "exclude_rules",
    "warnings",
    "ignore",
    "disable_noqa",
    "disable_noqa_except",
    "max_line_length",
    "ignore_templated_areas",
    "sql_file_exts",
    "ignore_paths",
    "rule_allowlist",
    "rule_denylist",
];

/// Whether a file of that name may contain sqlfluff's settings.
pub(crate) fn is_config(file: &str) -> bool {
    matches!(file, ".sqlfluff" | "pyproject.toml" | "tox.ini" | "setup.cfg" | "pep8.ini")
}

impl Config {
    /// Merges the settings of `file` over the present ones; a `pyproject.toml` or `tox.ini` without such settings is allowed.
    pub(super) fn add(&mut self, path: &str, text: &str) -> Result<()> {
        let file = path.rsplit('/').next().unwrap_or(path);
        let found = if file == "pyproject.toml" { of_toml(text) } else { of_ini(text) };
        // An invalid file of another tool is left to that tool.
        let found = match found {
            Err(_) if file != ".sqlfluff" && !text.contains("sqlfluff") => return Ok(()),
            found => found.with_context(|| format!("failed to understand {path}"))?,
        };
        for (section, key, value) in found {
            self.set(path, &section, &key, value);
        }
        Ok(())
    }

    /// Merges `-- sqlfluff:section:key:value` lines of a file over the settings; returns whether there were any.
    pub(super) fn add_inline(&mut self, text: &str) -> bool {
        let mut any = false;
        for line in text.lines() {
            let line = line.trim();
            let Some(rest) = ["-- sqlfluff:", "-- sqruff:"].iter().find_map(|start| line.strip_prefix(start))
            else {
                continue;
            };
            let mut parts: Vec<&str> = rest.split(':').map(str::trim).collect();
            let (Some(value), Some(key)) = (parts.pop(), parts.pop()) else { continue };
            any = true;
            self.set("the file itself", &parts.join(":"), key, value.to_owned());
        }
        any
    }

    fn set(&mut self, path: &str, section: &str, key: &str, value: String) {
        let section = match section.strip_prefix("rules:") {
            Some(rule) => {
                let [code] = codes(rule)[..] else {
                    self.unhonoured.insert(format!("{path}: [sqlfluff:rules:{rule}]: no rule has that name"));
                    return;
                };
                format!("rules:{}", name_of(code))
            }
            // Where older versions of sqlfluff had them.
            None if section == "rules" && ["indent_unit", "tab_space_size"].contains(&key) => {
                "indentation".to_owned()
            }
            None if section == "rules" && key == "max_line_length" => "core".to_owned(),
            None if section.is_empty() => "core".to_owned(),
            None => section.to_owned(),
        };
        match section.as_str() {
            "core" if WITHOUT_EFFECT.contains(&key) => return,
            "core" if !HONOURED.contains(&key) => {
                self.unhonoured.insert(format!("{path}: {key}"));
                return;
            }
            "templater:jinja:context" => {
                self.context.insert(key.to_owned(), value);
                return;
            }
            "templater:jinja:macros" => {
                self.macros.push(value);
                return;
            }
            // The location and login of dbt: not needed here.
            "templater:dbt" | "templater:dbt-cloud" => return,
            "templater:jinja" if key == "apply_dbt_builtins" => return,
            "indentation" if ["list_wrapping", "indented_using_on_newline"].contains(&key) => {
                let usual = matches!(value.as_str(), "one_per_line" | "False" | "false");
                if !usual {
                    self.unhonoured.insert(format!("{path}: [sqlfluff:indentation] {key}"));
                }
                return;
            }
            "templater:placeholder" => {}
            other if other.starts_with("templater") => {
                self.unhonoured.insert(format!("{path}: [sqlfluff:{other}] {key}"));
                return;
            }
            _ => {}
        }
        self.sections.entry(section).or_default().insert(key.to_owned(), value);
    }

    fn core(&self, key: &str) -> Option<&str> {
        let value = self.sections.get("core")?.get(key)?.trim();
        (!value.is_empty() && !value.eq_ignore_ascii_case("none")).then_some(value)
    }

    fn list(&self, key: &str) -> Vec<&str> {
        let value = self.core(key).unwrap_or_default();
        value.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty()).collect()
    }

    pub(super) fn dialect(&self) -> Option<&str> {
        self.core("dialect")
    }

    /// `jinja`, `dbt`, `raw`, `placeholder`, `python`. dbt Cloud's editor calls its templater `dbt-cloud`.
    pub(super) fn templater(&self) -> &str {
        match self.core("templater").unwrap_or("jinja") {
            name if name.starts_with("dbt") => "dbt",
            name => name,
        }
    }

    /// Whether files with these settings can be rendered here.
    pub(super) fn is_rendered(&self) -> bool {
        ["jinja", "dbt", "raw", "placeholder"].contains(&self.templater())
    }

    /// A setting of the rule of that name.
    pub(super) fn of_rule(&self, rule: &str, key: &str) -> Option<&str> {
        self.sections.get(&format!("rules:{rule}"))?.get(key).map(String::as_str)
    }

    /// The settings of the `placeholder` templater.
    pub(super) fn placeholders(&self) -> Option<&BTreeMap<String, String>> {
        self.sections.get("templater:placeholder")
    }

    /// Kinds of findings that are left out: `parsing`, `templating`, `lexing`, `linting`.
    pub(super) fn ignores(&self, kind: &str) -> bool {
        self.list("ignore").contains(&kind)
    }

    /// Whether `noqa` comments are respected.
    pub(super) fn respects_noqa(&self) -> bool {
        self.core("disable_noqa").is_none_or(|value| !value.eq_ignore_ascii_case("true"))
            || self.core("disable_noqa_except").is_some()
    }

    /// Whether findings of the rule are only warnings.
    pub(super) fn warns_only(&self, rule: &str) -> bool {
        self.list("warnings").iter().any(|selector| means(selector, rule))
    }

    /// Patterns of `ignore_paths`.
    pub(super) fn ignored_paths(&self) -> Vec<&str> {
        self.list("ignore_paths")
    }

    /// The codes of the rules that are on: all, as in sqlfluff, unless `rules` names some.
    pub(super) fn rules(&self, mut unknown: impl FnMut(&str)) -> BTreeSet<&'static str> {
        let mut of = |key: &str| -> BTreeSet<&'static str> {
            let mut found = BTreeSet::new();
            for selector in self.list(key) {
                let meant = codes(selector);
                if meant.is_empty() {
                    unknown(selector);
                }
                found.extend(meant);
            }
            found
        };
        let mut wanted = of("rules");
        wanted.extend(of("rule_allowlist"));
        if self.core("rules").is_none() && self.core("rule_allowlist").is_none() {
            wanted = TABLE.iter().map(|rule| rule.code).collect();
        }
        let left_out = &of("exclude_rules") | &of("rule_denylist");
        &wanted - &left_out
    }

    /// The settings in sqruff's form, with `dialect` if none is given. `known` are the codes of its rules.
    pub(super) fn text(&mut self, dialect: &str, known: &BTreeSet<&'static str>) -> String {
        let mut unknown = BTreeSet::new();
        let wanted = self.rules(|selector| {
            unknown.insert(format!("rules: no rule is called {selector}"));
        });
        let named = self.core("rules").is_some_and(|rules| rules != "all");
        for code in wanted.difference(known).filter(|_| named) {
            unknown.insert(format!("rules: {code} is not available here"));
        }
        self.unhonoured.extend(unknown);
        let rules: Vec<&str> = wanted.intersection(known).copied().collect();
        let mut text = String::from("[sqlfluff]\n");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "dialect = {}", self.dialect().unwrap_or(dialect));
        if rules.is_empty() {
            text.push_str("rules = core\nexclude_rules = all\n");
        } else {
            let _ = writeln!(text, "rules = {}\nexclude_rules = None", rules.join(","));
        }
        for key in ["max_line_length", "disable_noqa", "disable_noqa_except", "ignore_templated_areas"] {
            if let Some(value) = self.core(key) {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        let is_read = |section: &str| section != "core" && !section.starts_with("templater");
        for (section, values) in self.sections.iter().filter(|(section, _)| is_read(section)) {
            let _ = writeln!(text, "\n[sqlfluff:{section}]");
            for (key, value) in values {
                if value.eq_ignore_ascii_case("none") {
                    // sqruff cannot read the absence of a value everywhere.
                    if key.ends_with("_exclusions") {
                        let _ = writeln!(text, "{key} = nothing");
                    }
                } else if value.contains('\n') {
                    let value: Vec<&str> = value.split('\n').map(str::trim).collect();
                    let _ = writeln!(text, "{key} = {}", value.join(""));
                } else {
                    let _ = writeln!(text, "{key} = {value}");
                }
            }
        }
        text
    }
}

fn name_of(code: &str) -> &'static str {
    TABLE.iter().find(|rule| rule.code == code).map_or("", |rule| rule.name)
}

/// The order in which sqlfluff merges the files of one folder.
pub(super) fn precedence(path: &str) -> usize {
    let file = path.rsplit('/').next().unwrap_or(path);
    let order: HashMap<&str, usize> =
        ["setup.cfg", "tox.ini", "pep8.ini", ".sqlfluff", "pyproject.toml"].into_iter().zip(0..).collect();
    order.get(file).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(files: &[(&str, &str)]) -> Config {
        let mut config = Config::default();
        for (path, text) in files {
            config.add(path, text).expect("settings");
        }
        config
    }

    fn rules(text: &str) -> Vec<&'static str> {
        config(&[(".sqlfluff", text)]).rules(|_| {}).into_iter().collect()
    }

    #[test]
    fn rules_are_known_by_code_name_group_former_name_and_pattern() {
        assert_eq!(rules("[sqlfluff]\nrules = L010, layout.indent\n"), ["CP01", "LT02"]);
        assert_eq!(
            rules("[sqlfluff]\nrules = CP*\nexclude_rules = capitalisation.keywords,L014"),
            ["CP03", "CP04", "CP05"]
        );
        assert!(rules("[sqlfluff]\nrules = core").len() > 10);
        let all = rules("[sqlfluff]\ndialect = ansi\n");
        assert!(all.len() > 60 && all.contains(&"AL01") && all.contains(&"LT09"), "{all:?}");
        assert!(!rules("[sqlfluff]\nexclude_rules =\n    L003,\n    LT09\n").contains(&"LT09"));
        let mut unknown = Vec::new();
        config(&[(".sqlfluff", "[sqlfluff]\nexclude_rules = L999\n")])
            .rules(|name| unknown.push(name.to_owned()));
        assert_eq!(unknown, ["L999"]);
        assert!(means("L010", "capitalisation.keywords") && means("CP*", "capitalisation.types"));
        assert!(means("PRS", "sql-parse") && !means("LT01", "layout.indent"));
    }

    #[test]
    fn a_broken_line_is_an_error_that_names_it() {
        for text in ["[sqlfluff\ndialect = ansi\n", "[sqlfluff]\ndialect\n"] {
            let error = Config::default().add("a/.sqlfluff", text).expect_err("an error");
            assert!(format!("{error:#}").contains("a/.sqlfluff"), "{error:#}");
        }
        assert!(Config::default().add("tox.ini", "[tox\nenvlist\n").is_ok(), "left to the other tool");
    }

    #[test]
    fn every_file_that_sqlfluff_reads_is_read() {
        let toml = "[tool.sqlfluff.core]\ndialect = 'duckdb'\nexclude_rules = ['LT01', 'L003']\n\
                    [tool.sqlfluff.rules.capitalisation.keywords]\ncapitalisation_policy = 'upper'\n";
        let known = codes("all").into_iter().collect();
        let mut read =
            config(&[("tox.ini", "[sqlfluff]\ndialect = ansi\n[pytest]\nx\n"), ("pyproject.toml", toml)]);
        let text = read.text("snowflake", &known);
        assert!(
            text.contains("dialect = duckdb") && text.contains("[sqlfluff:rules:capitalisation.keywords]"),
            "{text}"
        );
        assert!(!text.contains("LT01") && !text.contains("LT02,") && text.contains("LT05"), "{text}");
        let mut other =
            config(&[("setup.cfg", "[metadata]\nname = x\n"), ("pyproject.toml", "[tool.black]\n")]);
        assert!(other.text("duckdb", &known).contains("dialect = duckdb"));
    }

    #[test]
    fn what_has_no_effect_is_named() {
        let text = "[sqlfluff]\nverbose = 1\nfancy = 2\n[sqlfluff:templater:jinja]\nlibrary_path = x\n\
                    [sqlfluff:rules:LT99]\nx = 1\n[sqlfluff:rules:L010]\ncapitalisation_policy = lower\n";
        let read = config(&[(".sqlfluff", text)]);
        let named: Vec<&str> = read.unhonoured.iter().map(String::as_str).collect();
        let expected = [
            ".sqlfluff: [sqlfluff:rules:LT99]: no rule has that name",
            ".sqlfluff: [sqlfluff:templater:jinja] library_path",
            ".sqlfluff: fancy",
        ];
        assert_eq!(named, expected);
        assert!(read.sections.contains_key("rules:capitalisation.keywords"));
    }
}
