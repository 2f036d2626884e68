//! What dbt says, made fit to show: without the frames and prefixes that dbt v2 puts around it, and without secrets.

use std::borrow::Cow;

use super::python;

/// The shortest secret that is looked for: less is found in any text.
const SHORTEST: usize = 6;

/// Variables whose values dbt and its adapters treat as secrets.
const SECRET_ENDS: [&str; 6] = ["_PASSWORD", "_TOKEN", "_SECRET", "_PRIVATE_KEY", "_PASSPHRASE", "_API_KEY"];
const SECRET_START: &str = "DBT_ENV_SECRET";

/// Replaces secrets in what dbt says.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    /// The longest first, so that none is cut into by one that it contains.
    secrets: Vec<String>,
}

impl Redactor {
    /// Hides `secrets`, and the values of those of `variables` that hold one by their name.
    pub(crate) fn new(
        secrets: impl Iterator<Item = String>,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let is_secret =
            |name: &str| name.starts_with(SECRET_START) || SECRET_ENDS.iter().any(|end| name.ends_with(end));
        let named = variables.filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
        let mut all: Vec<String> = secrets.chain(named).flat_map(|secret| forms(&secret)).collect();
        all.retain(|secret| secret.len() >= SHORTEST);
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        Self { secrets: all }
    }

    pub(crate) fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut hidden = Cow::Borrowed(text);
        for secret in &self.secrets {
            if hidden.contains(secret.as_str()) {
                hidden = Cow::Owned(hidden.replace(secret.as_str(), "***"));
            }
        }
        if hidden.contains("://") { Cow::Owned(python::redacted(&hidden)) } else { hidden }
    }
}

/// A secret as it is, as JSON writes it, and each long line of it: a driver may quote one line of a key.
fn forms(secret: &str) -> Vec<String> {
    let secret = secret.trim();
    let mut forms = vec![secret.to_owned()];
    if let Ok(json) = serde_json::to_string(secret) {
        forms.push(json[1..json.len() - 1].to_owned());
    }
    let lines = secret.lines().chain(secret.split("\\n"));
    forms.extend(lines.filter(|line| line.len() >= 20 && !line.starts_with("-----")).map(str::to_owned));
    forms
}

/// Words of dbt v2 in front of what matters.
const INTRODUCTIONS: [&str; 3] = [
    "Internal error while evaluating macro to infer schema for unit test ",
    "Internal error while compiling macro to infer schema for unit test ",
    "Failed to render SQL ",
];

