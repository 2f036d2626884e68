//! The project section of the page: its models by layer, the status of each in the latest run, and the record
//! of every node that the script shows on a click.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::figure::{Figure, tone};
use super::gather::{Extra, Model, Project};
use super::graph::{self, Layout, Vertex};
use super::grid::{Cell, Grid, Unit, Words, float, many};
use super::markup::{coordinate as c, escape};
use crate::dbt::artifacts::layer_rank;
use crate::metrics::model::{Report, RunNode};

/// The picture's measures, in pixels.
const NODE_HEIGHT: f64 = 38.0;
const ROW: f64 = 46.0;
/// Between two columns.
const GAP: f64 = 34.0;
/// Room that the page gives the picture on a wide screen: columns share it as far as names allow.
const ROOM: f64 = 1132.0;
const NARROWEST: f64 = 158.0;
const WIDEST: f64 = 220.0;
/// Width of a printed page.
const PAPER: f64 = 640.0;
/// Room for the layers' names.
const HEADING: f64 = 36.0;
/// Characters of a description that the page keeps: the first of them state the grain.
const DESCRIPTION: usize = 400;
/// Characters of a message that the page keeps.
const MESSAGE: usize = 1000;

/// A node as the script reads it. Short names, since a project has thousands; what is not known is left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Record {
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "k")]
    kind: String,
    #[serde(rename = "l", skip_serializing_if = "Option::is_none")]
    layer: Option<String>,
    #[serde(rename = "m", skip_serializing_if = "Option::is_none")]
    materialized: Option<String>,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    /// How long it took, in words.
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    took: Option<String>,
    /// How long after the first node it began, in words.
    #[serde(rename = "b", skip_serializing_if = "Option::is_none")]
    pub(super) began: Option<String>,
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    rows: Option<String>,
    #[serde(rename = "f", skip_serializing_if = "Option::is_none")]
    failures: Option<i64>,
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(rename = "d", skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(rename = "g", skip_serializing_if = "Option::is_none")]
    tags: Option<String>,
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Its columns: name, type, and what it is made from, or null if that is not certain.
    #[serde(rename = "c", skip_serializing_if = "Vec::is_empty")]
    columns: Vec<(String, String, Option<Vec<String>>)>,
    /// Positions of its parents.
    #[serde(rename = "u", skip_serializing_if = "Vec::is_empty")]
    parents: Vec<usize>,
    /// Positions of the tests that check it.
    #[serde(rename = "x", skip_serializing_if = "Vec::is_empty")]
    tests: Vec<usize>,
}

/// Every node of the page: models first, in the picture's order, then tests.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) records: Vec<Record>,
    pub(super) places: HashMap<String, usize>,
    models: usize,
    layers: Vec<String>,
    layer_of: Vec<usize>,
}

impl Nodes {
    pub(super) fn new(report: &Report, extra: &Extra) -> Self {
        let latest: HashMap<&str, &RunNode> =
            report.latest_run.rows.iter().map(|node| (node.node_id.as_str(), node)).collect();
        let rows: HashMap<&str, i64> = report
            .relations
            .rows
            .iter()
            .filter(|relation| {
                latest.values().next().is_none_or(|node| node.environment == relation.environment)
            })
            .filter_map(|relation| Some((relation.relation_name.as_str(), relation.row_count?)))
            .collect();
        let models = models_of(&extra.project, &latest);
        let mut layers: Vec<String> = models.iter().map(|(_, model)| heading(model)).collect();
        layers.sort_by(|a, b| (rank(a), a).cmp(&(rank(b), b)));
        layers.dedup();
        let layer_of =
            models.iter().map(|(_, m)| layers.iter().position(|l| *l == heading(m)).unwrap_or(0)).collect();

        let mut nodes = Self {
            records: Vec::new(),
            places: models.iter().enumerate().map(|(i, (id, _))| (id.clone(), i)).collect(),
            models: models.len(),
            layers,
            layer_of,
        };
        for (id, model) in &models {
            let run = latest.get(id.as_str()).copied();
            let mut record = record(&model.name, &model.kind, run, &extra.words);
            record.layer = model.layer.clone().or(record.layer);
            record.materialized = model.materialized.clone().or(record.materialized);
            record.path = model.path.clone().or(record.path);
            record.owner = model.owner.as_deref().map(|owner| shortened(owner, DESCRIPTION));
            record.tags = (!model.tags.is_empty()).then(|| shortened(&model.tags.join(", "), DESCRIPTION));
            record.description = shortened(&model.description, DESCRIPTION);
            let counted = run.and_then(|run| run.rows).or_else(|| rows.get(model.name.as_str()).copied());
            record.rows = counted.map(|rows| extra.words.figure(float(rows), Unit::Count));
            record.columns = columns_of(&extra.project, id);
            let parents = extra.project.parents.get(id).into_iter().flatten();
            record.parents = parents.filter_map(|parent| nodes.places.get(parent).copied()).collect();
            nodes.records.push(record);
        }
        nodes.add_tests(report, &extra.project, &extra.words);
        nodes
    }

