//! The marks and the last runs of many environments, in one query each.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::state::{comment_mark, evidence};
use super::{MARK, Status, ledger};
use crate::core::environment::{self, Droppable, Evidence, Name, Refusal};
use crate::warehouse::{Contents, Row, Surveyed, Warehouse, literal};

/// What several environments say of themselves, in as few questions as one does.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    /// The schema that each mark names, keyed by the schema that contains the mark.
    pub(crate) marks: BTreeMap<String, String>,
    pub(crate) last_runs: BTreeMap<String, LastRun>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct LastRun {
    pub(crate) last_run_id: String,
    pub(crate) last_run_at: DateTime,
    pub(crate) last_status: Status,
}

impl Overview {
    /// Of the schemas in `found`.
    pub(crate) fn read(warehouse: &mut dyn Warehouse, found: &BTreeMap<String, Surveyed>) -> Result<Self> {
        let holding = |table: &str| -> Vec<&str> {
            let holds = |of: &Surveyed| of.contents.relations.iter().any(|relation| relation == table);
            found.iter().filter(|(_, of)| holds(of)).map(|(name, _)| name.as_str()).collect()
        };
        let mark = |schema: &str, warehouse: &dyn Warehouse| {
            format!(
                "select {} as of_schema, schema_name as marked_for from {}",
                literal(schema),
                warehouse.qualified(&ledger(schema, MARK))
            )
        };
        let run = |schema: &str, warehouse: &dyn Warehouse| {
            format!(
                "select of_schema, run_id, started_at, status from (select {0} as of_schema, run_id, started_at, status \
                 from {1} where schema_name = {0} order by started_at desc limit 1) as newest",
                literal(schema),
                warehouse.qualified(&ledger(schema, "ledger_runs"))
            )
        };
        let mut overview = Self::default();
        let marks: Vec<String> = holding(MARK).into_iter().map(|schema| mark(schema, warehouse)).collect();
        for (of_schema, row) in keyed(warehouse, &marks)? {
            overview.marks.insert(of_schema, serde_json::from_value(row["marked_for"].clone())?);
        }
        let runs: Vec<String> =
            holding("ledger_runs").into_iter().map(|schema| run(schema, warehouse)).collect();
        for (of_schema, row) in keyed(warehouse, &runs)? {
            let last = LastRun {
                last_run_id: serde_json::from_value(row["run_id"].clone())?,
                last_run_at: serde_json::from_value(row["started_at"].clone())?,
                last_status: serde_json::from_value(row["status"].clone())?,
            };
            overview.last_runs.insert(of_schema, last);
        }
        Ok(overview)
    }
}

impl Overview {
    /// Whether an environment of the registry, whose schema holds what `contents` says, could be dropped.
    pub(crate) fn prove_droppable(
        &self,
        warehouse: &dyn Warehouse,
        name: Name,
        contents: Option<&Contents>,
        other: Option<&str>,
    ) -> Result<Droppable, Refusal> {
        let comment = comment_mark(warehouse, contents);
        let shown = Evidence {
            marked_for: self.marks.get(name.as_str()).map(String::as_str),
            comment: evidence(comment.as_ref()),
            registered: true,
            other,
        };
        environment::prove_droppable(name, shown)
    }
}

/// The rows of all `selects` in one query, each with its `of_schema`.
fn keyed(warehouse: &mut dyn Warehouse, selects: &[String]) -> Result<Vec<(String, Row)>> {
    if selects.is_empty() {
        return Ok(Vec::new());
    }
    let rows = warehouse.query(&selects.join("\nunion all\n"))?;
    let schema =
        |row: &Row| row.get("of_schema").and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    Ok(rows.into_iter().map(|row| (schema(&row), row)).collect())
}
