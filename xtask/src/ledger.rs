//! How the ledger beside the data and the registry of environments are read and written.
//!
//! Functions here either read, or return statements; applying them is the caller's decision.

pub(crate) mod columns;
mod overview;
mod owner;
mod provision;
mod registry;
mod runs;
mod state;

pub(crate) use crate::core::ledger::{
    MARK, Mark, MeasuredRelation, Node, Origin, Ours, Owner, REMOVED, Run, STATE, Status, has_nodes,
    holds_ledger, is_ledger, query_tag, tables, tag_in,
};
use crate::warehouse::Table;

pub(crate) use self::overview::{LastRun, Overview};
pub(crate) use self::owner::{others, refuse_others};
pub(crate) use self::provision::{Adopt, Need, drop_environment, ensure, refuse_newer};
pub(crate) use self::registry::{Condemned, condemn, condemned, environments, forget, spare};
pub(crate) use self::runs::{current_nodes, first_run, has_run, last_build, last_run, nodes_of, record, row};
pub(crate) use self::state::{Missing, State, missing};

fn ledger(schema: &str, table: &'static str) -> Table {
    Table::new(schema, table)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde::Serialize;

    use super::provision::{migrate, new_mark};
    use super::runs::query;
    use super::*;
    use crate::core::clock;
    use crate::core::environment::Name;
    use crate::warehouse::Warehouse as _;
    use crate::warehouse::duckdb::DuckDb;

    pub(super) fn mark(name: &str) -> Mark {
        new_mark(&name.parse().expect("a name"), None, &Origin::default(), Owner::default())
    }

    fn keys<T: Serialize>(record: &T) -> BTreeSet<String> {
        match serde_json::to_value(record).expect("JSON") {
            serde_json::Value::Object(row) => row.into_iter().map(|(key, _)| key).collect(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn records_have_the_columns_that_are_defined() {
        let run = Run {
            run_id: "r".into(),
            schema_name: "issue_1".into(),
            started_at: clock::now(),
            finished_at: None,
            status: Status::Success,
            seconds: None,
            dbt_seconds: None,
            dbt_started: true,
            up_to_date: false,
            fingerprint: None,
            selection: None,
            full_refresh: false,
            git_commit: None,
            git_branch: None,
            git_dirty: None,
            triggered_by: None,
            run_url: None,
            dbt_version: None,
            toolkit_version: "0".into(),
            message: None,
        };
        let node = Node {
            run_id: "r".into(),
            node_id: "n".into(),
            name: "n".into(),
            kind: "model".into(),
            layer: None,
            materialized: None,
            status: "success".into(),
            started_at: None,
            seconds: None,
            rows: None,
            failures: None,
            message: None,
            path: None,
        };
        let relation = MeasuredRelation {
            run_id: "r".into(),
            relation_name: "n".into(),
            relation_type: "table".into(),
            layer: None,
            row_count: None,
            bytes: None,
            measured_at: clock::now(),
            column_types: None,
        };
        let noted = Condemned { schema_name: "issue_1".into(), reason: "x".into(), noted_at: clock::now() };
        let written = [
            (tables::LEDGER[0], keys(&mark("issue_1"))),
            (tables::LEDGER[1], keys(&run)),
            (tables::LEDGER[2], keys(&node)),
            (tables::LEDGER[3], keys(&query("d", &run, &node))),
            (tables::LEDGER[4], keys(&relation)),
            (tables::REGISTRY[0], keys(&mark("issue_1"))),
            (tables::REGISTRY[1], keys(&noted)),
        ];
        for (table, keys) in written {
            let defined: BTreeSet<String> =
                table.columns.iter().map(|column| column.name.to_owned()).collect();
            assert_eq!(keys, defined, "{}", table.name);
        }
    }

    #[test]
    fn an_older_ledger_is_brought_to_this_version() {
        let name: Name = "issue_1".parse().expect("a name");
        let warehouse = DuckDb::new(Path::new("duckdb"), Path::new("none.duckdb"));
        let old = Mark { ledger_version: None, ..mark("issue_1") };
        let column = *tables::LEDGER[1].columns.last().expect("columns");
        let missing = vec![Missing { schema: "issue_1".into(), table: "ledger_runs", column }];
        let state = State { mark: Some(old), missing, ..State::default() };
        let sent = warehouse.script(&migrate(&warehouse, &name, &state, &state.missing));
        assert!(sent[0].contains("add column if not exists message varchar"), "{sent:?}");
        assert!(sent[1].contains("set ledger_version = 3") && sent.len() == 3, "{sent:?}");
        let current = State { mark: Some(mark("issue_1")), is_attributed: true, ..State::default() };
        assert!(migrate(&warehouse, &name, &current, &[]).is_empty());
    }
}