    fn add_tests(&mut self, report: &Report, project: &Project, words: &Words) {
        for node in report.latest_run.rows.iter().filter(|node| is_test(&node.kind)) {
            let place = self.records.len();
            let mut test = record(&node.name, &node.kind, Some(node), words);
            // The detail of a test shows its result; the paths of thousands of tests would only add to the
            // size.
            test.path = None;
            self.records.push(test);
            self.places.insert(node.node_id.clone(), place);
            for model in project.guarded.get(&node.node_id).into_iter().flatten() {
                if let Some(model) = self.places.get(model) {
                    self.records[*model].tests.push(place);
                }
            }
        }
    }

    /// The status of a model including its tests: a table that fails its tests is not healthy.
    fn health(&self, place: usize) -> (&'static str, String) {
        let record = &self.records[place];
        let failed = |test: &&usize| matches!(self.records[**test].status.as_deref(), Some("fail" | "error"));
        let warned = |test: &&usize| self.records[**test].status.as_deref() == Some("warn");
        match record.status.as_deref() {
            Some("error" | "fail") => ("is-fail", "error".to_owned()),
            _ if record.tests.iter().any(|test| failed(&test)) => ("is-fail", "tests failed".to_owned()),
            _ if record.tests.iter().any(|test| warned(&test)) => ("is-warn", "tests warn".to_owned()),
            Some(status) => (tone(status), status.to_owned()),
            None if record.kind == "source" => ("is-none", "source".to_owned()),
            None => ("is-none", "not run".to_owned()),
        }
    }

    fn tests_in_words(&self, place: usize) -> Option<String> {
        let tests = &self.records[place].tests;
        let passed =
            tests.iter().filter(|test| self.records[**test].status.as_deref() == Some("pass")).count();
        (!tests.is_empty()).then(|| format!("{passed} of {}", tests.len()))
    }
}

pub(super) fn is_test(kind: &str) -> bool {
    matches!(kind, "test" | "unit_test")
}

/// The project's models, sorted so that the same project is always the same picture; if dbt's manifest is
/// missing, those that the latest run built.
fn models_of(project: &Project, latest: &HashMap<&str, &RunNode>) -> Vec<(String, Model)> {
    let mut models: Vec<(String, Model)> = if project.models.is_empty() {
        let built = latest.values().filter(|node| !is_test(&node.kind));
        built
            .map(|node| {
                let model = Model {
                    name: node.name.clone(),
                    kind: node.kind.clone(),
                    layer: node.layer.clone(),
                    ..Model::default()
                };
                (node.node_id.clone(), model)
            })
            .collect()
    } else {
        // A source that no model reads is left out.
        let read: std::collections::HashSet<&str> =
            project.parents.values().flatten().map(String::as_str).collect();
        let shown =
            project.models.iter().filter(|(id, model)| model.kind != "source" || read.contains(id.as_str()));
        shown.map(|(id, model)| (id.clone(), model.clone())).collect()
    };
    models.sort_by(|a, b| (&a.1.name, &a.0).cmp(&(&b.1.name, &b.0)));
    models
}

