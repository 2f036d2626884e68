//! yamllint's rules, run by `ryl` inside this process, and those that are our own because they follow the tokens
//! of a file: `indentation`, and a part of `commas`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use ryl::config::{Env, Overrides, YamlLintConfig, discover_config_with};
use ryl::directives::Directives;

use super::tokens::{self, Placed};
use super::{commas, indentation, quoted, yaml_limits, yaml_syntax};
use crate::core::finding::Span;
use crate::core::yaml::{self, Documents};
use crate::lint::rule::{Offence, Source};

/// Rules whose fix changes more than white space: quotes may change the type of a value, and document markers
/// are a matter of taste.
const NOT_WHITE_SPACE: [&str; 3] = ["quoted-strings", "document-start", "document-end"];

/// Rules whose fix may change the text of a block scalar; if it does, the fix is tried without them.
const MAY_CHANGE_TEXT: [&[&str]; 4] =
    [&[], &["trailing-spaces"], &["empty-lines"], &["trailing-spaces", "empty-lines"]];

/// A fix that still changes something after this many passes does not converge.
const MOST_PASSES: usize = 4;

/// `.yamllint.yml`.
#[derive(Debug)]
pub(crate) struct Config {
    config: YamlLintConfig,
    /// Its text, then path and content of every file that it names.
    inputs: Vec<String>,
}

impl Config {
    /// Reads the settings' text. `root` is where files that they name (`extends`, `ignore-from-file`) are
    /// looked up.
    pub(crate) fn load(text: &str, root: &Path) -> Result<Self> {
        let overrides = Overrides { config_data: Some(text.to_owned()), ..Overrides::default() };
        let rooted = Rooted { root, read: RefCell::default() };
        let found = discover_config_with(&[], &overrides, &rooted)
            .map_err(|error| anyhow!(error))
            .context("failed to understand .yamllint.yml")?;
        let mut inputs = vec![text.to_owned()];
        inputs.append(&mut rooted.read.borrow_mut());
        Ok(Self { config: found.config, inputs })
    }

    /// All inputs of the settings: the findings of a file depend on them.
    pub(crate) fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// Whether `path` is one of the files that the settings consist of.
    pub(crate) fn reads(&self, path: &str) -> bool {
        crate::lint::common::is_yamllint(path) || self.inputs.iter().any(|input| input == path)
    }

    /// Whether the settings ignore `path`, relative to the root.
    pub(crate) fn ignores(&self, path: &str) -> bool {
        self.config.is_file_ignored(Path::new(path), Path::new(""))
    }

    pub(super) fn has(&self, rule: &str) -> bool {
        self.config.rule_level(rule).is_some()
    }
}

/// Settings are read from the repository only: not from the user's home, not from the environment.
struct Rooted<'a> {
    root: &'a Path,
    /// Path and content of each file that was read.
    read: RefCell<Vec<String>>,
}

impl Env for Rooted<'_> {
    fn current_dir(&self) -> PathBuf {
        PathBuf::new()
    }

    fn config_dir(&self) -> Option<PathBuf> {
        None
    }

    fn home_dir(&self) -> Option<PathBuf> {
        None
    }

    fn read_to_string(&self, path: &Path) -> Result<String, String> {
        let text = std::fs::read_to_string(self.root.join(path))
            .map_err(|error| format!("failed to read {}: {error}", path.display()))?;
        self.read.borrow_mut().extend([path.to_string_lossy().into_owned(), text.clone()]);
        Ok(text)
    }

    fn path_exists(&self, path: &Path) -> bool {
        let exists = self.root.join(path).exists();
        self.read.borrow_mut().extend([path.to_string_lossy().into_owned(), exists.to_string()]);
        exists
    }

    fn env_var(&self, _: &str) -> Option<String> {
        None
    }
}

