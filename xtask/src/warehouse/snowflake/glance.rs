//! The environments as `show` lists them: Snowflake answers that without a warehouse, so a list resumes none.
//!
//! The comment of a schema says to which environment it belongs. The registry and the ledgers are tables, which only a
//! warehouse can read; while it is suspended, what they record is left out.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use jiff::civil::DateTime;
use serde_json::Value;

use super::statements::{Database, literal, marked_for, project_of, stored};
use super::{Snowflake, rows, text};
use crate::core::environment::{Name, is_named_after};
use crate::core::{ledger, policy};
use crate::warehouse::{Glance, Glimpse, Row, Warehouse as _};

/// `show` lists no more than that.
const SHOWN: usize = 10_000;

impl Snowflake {
    /// `None` if the warehouse runs, or if its state is unknown.
    pub(super) fn glanced(&mut self) -> Result<Option<Glance>> {
        let warehouse = policy::role_name(&self.settings.login.warehouse);
        let states = self.query(&show_warehouses(&warehouse))?;
        let is_asleep = |row: &Row| {
            text(row, "name").is_some_and(|name| name == warehouse)
                && text(row, "state").is_some_and(|state| state.to_uppercase().starts_with("SUSPEND"))
        };
        if !states.iter().any(is_asleep) {
            return Ok(None);
        }
        let [schemas, tables, views] = show_contents(&self.database);
        let schemas = self.query(&schemas)?;
        let (tables, views) = (self.query(&tables)?, self.query(&views)?);
        Ok(Some(Glance { warehouse, environments: of_environments(&schemas, &tables, &views)? }))
    }
}

fn show_warehouses(warehouse: &str) -> String {
    format!("show warehouses like {}", literal(warehouse))
}

pub(super) fn show_contents(database: &Database) -> [String; 3] {
    ["schemas", "tables", "views"]
        .map(|kind| format!("show {kind} in database {} limit {SHOWN}", database.quoted()))
}

/// The environments with what is in their schemas. Figures are unknown if `show` has cut its list off.
fn of_environments(schemas: &[Row], tables: &[Row], views: &[Row]) -> Result<BTreeMap<Name, Glimpse>> {
    let mut all: BTreeMap<Name, Glimpse> = BTreeMap::new();
    let mut owners: BTreeMap<String, Name> = BTreeMap::new();
    for row in schemas {
        let (Some(schema), Some(comment)) = (text(row, "name"), text(row, "comment")) else { continue };
        let Some(name) = marked_for(&comment).and_then(|marked| marked.parse::<Name>().ok()) else {
            continue;
        };
        if schema == stored(&name) {
            let created_at = text(row, "created_on").as_deref().and_then(instant);
            let created_at =
                created_at.with_context(|| format!("Snowflake did not show when {schema} was made"))?;
            let project = project_of(&comment);
            all.insert(name.clone(), Glimpse { created_at, project, relations: Some(0), bytes: Some(0) });
        } else if !is_named_after(&schema, name.as_str()) {
            continue;
        }
        owners.insert(schema, name);
    }
    for (row, is_table) in tables.iter().map(|row| (row, true)).chain(views.iter().map(|row| (row, false))) {
        let owner = text(row, "schema_name").and_then(|schema| owners.get(&schema));
        let Some(glimpse) = owner.and_then(|name| all.get_mut(name)) else { continue };
        let relation = rows::folded(&text(row, "name").unwrap_or_default());
        glimpse.relations = glimpse.relations.map(|count| count + usize::from(!ledger::is_ledger(&relation)));
        if is_table {
            glimpse.bytes = glimpse.bytes.zip(number(row, "bytes")).map(|(sum, more)| sum + more);
        }
    }
    if tables.len() >= SHOWN || views.len() >= SHOWN {
        for glimpse in all.values_mut() {
            (glimpse.relations, glimpse.bytes) = (None, None);
        }
    }
    Ok(all)
}

/// `show` has numbers as numbers or as text, by the version of the driver.
fn number(row: &Row, key: &str) -> Option<i64> {
    match row.get(key)? {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

/// `2026-01-02 03:04:05.678+00`, in UTC.
fn instant(text: &str) -> Option<DateTime> {
    text.strip_suffix("+00").unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        serde_json::from_value(value).expect("a row")
    }

    fn schema(name: &str, environment: &str) -> Row {
        let comment = json!({"tool": "xtask", "environment": environment}).to_string();
        row(json!({"name": name, "comment": comment, "created_on": "2026-01-02 03:04:05.678+00"}))
    }

    #[expect(clippy::needless_pass_by_value, reason = "each is made for one call")]
    fn table(schema: &str, name: &str, bytes: Value) -> Row {
        row(json!({"schema_name": schema, "name": name, "bytes": bytes}))
    }

    #[test]
    fn an_environment_is_its_marked_schemas() {
        let schemas = [
            schema("ISSUE_1", "issue_1"),
            schema("ISSUE_1_raw", "issue_1"),
            // A mark that was copied by hand, a schema without an environment, and those of others.
            schema("OTHER", "issue_1"),
            schema("ISSUE_9_RAW", "issue_9"),
            row(json!({"name": "PROD", "comment": "mine"})),
        ];
        let tables = [
            table("ISSUE_1", "FACTS", json!(10)),
            table("ISSUE_1", "LEDGER_RUNS", json!("5")),
            table("ISSUE_1_raw", "T", json!(1)),
            table("OTHER", "T", json!(100)),
            table("PROD", "T", json!(100)),
        ];
        let views = [table("ISSUE_1", "SEEN", Value::Null)];
        let found = of_environments(&schemas, &tables, &views).expect("environments");
        let name: Name = "issue_1".parse().expect("a name");
        assert_eq!(found.keys().collect::<Vec<_>>(), [&name]);
        let glimpse = &found[&name];
        assert_eq!((glimpse.relations, glimpse.bytes), (Some(3), Some(16)));
        assert_eq!(glimpse.created_at, "2026-01-02T03:04:05.678".parse().expect("a time"));

        let unknown = [table("ISSUE_1", "FACTS", Value::Null)];
        let unknown = of_environments(&schemas, &unknown, &[]).expect("environments");
        assert_eq!((unknown[&name].relations, unknown[&name].bytes), (Some(1), None));
        let cut: Vec<Row> = (0..SHOWN).map(|_| table("PROD", "T", json!(1))).collect();
        assert_eq!(of_environments(&schemas, &cut, &[]).expect("environments")[&name].relations, None);
        assert!(
            of_environments(&[row(json!({"name": "ISSUE_1", "comment": schemas[0]["comment"]}))], &[], &[])
                .is_err()
        );
    }
}