/// The columns of a node; those of a model with the columns that they are made from.
fn columns_of(project: &Project, id: &str) -> Vec<(String, String, Option<Vec<String>>)> {
    let named = |(id, column): &(String, String)| {
        let name = project.models.get(id).map_or(id.as_str(), |model| model.name.as_str());
        format!("{name}.{column}")
    };
    let column = |field: &super::gather::Field| {
        let from = field.from.as_ref().map(|from| from.iter().map(named).collect());
        (field.name.clone(), field.data_type.clone(), from)
    };
    project.columns.get(id).into_iter().flatten().map(column).collect()
}

/// `412 of 430 columns are followed to what they are made from.`
fn followed(project: &Project) -> Option<String> {
    let is_made = |id: &&String| project.models.get(*id).is_some_and(|model| model.kind == "model");
    let fields: Vec<_> = project.columns.keys().filter(is_made).flat_map(|id| &project.columns[id]).collect();
    let known = fields.iter().filter(|field| field.from.is_some()).count();
    (!fields.is_empty())
        .then(|| format!(" {known} of {} columns are followed to what they are made from.", fields.len()))
}

fn record(name: &str, kind: &str, run: Option<&RunNode>, words: &Words) -> Record {
    Record {
        name: name.to_owned(),
        kind: kind.to_owned(),
        layer: run.and_then(|run| run.layer.clone()),
        materialized: run.and_then(|run| run.materialized.clone()),
        status: run.map(|run| run.status.clone()),
        took: run.and_then(|run| run.seconds).map(|seconds| words.figure(seconds, Unit::Seconds)),
        failures: run.and_then(|run| run.failures).filter(|failures| *failures > 0),
        path: run.and_then(|run| run.path.clone()),
        message: run.and_then(|run| run.message.as_deref()).map(|text| shortened(text, MESSAGE)),
        ..Record::default()
    }
}