/// The style offences of a file that our own reader has read.
pub(super) fn check(source: &Source, documents: &Documents, config: &Config) -> Vec<Offence> {
    let text = documents.blanked.as_ref().map_or(source.text.as_str(), |blanked| &blanked.text);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let path = Path::new(&source.path);
    let Ok(problems) =
        catch_unwind(AssertUnwindSafe(|| ryl::lint_str(text, path, &config.config, Path::new(""))))
    else {
        let message = "the style rules failed on this file; please report it".to_owned();
        return vec![yaml_limits::RULE.offence(&source.path, Span::default(), message)];
    };
    let reads_tokens = [indentation::NAME, commas::NAME, quoted::NAME].iter().any(|rule| config.has(rule));
    let tokens = if reads_tokens { tokens::read(text) } else { Vec::new() };
    let blanked = |line: usize| {
        documents.blanked.iter().flat_map(|blanked| &blanked.lines).any(|lines| lines.contains(&line))
    };
    problems
        .into_iter()
        .filter(|problem| problem.rule != Some(indentation::NAME))
        .filter(|problem| {
            problem.rule != Some(quoted::NAME)
                || !quoted::is_other_type(text, &tokens, problem.line, problem.column)
        })
        .map(|problem| {
            let rule = problem.rule.unwrap_or(yaml_syntax::RULE.name);
            (rule, (problem.line, problem.column, problem.message))
        })
        .chain(by_tokens(text, &tokens, path, config))
        .filter(|(_, (line, ..))| !blanked(*line))
        .map(|(rule, (line, column, message))| Offence {
            rule: Cow::Borrowed(rule),
            path: source.path.clone(),
            span: Span { line, column, end_line: line, end_column: column + 1 },
            message,
            remedy: None,
        })
        .collect()
}

/// The findings of our rules, less those that a comment switches off.
fn by_tokens(
    text: &str,
    tokens: &[Placed],
    path: &Path,
    config: &Config,
) -> Vec<(&'static str, indentation::Found)> {
    let is_on = |rule: &str| config.has(rule) && !config.config.is_rule_ignored(rule, path, Path::new(""));
    let mut found = Vec::new();
    if is_on(indentation::NAME) {
        let offences = indentation::check(text, tokens, &config.config);
        found.extend(offences.into_iter().map(|offence| (indentation::NAME, offence)));
    }
    if is_on(commas::NAME) {
        let offences = commas::check(tokens, &config.config);
        found.extend(offences.into_iter().map(|offence| (commas::NAME, offence)));
    }
    if !found.is_empty() {
        let directives = Directives::parse(text);
        found.retain(|(rule, (line, ..))| !directives.is_disabled(rule, *line));
    }
    found
}

/// Whether the first line switches off every rule: `# yamllint disable-file`.
pub(super) fn is_off(text: &str) -> bool {
    ryl::directives::disables_file(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The text with its white space fixed; `None` if there is nothing to fix, or if no fix was found that keeps
/// every value unchanged.
pub(super) fn fix(source: &Source, config: &Config, is_off: &dyn Fn(&str) -> bool) -> Option<String> {
    let off: Vec<&str> = super::DESCRIBED.iter().map(|rule| rule.name).filter(|rule| is_off(rule)).collect();
    let before = yaml::parse(&source.text).ok()?;
    // A byte-order mark in the middle would become one at the start if the lines before it are removed.
    if before.blanked.is_some() || source.text.rfind('\u{feff}').is_some_and(|at| at > 0) {
        return None;
    }
    MAY_CHANGE_TEXT.iter().find_map(|left_out| {
        let skip: Vec<&str> = NOT_WHITE_SPACE.iter().chain(*left_out).chain(&off).copied().collect();
        let fixed = settled(source, config, &skip)?;
        let same = yaml::parse(&fixed).is_ok_and(|after| after.roots == before.roots);
        same.then_some(fixed).filter(|fixed| *fixed != source.text)
    })
}

fn settled(source: &Source, config: &Config, skip: &[&str]) -> Option<String> {
    let path = Path::new(&source.path);
    let mark = if source.text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
    let mut text = source.text[mark.len()..].to_owned();
    for _ in 0..MOST_PASSES {
        let next = catch_unwind(AssertUnwindSafe(|| {
            ryl::fix::apply_safe_fixes_filtered(&text, &config.config, path, Path::new(""), skip)
        }))
        .ok()?;
        if next == text {
            return Some(format!("{mark}{text}"));
        }
        text = next;
    }
    None
}
