//! A secret that leaves the process that needs it.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::LazyLock;

use regex::Regex;

use super::view::{ScriptLine, Step, View};
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "written-secret",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A secret is written to a file, an output or the log, or spliced into a script.",
    why: "`GITHUB_ENV` passes it to every later step, third-party actions included; a file ends up in a cache, an \
          artifact or a commit; an output is stored in plain text; a spliced secret is in the script file and in \
          the arguments of processes. The masking of logs is a last resort: it misses every encoded or shortened form.",
    example: "```yaml\n- run: echo \"PASSWORD=${{ secrets.PASSWORD }}\" >> \"$GITHUB_ENV\"\n```\n\n```yaml\n- run: cargo xtask \
              elt\n  env:\n    SNOWFLAKE_PASSWORD: ${{ secrets.SNOWFLAKE_PASSWORD }}\n```",
    remedy: "pass it as `env` to the one step that needs it",
};

/// A redirection to a file (not to another stream or to nowhere), or `tee`.
static WRITES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:^|[^0-9<>&=-])>>?\s*(?P<file>["']?[$A-Za-z0-9_./~{}-]+)|\btee\s+(?:-a\s+)?(?P<tee>["']?[$A-Za-z0-9_./~{}-]+)"#)
        .expect("a regular expression")
});

static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)").expect("a regular expression"));

static PRINTS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:echo|printf|print)\b").expect("a regular expression"));

static HEREDOC: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"<<-?\s*["']?([A-Za-z_][A-Za-z0-9_]*)"#).expect("a regular expression"));

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    let mut known = Known::new();
    for (step, script) in view.scripts() {
        for found in view.within(script) {
            let Ok(expression) = &found.parsed else { continue };
            if let Some(path) = expression.results().into_iter().find(|path| is_secret(path)) {
                let message = format!("`{}` is spliced into the script", path.join("."));
                offences.push(view.offence(&RULE, found.span, message));
            }
        }
        let secret = variables(view, step, &mut known);
        if !secret.is_empty() && step.run().is_some() {
            written(view, &view.script(script), &secret, &mut offences);
        }
    }
    offences
}

/// The token of the run is a secret too, by both its names.
fn is_secret(path: &[String]) -> bool {
    path.first().is_some_and(|context| context == "secrets") || path == ["github", "token"]
}

/// Variables that contain a secret, by the value that sets them: those of the top are read once for all steps.
type Known = HashMap<usize, Rc<HashSet<String>>>;

/// Those of this step, its job and the top.
fn variables(view: &View<'_>, step: &Step<'_>, known: &mut Known) -> Vec<Rc<HashSet<String>>> {
    let levels = view.levels(step).into_iter().filter_map(|level| level.get("env"));
    levels
        .map(|env| Rc::clone(known.entry(env.bytes.start).or_insert_with(|| Rc::new(secrets_in(view, env)))))
        .filter(|names| !names.is_empty())
        .collect()
}

fn secrets_in(view: &View<'_>, env: &Node) -> HashSet<String> {
    let holds = |value: &Node| {
        let mut parsed = view.within(value).filter_map(|found| found.parsed.as_ref().ok());
        parsed.any(|expression| expression.results().iter().any(|path| is_secret(path)))
    };
    let entries = env.entries().iter().filter(|(_, value)| holds(value));
    entries.filter_map(|(key, _)| key.text().map(str::to_owned)).collect()
}

fn written(
    view: &View<'_>,
    lines: &[ScriptLine<'_>],
    secret: &[Rc<HashSet<String>>],
    offences: &mut Vec<Offence>,
) {
    // The target of a here-document, and the word that ends it.
    let mut document: Option<(String, String)> = None;
    for line in lines {
        let target = target(line.text);
        if let Some((file, end)) = &document {
            if line.text.trim() == end {
                document = None;
                continue;
            }
            report(view, line, secret, &format!("is written to {file}"), offences);
            continue;
        }
        if let (Some(file), Some(word)) = (&target, HEREDOC.captures(line.text)) {
            document = Some((file.clone(), word[1].to_owned()));
            continue;
        }
        let prints =
            PRINTS.is_match(line.text) && !line.text.contains('|') && !line.text.contains("::add-mask::");
        match target {
            Some(file) => report(view, line, secret, &format!("is written to {file}"), offences),
            None if prints => report(view, line, secret, "is printed", offences),
            None => {}
        }
    }
}

fn target(line: &str) -> Option<String> {
    let found =
        WRITES.captures_iter(line).find_map(|found| found.name("file").or_else(|| found.name("tee")))?;
    let file = found.as_str().trim_matches(['"', '\'']).to_owned();
    let is_file = !file.is_empty() && !file.starts_with("/dev/");
    is_file.then_some(file)
}

fn report(
    view: &View<'_>,
    line: &ScriptLine<'_>,
    secret: &[Rc<HashSet<String>>],
    what: &str,
    offences: &mut Vec<Offence>,
) {
    let variable = VARIABLE.captures_iter(line.text).find_map(|found| {
        let name = found.get(1).filter(|name| secret.iter().any(|names| names.contains(name.as_str())))?;
        Some((name.as_str().to_owned(), found.get(0)?.range()))
    });
    if let Some((name, range)) = variable {
        let span = view.span(line.start + range.start..line.start + range.end);
        offences.push(view.offence(&RULE, span, format!("the secret in `{name}` {what}")));
    }
}
