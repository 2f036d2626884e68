//! The columns of an environment's relations, as the warehouse has them, and how a run records them.
//!
//! A run keeps them with each relation that it measures, as JSON in one column: a change of a schema is then two texts
//! that differ, and a ledger of thousands of runs stays small.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::core::environment::Name;
use crate::warehouse::{self, Dialect, Warehouse, literal, quote};

/// A column with its type in the engine's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) data_type: String,
}

/// The columns of the relations of an environment.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// The database and the schema that the environment is.
    pub(crate) database: String,
    own: String,
    /// By schema and relation in lower case.
    all: BTreeMap<(String, String), Vec<Column>>,
}

impl Columns {
    pub(crate) fn new(database: &str, own: &str) -> Self {
        Self { database: database.to_owned(), own: own.to_lowercase(), all: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, schema: &str, relation: &str, column: Column) {
        self.all.entry((schema.to_lowercase(), relation.to_lowercase())).or_default().push(column);
    }

    /// Of a relation in a schema.
    pub(crate) fn get(&self, schema: &str, relation: &str) -> Option<&[Column]> {
        self.all.get(&(schema.to_lowercase(), relation.to_lowercase())).map(Vec::as_slice)
    }

    /// Of a relation as environments show it: one of a further schema has that in front.
    pub(crate) fn shown(&self, relation: &str) -> Option<&[Column]> {
        self.get(&self.own, relation).or_else(|| {
            let (schema, relation) = relation.split_once('.')?;
            self.get(schema, relation)
        })
    }

    /// What a run records of a relation.
    pub(crate) fn recorded(&self, relation: &str) -> Option<String> {
        let columns = self.shown(relation)?;
        let all: Vec<(&str, &str)> =
            columns.iter().map(|column| (column.name.as_str(), column.data_type.as_str())).collect();
        serde_json::to_string(&all).ok()
    }
}

/// What a run recorded of a relation, column by column.
pub(crate) fn parse(recorded: &str) -> Option<Vec<Column>> {
    let all: Vec<(String, String)> = serde_json::from_str(recorded).ok()?;
    Some(all.into_iter().map(|(name, data_type)| Column { name, data_type }).collect())
}

/// Read them. `further` are the schemas of the environment beside its own one, if they are known.
pub(crate) fn read<'a>(
    warehouse: &mut dyn Warehouse,
    name: &Name,
    further: impl IntoIterator<Item = &'a str>,
) -> Result<Columns> {
    #[derive(Deserialize)]
    struct Found {
        schema_name: String,
        relation_name: String,
        column_name: String,
        data_type: String,
    }
    warehouse.focus(name);
    let own = warehouse.own_schema(name);
    let mut schemas: BTreeSet<String> = further.into_iter().map(str::to_lowercase).collect();
    schemas.insert(own.to_lowercase());
    let schemas: Vec<String> = schemas.iter().map(|schema| literal(schema)).collect();
    // DuckDB has one catalogue of all databases, Snowflake one in each.
    let place = match warehouse.dialect() {
        Dialect::DuckDb => "information_schema.columns".to_owned(),
        Dialect::Snowflake => format!("{}.information_schema.columns", quote(&warehouse.database())),
    };
    let sql = format!(
        "select lower(table_schema) as schema_name, lower(table_name) as relation_name, column_name, data_type \
         from {place} where lower(table_schema) in ({}) order by schema_name, relation_name, ordinal_position",
        schemas.join(", ")
    );
    let found: Vec<Found> = warehouse::records(warehouse, &sql).context("failed to read the columns")?;
    let mut columns = Columns::new(&warehouse.database_of(name), &own);
    for each in found {
        let column = Column { name: each.column_name, data_type: each.data_type };
        columns.add(&each.schema_name, &each.relation_name, column);
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_records_can_be_read_again() {
        let mut columns = Columns::new("db", "MAIN");
        let column = |name: &str, data_type: &str| Column { name: name.into(), data_type: data_type.into() };
        columns.add("main", "Orders", column("id", "BIGINT"));
        columns.add("main", "orders", column("say \"hi\"\n", "DECIMAL(18,2)"));
        columns.add("issue_1_raw", "orders", column("other", "DATE"));
        let recorded = columns.recorded("ORDERS").expect("recorded");
        assert_eq!(
            parse(&recorded).expect("read"),
            [column("id", "BIGINT"), column("say \"hi\"\n", "DECIMAL(18,2)")]
        );
        assert_eq!(columns.shown("issue_1_raw.orders").expect("shown"), [column("other", "DATE")]);
        assert_eq!((columns.recorded("unknown"), parse("no JSON")), (None, None));
    }
}
