//! The assumptions: their file, their statements, and whether each answer is the expected one.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::janitor::PREFIX;
use crate::target::Place;
use crate::warehouse::{Row, Warehouse, literal, quote};

const TABLE: &str = include_str!("../../../sql/snowflake/conformance.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    assumption: Vec<Assumption>,
}

/// An assumption as it is written in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    group: String,
    #[serde(default)]
    before: Vec<String>,
    #[serde(default)]
    after: Vec<String>,
    /// A node of the dbt project, whose status is the answer.
    node: Option<String>,
    statement: String,
    rows: Option<Vec<toml::Table>>,
    r#type: Option<String>,
    sqlstate: Option<String>,
    code: Option<u32>,
    succeeds: Option<bool>,
}

/// One thing that the toolkit relies on.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct Assumption {
    pub(super) name: String,
    pub(super) group: String,
    /// Sent first; each must succeed.
    before: Vec<String>,
    /// Sent last, whatever the answer is.
    after: Vec<String>,
    pub(super) node: Option<String>,
    pub(super) statement: String,
    expected: Expected,
}

/// The expected answer of a statement.
#[derive(Debug)]
enum Expected {
    /// These rows, in this order.
    Rows(Vec<toml::Table>),
    /// Any rows whose first value is of this type: number, text, boolean or null.
    Type(String),
    /// An error with this SQLSTATE, and this number if it is given.
    Error { sqlstate: String, code: Option<u32> },
    /// Whether it succeeds, whatever it answers.
    Succeeds(bool),
}

impl TryFrom<Written> for Assumption {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { name, group, before, after, node, statement, rows, r#type, sqlstate, code, succeeds } =
            written;
        let expected = match (rows, r#type, sqlstate, code, succeeds) {
            (Some(rows), None, None, None, None) => Expected::Rows(rows),
            (None, Some(kind), None, None, None) => Expected::Type(kind),
            (None, None, Some(sqlstate), code, None) => Expected::Error { sqlstate, code },
            (None, None, None, None, Some(succeeds)) => Expected::Succeeds(succeeds),
            _ => return Err(format!("{name}: give one of rows, type, sqlstate (with code) and succeeds")),
        };
        Ok(Self { name, group, before, after, node, statement, expected })
    }
}

/// The observed answer of a statement.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Observed {
    Rows(Vec<Row>),
    Error { code: Option<u32>, sqlstate: Option<String>, message: String },
}

/// All assumptions, in their order.
pub(super) fn load() -> Result<Vec<Assumption>> {
    let file: File = toml::from_str(TABLE).context("failed to parse sql/snowflake/conformance.toml")?;
    let mut names = BTreeSet::new();
    for assumption in &file.assumption {
        ensure!(names.insert(&assumption.name), "{} is assumed twice", assumption.name);
    }
    Ok(file.assumption)
}