/// A message of dbt without what only its developers can use: `[error] [JinjaError (dbt1501)]:`, stack frames, and
/// places inside of dbt or in files that it generated. What dbt v1 says is left as it is.
pub(crate) fn clean(message: &str) -> String {
    let mut text = message.trim();
    for level in ["[error] ", "[warning] ", "[warn] "] {
        text = text.strip_prefix(level).unwrap_or(text);
    }
    if let Some((_, rest)) = text.split_once("]: ").filter(|(code, _)| is_code(code)) {
        text = rest;
    }
    for words in INTRODUCTIONS {
        if let Some(rest) = text.strip_prefix(words) {
            text = rest.split_once("execution error: ").map_or(rest, |(_, cause)| cause);
        }
    }
    let lines: Vec<&str> = text.lines().collect();
    let frames = lines.iter().position(|line| is_first_frame(line)).unwrap_or(lines.len());
    let kept = lines[..frames].iter().filter(|line| !is_inside(line));
    kept.map(|line| line.trim_end()).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// `[JinjaError (dbt1501)`: the part before `]: `.
fn is_code(text: &str) -> bool {
    let code = text.strip_prefix('[').and_then(|text| text.split_once(" (dbt"));
    code.is_some_and(|(name, number)| {
        name.chars().all(char::is_alphanumeric) && number.trim_end_matches(')').parse::<u32>().is_ok()
    })
}

/// Frames are numbered from 0, in a column.
fn is_first_frame(line: &str) -> bool {
    let text = line.trim_start();
    line.len() - text.len() >= 2 && text.starts_with("0: ")
}

/// A place in a file that no person wrote: of dbt itself, or generated.
fn is_inside(line: &str) -> bool {
    let text = line.trim();
    let place = text.strip_prefix("(in ").or_else(|| text.strip_prefix("--> "));
    place.is_some_and(|place| {
        ["dbt_internal_packages/", "run/", "target/", "compiled/"]
            .iter()
            .any(|folder| place.starts_with(folder))
    })
}

/// The message of a test that found something, if dbt gives none: dbt v1's own words.
pub(crate) fn of_failures(
    message: Option<String>,
    failures: Option<i64>,
    is_warning: bool,
) -> Option<String> {
    let says_nothing = message.as_deref().is_none_or(|text| !text.trim().contains(' '));
    match failures {
        Some(count) if count > 0 && says_nothing => {
            let (results, verb) =
                (if count == 1 { "result" } else { "results" }, if is_warning { "warn" } else { "fail" });
            Some(format!("Got {count} {results}, configured to {verb} if != 0"))
        }
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: &str =
        "   0: <unknown>\n   1: start_thread\n             at ./nptl/pthread_create.c:442:8\n";

    #[test]
    fn what_only_dbts_developers_can_use_is_left_out() {
        let binder =
            "Binder Error: Referenced column \"nope\" not found\n\nLINE 115: select nope\n               ^";
        let said = format!(
            "[error] [JinjaError (dbt1501)]: Internal error while evaluating macro to infer schema for unit test \
             unit_test.p.m.u: execution error: {binder}\n(in models/m.yml:6:37)\n\
             (in dbt_internal_packages/dbt-adapters/macros/adapters/columns.sql:86:35)\n{FRAMES}"
        );
        assert_eq!(clean(&said), format!("{binder}\n(in models/m.yml:6:37)"));

        let said = format!(
            "[error] [MacroSyntaxInvalid (dbt1502)]: Failed to render SQL syntax error: unexpected identifier\n\
             (in target/generic_tests/t.sql:1:33)\n  --> target/generic_tests/t.sql:1:33\n{FRAMES}"
        );
        assert_eq!(clean(&said), "syntax error: unexpected identifier");
    }

    #[test]
    fn what_dbt_v1_says_stays_as_it_is() {
        let said = "Runtime Error in model a (models/a.sql)\n  Binder Error: x\n\n  LINE 7: select [a]: b";
        assert_eq!(clean(said), said);
    }

    #[test]
    fn a_failing_test_says_how_much_it_found() {
        let of = |message: &str, failures, is_warning| {
            of_failures(Some(message.to_owned()), failures, is_warning).expect("a message")
        };
        assert_eq!(of("Error", Some(2), false), "Got 2 results, configured to fail if != 0");
        assert_eq!(of("Warn", Some(1), true), "Got 1 result, configured to warn if != 0");
        assert_eq!(
            of("Got 1 result, configured to fail if >10", Some(1), false),
            "Got 1 result, configured to fail if >10"
        );
        assert_eq!(of("Database Error", None, false), "Database Error");
    }

    #[test]
    fn secrets_are_hidden_in_every_form() {
        let password = ["hunter", "2-\"quoted\""].concat();
        let variables = [("DBT_ENV_SECRET_X", "abcdefgh"), ("A_PASSWORD", "short"), ("PATH", "/usr/bin")];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let redactor = Redactor::new([password.clone()].into_iter(), variables);
        let json = serde_json::json!({ "msg": format!("no {password}") }).to_string();
        assert_eq!(redactor.hide(&json), r#"{"msg":"no ***"}"#);
        assert_eq!(redactor.hide("x abcdefgh short /usr/bin"), "x *** short /usr/bin");
        let address = ["https://me:", "pass", "@host/x"].concat();
        assert_eq!(redactor.hide(&address), "https://***@host/x");
    }
}
