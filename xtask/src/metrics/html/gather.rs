//! The data of the page that is not in the report: the lineage of the project's models, the thread that built
//! each node, and the business panels of `policies/report.toml`.
//!
//! dbt's artifacts are on the machine that built last, so they may be missing or belong to another run. The
//! page then says so and still shows the ledger's data.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use jiff::civil::DateTime;
use serde_json::Value;

use super::grid::{Cell, Column, Grid, Unit, Words};
use super::policy::{Panel, Policy};
use crate::core::environment::Name;
use crate::dbt::artifacts::{Manifest, RunResults};
use crate::metrics::columns;
use crate::metrics::model::{Report, RunNode};
use crate::metrics::owners::Owners;
use crate::system::repo::Repo;
use crate::warehouse::{Row, Table, Warehouse};

/// All that is gathered; [`super::render`] turns it into the page and reads nothing more.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(super) project: Project,
    /// dbt's thread of each node of the latest run.
    pub(super) threads: HashMap<String, String>,
    pub(super) business: Option<Business>,
    pub(super) words: Words,
}

#[derive(Debug, Default)]
pub(super) struct Project {
    /// What dbt builds or reads, without its tests; by id.
    pub(super) models: BTreeMap<String, Model>,
    /// The parents of each node, including tests.
    pub(super) parents: HashMap<String, Vec<String>>,
    /// The nodes that each test checks.
    pub(super) guarded: HashMap<String, Vec<String>>,
    /// Why the models' lineage is unknown.
    pub(super) reason: Option<String>,
    /// The columns of each node whose relation exists, in their order; by id.
    pub(super) columns: HashMap<String, Vec<Field>>,
}

/// A column with what it is made from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) data_type: String,
    /// The node or source and its column; `None` if that is not certain, or there is no SQL to follow.
    pub(super) from: Option<Vec<(String, String)>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) layer: Option<String>,
    pub(super) materialized: Option<String>,
    pub(super) path: Option<String>,
    pub(super) description: String,
    pub(super) owner: Option<String>,
    pub(super) tags: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Business {
    pub(super) title: String,
    pub(super) lead: String,
    pub(super) answers: Vec<Answer>,
}

/// A panel with the result of its query, or the reason why it has no result.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) panel: Panel,
    pub(super) grid: Result<Grid, String>,
}

/// Read the artifacts of the environment that `report` is about, and ask the warehouse for the panels.
pub(crate) fn gather(repo: &Repo, warehouse: &mut dyn Warehouse, report: &Report) -> Result<Extra> {
    let environment = report
        .environment
        .as_deref()
        .or_else(|| report.latest_run.rows.first().map(|node| node.environment.as_str()))
        .and_then(|name| name.parse::<Name>().ok());
    let (project, threads) = read_project(repo, warehouse, environment.as_ref(), &report.latest_run.rows)?;
    let policy = Policy::load(&repo.policies())?;
    let currency = policy.as_ref().and_then(|policy| policy.currency.clone());
    let words = Words { currency: currency.or_else(|| report.currency.clone()) };
    let business =
        policy.map(|policy| ask_all(warehouse, policy, environment.as_ref(), &project)).transpose()?;
    Ok(Extra { project, threads, business, words })
}

fn read_project(
    repo: &Repo,
    warehouse: &mut dyn Warehouse,
    environment: Option<&Name>,
    latest: &[RunNode],
) -> Result<(Project, HashMap<String, String>)> {
    let without = |reason: String| (Project { reason: Some(reason), ..Project::default() }, HashMap::new());
    let Some(environment) = environment else {
        return Ok(without("no environment has been built yet".to_owned()));
    };
    let Ok(project) = repo.dbt_project() else {
        return Ok(without("this repository holds no dbt project".to_owned()));
    };
    let target = project.join("target").join(environment.as_str());
    let Some(manifest) = Manifest::read(&target)? else {
        let file = repo.relative(&target).join("manifest.json");
        return Ok(without(format!(
            "{} is not on this machine, so the lineage is unknown; `cargo xtask elt --schema \
             {environment}` writes it",
            file.display()
        )));
    };
    let threads = RunResults::read(&target)?.map(|results| threads_of(&results, latest)).unwrap_or_default();
    let mut project = project_of(&manifest, &Owners::read(&target)?);
    project.columns = fields_of(warehouse, environment, &manifest).unwrap_or_else(|error| {
        tracing::warn!("the page shows no columns: {error:#}");
        HashMap::new()
    });
    Ok((project, threads))
}