/// The scratch schemas of one run, and the names that the statements of the table mention.
#[derive(Debug)]
pub(super) struct Scratch {
    id: String,
    database: String,
    /// The replacement of each placeholder in a statement.
    names: Vec<(&'static str, String)>,
    /// Text that is never shown, with its replacement.
    private: Vec<(String, &'static str)>,
}

impl Scratch {
    pub(super) fn new(warehouse: &dyn Warehouse, place: &Place) -> Result<Self> {
        let Place::Snowflake { login, .. } = place else { anyhow::bail!("conformance is about Snowflake") };
        let id: String = uuid::Uuid::now_v7().simple().to_string().chars().rev().take(10).collect();
        let id = id.to_uppercase();
        let database = quote(&warehouse.database());
        let schema = |suffix: &str| format!("{database}.{}", quote(&format!("{PREFIX}{id}{suffix}")));
        let role = quote(&crate::core::policy::role_name(&login.role));
        let names = vec![
            ("{schema}", schema("")),
            ("{other}", schema("_B")),
            ("{third}", schema("_C")),
            ("{dbt}", schema("_D")),
            ("{long_text}", "x".repeat(2001)),
            ("{name}", format!("{PREFIX}{id}")),
            ("{database}", database.clone()),
            ("{role}", role),
            ("{warehouse}", quote(&crate::core::policy::role_name(&login.warehouse))),
        ];
        let private = [
            (login.account.clone(), "ACCOUNT"),
            (login.user.clone().unwrap_or_default(), "USER"),
            (login.role.clone(), "ROLE"),
            (login.warehouse.clone(), "WAREHOUSE"),
            (warehouse.database(), "DATABASE"),
            (login.host.clone().unwrap_or_default(), "HOST"),
            (id.clone(), "ID"),
        ];
        let private = private.into_iter().filter(|(text, _)| !text.is_empty()).collect();
        Ok(Self { id, database, names, private })
    }

    /// The name of {dbt} as an environment's, from which dbt makes the schema.
    pub(super) fn dbt_schema(&self) -> String {
        format!("{PREFIX}{}_D", self.id).to_lowercase()
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Make the first schema; the comment says until when the run may last.
    pub(super) fn create(&self, warehouse: &mut dyn Warehouse) -> Result<()> {
        let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
        let comment =
            serde_json::json!({"tool": "xtask", "conformance": self.id, "expires_at": expires.to_string()});
        let sql = self.fill(&format!(
            "create transient schema {{schema}} data_retention_time_in_days = 0 comment = {}",
            literal(&comment.to_string())
        ));
        warehouse.query(&sql).with_context(|| {
            format!(
                "failed to create a scratch schema in {}; the role needs CREATE SCHEMA on it",
                self.database
            )
        })?;
        Ok(())
    }

    pub(super) fn fill(&self, statement: &str) -> String {
        let fill = |text: String, (mark, name): &(&str, String)| text.replace(mark, name);
        self.names.iter().fold(statement.to_owned(), fill)
    }

    /// The text without names of the account, and without what identifies a query or a machine.
    pub(super) fn redact(&self, text: &str) -> String {
        static TRACES: LazyLock<Option<Regex>> = LazyLock::new(|| {
            let id = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
            let address = r"\b\d{1,3}(?:\.\d{1,3}){3}\b";
            Regex::new(&format!("{id}|{address}")).ok()
        });
        let text = self.private.iter().fold(text.to_owned(), |text, (name, shown)| {
            let text = text.replace(name.as_str(), shown);
            text.replace(&name.to_uppercase(), shown)
        });
        TRACES.as_ref().map_or_else(|| text.clone(), |traces| traces.replace_all(&text, "TRACE").into_owned())
    }
}

impl Assumption {
    /// The answer of the statement here.
    pub(super) fn try_on(&self, scratch: &Scratch, warehouse: &mut dyn Warehouse) -> Observed {
        let is_error = |observed: &Observed| matches!(observed, Observed::Error { .. });
        let mut sent = self.before.iter().map(|statement| ask(&scratch.fill(statement), warehouse));
        let failed = sent.find(is_error);
        let observed = failed.map_or_else(
            || ask(&scratch.fill(&self.statement), warehouse),
            |error| Observed::error(format!("before it: {}", error.text())),
        );
        let ended = self.after.iter().map(|statement| ask(&scratch.fill(statement), warehouse));
        for error in ended.filter(is_error) {
            tracing::warn!("after {}: {}", self.name, error.text());
        }
        observed
    }

    /// Whether an answer is the expected one.
    pub(super) fn is_met_by(&self, observed: &Observed, scratch: &Scratch) -> bool {
        self.expected.is_met_by(observed, scratch)
    }

    pub(super) fn expected(&self) -> String {
        match &self.expected {
            Expected::Rows(rows) => serde_json::to_string(rows).unwrap_or_default(),
            Expected::Type(kind) => format!("a {kind}"),
            Expected::Error { sqlstate, code: Some(code) } => format!("error {code:06} ({sqlstate})"),
            Expected::Error { sqlstate, code: None } => format!("an error ({sqlstate})"),
            Expected::Succeeds(true) => "success".to_owned(),
            Expected::Succeeds(false) => "an error".to_owned(),
        }
    }
}

fn ask(sql: &str, warehouse: &mut dyn Warehouse) -> Observed {
    static CODE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(\d{6}) \((\w{5})\)").ok());
    match warehouse.query(sql) {
        Ok(rows) => Observed::Rows(rows),
        Err(error) => {
            let message = error.root_cause().to_string().lines().next().unwrap_or_default().to_owned();
            let whole = format!("{error:#}");
            let found = CODE.as_ref().and_then(|pattern| pattern.captures(&whole));
            let code = found.as_ref().and_then(|found| found[1].parse().ok());
            let sqlstate = found.map(|found| found[2].to_owned());
            Observed::Error { code, sqlstate, message }
        }
    }
}

impl Expected {
    fn is_met_by(&self, observed: &Observed, scratch: &Scratch) -> bool {
        match (self, observed) {
            (Self::Rows(rows), Observed::Rows(found)) => {
                let wanted = serde_json::to_value(rows).unwrap_or_default();
                let wanted = scratch.fill(&wanted.to_string());
                let found: Vec<Value> = found.iter().map(|row| Value::Object(row.clone())).collect();
                serde_json::from_str::<Value>(&wanted).is_ok_and(|wanted| same(&wanted, &Value::Array(found)))
            }
            (Self::Type(wanted), Observed::Rows(found)) => {
                found.first().and_then(|row| row.values().next()).is_some_and(|value| kind(value) == wanted)
            }
            (Self::Error { sqlstate, code }, Observed::Error { code: found, sqlstate: state, .. }) => {
                state.as_ref() == Some(sqlstate) && code.is_none_or(|code| *found == Some(code))
            }
            (Self::Succeeds(succeeds), observed) => *succeeds == matches!(observed, Observed::Rows(_)),
            _ => false,
        }
    }
}

/// Equal, with whole and fractional numbers of one value the same and `"(null)"` for null, which TOML lacks.
fn same(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(wanted, found)| same(wanted, found))
        }
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.len() == found.len()
                && wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| same(wanted, found)))
        }
        (Value::String(text), Value::Null) => text == "(null)",
        (Value::Number(wanted), Value::Number(found)) => {
            wanted == found
                || wanted.as_f64().zip(found.as_f64()).is_some_and(|(a, b)| a.to_bits() == b.to_bits())
        }
        _ => wanted == found,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        _ => "text",
    }
}

