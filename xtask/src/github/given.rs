//! Variables of the command line and secrets of standard input.
//!
//! Secrets are never arguments: those show in the list of processes. An error names a line or a name, never a value.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::review::Hidden;
use super::settings::{Given, Scope};

/// GitHub's limit of a secret and of a variable.
const LONGEST: usize = 48 * 1024;

/// More than all secrets of a repository can have.
const LARGEST_INPUT: u64 = 8 * 1024 * 1024;

/// What opens the warehouse goes to each environment, since the branches of those are limited; the secrets of the
/// repository can be read by every branch.
const OF_ENVIRONMENTS: &str = "SNOWFLAKE_";

/// What may be set: the environments, and the names that the workflows read.
pub(super) struct Known<'a> {
    pub(super) environments: &'a BTreeSet<String>,
    pub(super) variables: &'a BTreeSet<String>,
    pub(super) secrets: &'a BTreeSet<String>,
}

/// How secrets come on standard input.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input<'a> {
    None,
    /// All of it is the value of one secret.
    One(&'a str),
    /// Lines of `NAME=value`, or a JSON object.
    Several,
}

pub(super) fn read(variables: &[String], input: Input<'_>, known: &Known<'_>) -> Result<Given> {
    let mut given = Given::default();
    for text in variables {
        let (name, value) = text.split_once('=').with_context(|| {
            format!("--variable takes NAME=VALUE or ENVIRONMENT.NAME=VALUE, not {text:?}")
        })?;
        let (scope, name) = scoped(name.trim(), known.environments)?;
        check("variable", &name, value, known.variables)?;
        given.variables.insert((scope, name), value.to_owned());
    }
    let pairs = match input {
        Input::None => Vec::new(),
        Input::One(name) => {
            let text = standard_input()?;
            // What files and `echo` end with is not part of the value.
            vec![(name.to_owned(), text.trim_end_matches(['\r', '\n']).to_owned())]
        }
        Input::Several => pairs(&standard_input()?)?,
    };
    if matches!(input, Input::Several) && pairs.is_empty() {
        bail!("--secrets found no secret on standard input; it takes lines of NAME=value, or a JSON object");
    }
    for (name, value) in pairs {
        let (scope, name) = scoped(&name, known.environments)?;
        check("secret", &name, &value, known.secrets)?;
        for scope in scopes(scope, &name, known.environments) {
            given.secrets.insert((scope, name.clone()), Hidden(value.clone()));
        }
    }
    Ok(given)
}

fn standard_input() -> Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(LARGEST_INPUT + 1)
        .read_to_end(&mut bytes)
        .context("failed to read the secrets from standard input")?;
    ensure!(bytes.len() as u64 <= LARGEST_INPUT, "standard input has more than {LARGEST_INPUT} bytes");
    String::from_utf8(bytes).ok().context("standard input is not UTF-8")
}

/// `prod.NAME` as the environment and the name.
fn scoped(text: &str, environments: &BTreeSet<String>) -> Result<(Scope, String)> {
    let Some((environment, name)) = text.rsplit_once('.') else { return Ok((None, text.to_owned())) };
    if !environments.contains(environment) {
        let names: Vec<&str> = environments.iter().map(String::as_str).collect();
        bail!("{environment:?} is not an environment of policies/pipeline.toml; it has {}", names.join(", "));
    }
    Ok((Some(environment.to_owned()), name.to_owned()))
}

/// The environments that a secret without one goes to.
fn scopes(scope: Scope, name: &str, environments: &BTreeSet<String>) -> Vec<Scope> {
    match scope {
        None if name.starts_with(OF_ENVIRONMENTS) => environments.iter().cloned().map(Some).collect(),
        scope => vec![scope],
    }
}

fn check(what: &str, name: &str, value: &str, known: &BTreeSet<String>) -> Result<()> {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    ensure!(is_name, "{name:?} is not a name for a {what}: it has letters, digits and _ only");
    if !known.contains(name) {
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        bail!("the workflows read no {what} {name}; they read {}", names.join(", "));
    }
    ensure!(!value.is_empty(), "the {what} {name} is empty, which GitHub refuses");
    ensure!(value.len() <= LONGEST, "the {what} {name} has {} bytes; GitHub takes {LONGEST}", value.len());
    Ok(())
}