/// The columns of what the project builds, as the environment has them, and what each is made from.
fn fields_of(
    warehouse: &mut dyn Warehouse,
    environment: &Name,
    manifest: &Manifest,
) -> Result<HashMap<String, Vec<Field>>> {
    let dialect = warehouse.dialect();
    let found = columns::read(warehouse, environment, Some(manifest))?;
    let catalog = columns::catalog(&found, manifest);
    let mut fields = HashMap::new();
    for (id, node) in manifest.all() {
        let Some(own) = columns::of(&found, manifest, id) else { continue };
        let names: Vec<String> = own.iter().take(MOST_FIELDS).map(|column| column.name.clone()).collect();
        let mut lineage = node.compiled_code.as_deref().map(|sql| catalog.follow(id, sql, dialect, &names));
        let of_node = own.iter().take(MOST_FIELDS).map(|column| Field {
            name: column.name.clone(),
            data_type: column.data_type.clone(),
            from: lineage
                .as_mut()
                .and_then(|lineage| lineage.columns.remove(&column.name))
                .map(|inputs| inputs.into_keys().map(|input| (input.id, input.column)).collect()),
        });
        fields.insert(id.to_owned(), of_node.collect());
    }
    Ok(fields)
}

/// Columns of a relation that the page keeps.
const MOST_FIELDS: usize = 300;

fn project_of(manifest: &Manifest, owners: &Owners) -> Project {
    let mut project = Project::default();
    for (id, node) in manifest.all() {
        project.parents.insert(id.to_owned(), manifest.parents(id).to_vec());
        if matches!(node.resource_type.as_str(), "test" | "unit_test") {
            project
                .guarded
                .insert(id.to_owned(), manifest.guarded(id).into_iter().map(str::to_owned).collect());
        } else if matches!(node.resource_type.as_str(), "model" | "seed" | "snapshot") {
            let model = Model {
                name: node.name.clone(),
                kind: node.resource_type.clone(),
                layer: manifest.layer(id).map(str::to_owned),
                materialized: manifest.materialized(id).map(str::to_owned),
                path: Some(node.original_file_path.clone()),
                description: node.description.clone(),
                owner: owners.of(id),
                tags: node.tags().into_iter().map(str::to_owned).collect(),
            };
            project.models.insert(id.to_owned(), model);
        }
    }
    for (id, source) in &manifest.sources {
        let model = Model {
            name: source.identifier.clone(),
            kind: "source".to_owned(),
            description: format!("Read from the schema {}; not built by this project.", source.schema),
            ..Model::default()
        };
        project.models.insert(id.clone(), model);
    }
    project
}

/// The threads of the latest run, if dbt's results belong to that run.
fn threads_of(results: &RunResults, latest: &[RunNode]) -> HashMap<String, String> {
    let began = latest.iter().filter_map(|node| Some((node.node_id.as_str(), node.started_at?)));
    if !is_of_run(results, began) {
        return HashMap::new();
    }
    let named = |result: &crate::dbt::artifacts::RunResult| {
        Some((result.unique_id.clone(), result.thread_id.clone()?))
    };
    results.results.iter().filter_map(named).collect()
}

/// Whether dbt's results are of the run whose nodes `began` then: the same node at the very same microsecond.
pub(in crate::metrics) fn is_of_run<'a>(
    results: &RunResults,
    began: impl Iterator<Item = (&'a str, DateTime)>,
) -> bool {
    let began: HashMap<&str, String> =
        began.map(|(id, at)| (id, at.strftime("%FT%T%.6f").to_string())).collect();
    results.results.iter().any(|result| {
        began.get(result.unique_id.as_str()).is_some_and(|known| {
            result.started_at().is_some_and(|at| at.trim_end_matches('Z').trim_end_matches("+00:00") == known)
        })
    })
}