fn shortened(text: &str, most: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The heading of a column of the picture.
fn heading(model: &Model) -> String {
    match (model.kind.as_str(), &model.layer) {
        ("source", _) | ("seed", None) => "inputs".to_owned(),
        (_, Some(layer)) => layer.clone(),
        _ => "other models".to_owned(),
    }
}

fn rank(heading: &str) -> usize {
    match heading {
        "inputs" => 0,
        "other models" => usize::MAX,
        layer => 1 + layer_rank(layer),
    }
}

/// The picture of all models, with the table behind it.
pub(super) fn figure(nodes: &Nodes, project: &Project, words: &Words) -> Figure {
    if nodes.models == 0 {
        let reason = project.reason.clone().unwrap_or_else(|| "the project has no models".to_owned());
        return Figure::missing("graph", "Models", reason);
    }
    let vertices: Vec<Vertex> = (0..nodes.models)
        .map(|i| Vertex { layer: nodes.layer_of[i], parents: nodes.records[i].parents.clone() })
        .collect();
    let layout = graph::layout(&vertices);
    let mut figure = Figure::drawn("graph", "Models", &table(nodes), words, draw(nodes, &layout)).wide();
    let edges: usize = vertices.iter().map(|vertex| vertex.parents.len()).sum();
    figure.summary =
        format!("{} models, seeds and sources in {} layers, {edges} links", nodes.models, nodes.layers.len());
    figure
        .legend(&[
            ("Built", "is-ok"),
            ("Warned", "is-warn"),
            ("Failed", "is-fail"),
            ("Skipped or not run", "is-skip"),
        ])
        .noting(format!(
            "Lineage by layer. Choose a model to see its SQL, columns, tests, rows and time.{}",
            followed(project).unwrap_or_default()
        ))
        .caveat(project.reason.clone())
}

fn draw(nodes: &Nodes, layout: &Layout) -> String {
    let node = ((ROOM + GAP) / many(layout.columns.max(1)) - GAP).clamp(NARROWEST, WIDEST).floor();
    let x = |column: usize| many(column) * (node + GAP);
    // Short columns are centred beside the tall ones.
    let mut heights = vec![0_usize; layout.columns];
    for place in &layout.places {
        heights[place.column] = heights[place.column].max(place.row + 1);
    }
    let y = |column: usize, row: usize| {
        HEADING + many(layout.rows - heights[column]) * ROW / 2.0 + many(row) * ROW
    };
    let width = x(layout.columns.max(1) - 1) + node;
    let height = HEADING + many(layout.rows) * ROW;

    let mut html = format!(
        r#"<div class="graph" style="width:{}px;height:{}px;--node:{}px;--fit:{}">"#,
        c(width),
        c(height),
        c(node),
        c((PAPER / width).min(1.0))
    );
    for (layer, column) in &layout.layers {
        let _infallible = write!(
            html,
            r#"<div class="layer" style="left:{}px"><bdi>{}</bdi></div>"#,
            c(x(*column)),
            escape(&nodes.layers[*layer])
        );
    }
    let _infallible = write!(
        html,
        r#"<svg class="edges" width="{}" height="{}" aria-hidden="true" focusable="false">"#,
        c(width),
        c(height)
    );
    for (i, place) in layout.places.iter().enumerate() {
        for parent in &nodes.records[i].parents {
            let from = layout.places[*parent];
            let (x1, y1) = (x(from.column) + node, y(from.column, from.row) + NODE_HEIGHT / 2.0);
            let (x2, y2) = (x(place.column), y(place.column, place.row) + NODE_HEIGHT / 2.0);
            let bend = ((x2 - x1) / 2.0).clamp(20.0, 90.0);
            let _infallible = write!(
                html,
                r#"<path class="edge" data-e="{parent} {i}" d="M{} {}C{} {} {} {} {} {}"/>"#,
                c(x1),
                c(y1),
                c(x1 + bend),
                c(y1),
                c(x2 - bend),
                c(y2),
                c(x2),
                c(y2)
            );
        }
    }
    html.push_str("</svg>");
    let mut order: Vec<usize> = (0..layout.places.len()).collect();
    order.sort_by_key(|i| (layout.places[*i].column, layout.places[*i].row));
    for (nth, i) in order.into_iter().enumerate() {
        let place = layout.places[i];
        let (tone, health) = nodes.health(i);
        let tests = nodes.tests_in_words(i);
        let said = tests.as_ref().map_or_else(String::new, |tests| format!(", {tests} tests passed"));
        // One tab stop for the whole picture; the arrow keys move within it.
        let stop = if nth == 0 { "0" } else { "-1" };
        let _infallible = write!(
            html,
            r#"<button type="button" class="node {tone}" data-i="{i}" data-c="{}" tabindex="{stop}" style="left:{}px;top:{}px"><bdi>{}</bdi><span class="sr">, {}{}</span></button>"#,
            place.column,
            c(x(place.column)),
            c(y(place.column, place.row)),
            // Long names break after an underscore.
            escape(&nodes.records[i].name).replace('_', "_<wbr>"),
            escape(&health),
            escape(&said)
        );
    }
    html.push_str("</div>");
    html
}

fn table(nodes: &Nodes) -> Grid {
    let mut grid = Grid::new(&[
        ("Model", Unit::Text),
        ("Layer", Unit::Text),
        ("Kind", Unit::Text),
        ("Status", Unit::Status),
        ("Tests passed", Unit::Text),
        ("Rows", Unit::Text),
        ("Time", Unit::Text),
        ("SQL", Unit::Text),
    ]);
    let known = |text: &Option<String>, why: &str| {
        text.as_ref().map_or_else(|| Cell::Unknown(why.to_owned()), |text| Cell::text(text.clone()))
    };
    for place in 0..nodes.models {
        let record = &nodes.records[place];
        let tests = nodes.tests_in_words(place);
        let is_source = record.kind == "source";
        grid.rows.push(vec![
            Cell::text(record.name.clone()),
            Cell::text(nodes.layers[nodes.layer_of[place]].clone()),
            Cell::text(record.materialized.as_ref().map_or_else(
                || record.kind.clone(),
                |materialized| format!("{} ({materialized})", record.kind),
            )),
            Cell::text(nodes.health(place).1),
            Cell::text(tests.unwrap_or_else(|| "none".to_owned())),
            known(
                &record.rows,
                if is_source { "sources are not counted" } else { "a view's rows are not counted" },
            ),
            known(&record.took, "not part of the latest run"),
            known(&record.path, "it has no separate file"),
        ]);
    }
    grid
}