/// Names and values of a JSON object, whose objects are environments, or of lines as in a `.env` file.
fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    if !text.trim_start().starts_with('{') {
        return lines(text);
    }
    let all: BTreeMap<String, Value> =
        serde_json::from_str(text).ok().context("the secrets begin like JSON and are not a JSON object")?;
    let mut pairs = Vec::new();
    for (name, value) in all {
        match value {
            Value::String(value) => pairs.push((name, value)),
            Value::Object(inner) => {
                for (inner, value) in inner {
                    let name = format!("{name}.{inner}");
                    let Value::String(value) = value else { bail!("the secret {name} is not a text") };
                    pairs.push((name, value));
                }
            }
            _ => bail!("the secret {name} is not a text"),
        }
    }
    Ok(pairs)
}

/// `NAME=value`, `NAME="value of several lines"`, comments and empty lines.
fn lines(text: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let number = at + 1;
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').with_context(|| {
            format!(
                "line {number} of the secrets is not NAME=value; put a value of several lines in quotes, or give it \
                 alone with --secret NAME < FILE"
            )
        })?;
        let value = value.trim();
        let quote = value.chars().next().filter(|&c| c == '"' || c == '\'');
        let value = match quote {
            None => value.to_owned(),
            Some(quote) => {
                let mut all = value[1..].to_owned();
                while !all.trim_end().ends_with(quote) {
                    let (_, more) = lines
                        .next()
                        .with_context(|| format!("the quote of line {number} of the secrets has no end"))?;
                    all = format!("{all}\n{more}");
                }
                let inner = all.trim_end();
                let inner = &inner[..inner.len() - 1];
                if quote == '"' { inner.replace("\\n", "\n").replace("\\\"", "\"") } else { inner.to_owned() }
            }
        };
        pairs.push((name.trim().to_owned(), value));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn secrets_are_read_from_lines_and_from_json() {
        let text =
            "# comment\n\nexport A=one two\nB=\"-----BEGIN\nx=y\n-----END\"\nprod.C='a\\nb'\nD=\"a\\nb\"\n";
        let expected =
            [("A", "one two"), ("B", "-----BEGIN\nx=y\n-----END"), ("prod.C", "a\\nb"), ("D", "a\nb")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs(text).expect("pairs"), expected);
        let json = pairs(r#" {"A": "1", "prod": {"B": "2"}}"#).expect("pairs");
        assert_eq!(
            json,
            [("A", "1"), ("prod.B", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        for (wrong, said) in [
            ("A=1\n-----BEGIN KEY-----\nMIIhunter", "line 2"),
            ("A=\"never closed", "line 1"),
            (r#"{"A": 1}"#, "secret A"),
            (r#"{"hunter"#, "not a JSON object"),
        ] {
            let error = format!("{:#}", pairs(wrong).expect_err("an error"));
            assert!(error.contains(said) && !error.contains("hunter"), "{error}");
        }
    }

    #[test]
    fn names_that_no_workflow_reads_are_refused() {
        let (environments, names) = (set(&["prod", "dev"]), set(&["SNOWFLAKE_USER"]));
        let known = Known { environments: &environments, variables: &names, secrets: &names };
        let of = |text: &str| read(&[text.to_owned()], Input::None, &known);
        assert_eq!(of("prod.SNOWFLAKE_USER=a=b").expect("one").variables.len(), 1);
        for wrong in ["SNOWFLAKE_USR=a", "SNOWFLAKE_USER", "prd.SNOWFLAKE_USER=a", "SNOWFLAKE_USER=", "A B=c"]
        {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_opens_the_warehouse_goes_to_environments() {
        let environments = set(&["prod", "dev"]);
        assert_eq!(scopes(None, "SNOWFLAKE_TOKEN", &environments).len(), 2);
        assert_eq!(scopes(Some("dev".into()), "SNOWFLAKE_TOKEN", &environments), [Some("dev".to_owned())]);
        assert_eq!(scopes(None, "SLACK_WEBHOOK_URL", &environments), [None]);
    }
}