/// A panel about models that the project does not have is left out: it is about another project.
fn ask_all(
    warehouse: &mut dyn Warehouse,
    policy: Policy,
    environment: Option<&Name>,
    project: &Project,
) -> Result<Business> {
    let standing = match environment {
        Some(name) => warehouse.relation_names(name.as_str())?.unwrap_or_default(),
        None => Vec::new(),
    };
    let exists = |table: &String| standing.iter().any(|known| known.eq_ignore_ascii_case(table));
    let is_built_here = |table: &String| {
        project.models.is_empty()
            || project.models.values().any(|model| model.name.eq_ignore_ascii_case(table))
    };
    let panels: Vec<Panel> = policy
        .panels
        .into_iter()
        .filter(|panel| panel.needs.iter().all(|table| exists(table) || is_built_here(table)))
        .collect();
    let answers = panels.into_iter().map(|panel| {
        let grid = match environment {
            Some(name) => ask(warehouse, &panel, name, &standing),
            None => Err("No environment has been built yet: `cargo xtask elt --schema issue_42` builds one."
                .to_owned()),
        };
        Answer { panel, grid }
    });
    Ok(Business { title: policy.title, lead: policy.lead, answers: answers.collect() })
}

fn ask(
    warehouse: &mut dyn Warehouse,
    panel: &Panel,
    name: &Name,
    standing: &[String],
) -> Result<Grid, String> {
    let exists = |table: &String| standing.iter().any(|known| known.eq_ignore_ascii_case(table));
    if let Some(missing) = panel.needs.iter().find(|table| !exists(table)) {
        return Err(format!(
            "{missing} does not exist in {name}: `cargo xtask elt --schema {name}` builds it."
        ));
    }
    let sql = panel.sql.replace("{schema}", &schema_of(warehouse, name));
    match warehouse.query(&sql) {
        Ok(rows) => grid_of(panel, &rows),
        Err(error) => {
            tracing::warn!("the panel {:?} of policies/report.toml: {error:#}", panel.id);
            Err(format!("The query of this panel failed: {error:#}"))
        }
    }
}

/// The schema's qualified name, which prefixes each of its tables. No name contains a dot.
fn schema_of(warehouse: &dyn Warehouse, name: &Name) -> String {
    let table = warehouse.qualified(&Table::new(name.as_str(), "any"));
    table.rsplit_once('.').map_or_else(String::new, |(schema, _)| schema.to_owned())
}

/// The answer's rows by the columns that the policy names; the case of names differs between engines.
fn grid_of(panel: &Panel, rows: &[Row]) -> Result<Grid, String> {
    let columns = panel.columns.iter().map(|column| Column::new(column.label.clone(), column.unit)).collect();
    let mut grid = Grid { columns, rows: Vec::with_capacity(rows.len()) };
    for row in rows {
        let find =
            |name: &str| row.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let cells = panel.columns.iter().map(|column| {
            find(&column.name).map(|value| cell(value, column.unit)).ok_or_else(|| {
                format!(
                    "The query of this panel returns no column {:?}: policies/report.toml names it.",
                    column.name
                )
            })
        });
        grid.rows.push(cells.collect::<Result<_, _>>()?);
    }
    Ok(grid)
}

/// Exact decimals and large sums come as text, so as not to lose digits.
fn cell(value: &Value, unit: Unit) -> Cell {
    let is_word = matches!(unit, Unit::Text | Unit::Day | Unit::Moment | Unit::Status);
    match value {
        Value::Null => Cell::Unknown("the query returns null".to_owned()),
        Value::String(text) if is_word => Cell::text(text.clone()),
        Value::String(text) => Cell::number(text.parse().ok(), "the query does not return a number"),
        Value::Number(number) if !is_word => {
            Cell::number(number.as_f64(), "the query does not return a number")
        }
        other => Cell::text(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_columns_match_by_name_ignoring_case() {
        let panel: Panel = toml::from_str(
            "id = 'a'\ntitle = 'A'\nkind = 'table'\nsql = ''\ncolumns = [{name = 'class', label = 'Class'}, \
             {name = 'value', label = 'Value', unit = 'money'}]",
        )
        .expect("a panel");
        let row = |text: &str| serde_json::from_str::<Row>(text).expect("a row");
        let rows = [row(r#"{"VALUE": "12.50", "CLASS": "A"}"#), row(r#"{"value": null, "class": "B"}"#)];
        let grid = grid_of(&panel, &rows).expect("a grid");
        assert_eq!(grid.rows[0], [Cell::text("A"), Cell::Number(12.5)]);
        assert_eq!(grid.rows[1][1].value(), None);

        let said = grid_of(&panel, &[row(r#"{"class": "A"}"#)]).expect_err("a missing column");
        assert!(said.contains("\"value\""), "{said}");
    }
}