impl Observed {
    /// An answer that is not Snowflake's.
    pub(super) fn error(message: String) -> Self {
        Self::Error { code: None, sqlstate: None, message }
    }

    pub(super) fn redacted(self, scratch: &Scratch) -> Self {
        match self {
            Self::Rows(rows) => {
                let text = scratch.redact(&serde_json::to_string(&rows).unwrap_or_default());
                Self::Rows(serde_json::from_str(&text).unwrap_or_default())
            }
            Self::Error { code, sqlstate, message } => {
                Self::Error { code, sqlstate, message: scratch.redact(&message) }
            }
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Rows(rows) => serde_json::to_string(rows).unwrap_or_default(),
            Self::Error { message, .. } => message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_recorded_without_traces_of_the_account() {
        let private = vec![("my-acc".to_owned(), "ACCOUNT"), ("Ana".to_owned(), "USER")];
        let scratch = Scratch { id: "X".into(), database: "\"D\"".into(), names: Vec::new(), private };
        assert_eq!(
            scratch.redact(
                "Query 01b2c3d4-0000-1111-2222-333344445555 of ANA at 10.0.0.1 in MY-ACC: 1.5 of 2.0"
            ),
            "Query TRACE of USER at TRACE in ACCOUNT: 1.5 of 2.0"
        );
    }

    #[test]
    fn the_table_is_whole() {
        let all = load().expect("the table");
        assert!(all.len() >= 60, "{} assumptions", all.len());
        for group in
            ["identity", "schema", "clone", "grants", "privileges", "rows", "metadata", "numbers", "dbt"]
        {
            assert!(all.iter().any(|one| one.group == group), "{group}");
        }
    }

    #[test]
    fn answers_are_compared_by_value_and_type() {
        let rows = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert!(same(&rows(r#"[{"a": 1, "b": "(null)"}]"#), &rows(r#"[{"a": 1.0, "b": null}]"#)));
        for other in [r#"[{"a": "1"}]"#, r#"[{"a": 1, "b": 2}]"#, "[]", r#"[{"a": 1}, {"a": 1}]"#] {
            assert!(!same(&rows(r#"[{"a": 1}]"#), &rows(other)), "{other}");
        }
    }
}
