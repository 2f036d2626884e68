//! `cargo xtask metrics --format html`: the report as one HTML page.
//!
//! One self-contained file: it opens by a double click, and its content security policy forbids all requests
//! and all scripts but its own. Charts are drawn here, so the page is complete without the script, which adds
//! pointer and keyboard interaction. [`gather`] reads the data that is not in the report, and [`render`]
//! makes the page from both and reads nothing.

mod answers;
mod business;
mod card;
mod chart;
mod figure;
mod gather;
mod graph;
mod grid;
mod load;
mod markup;
mod models;
mod pipeline;
pub(super) mod policy;
mod timeline;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::civil::DateTime;
use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use self::answers::Answer;
use self::card::Card;
use self::figure::{Figure, Table, tone};
pub(super) use self::gather::is_of_run;
pub(crate) use self::gather::{Extra, gather};
use self::grid::{Cell, Grid, Unit, Words};
use super::model::{self, AlertState, Report, Span, Status};

const TEMPLATE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// The variables of the template.
#[derive(Debug, Serialize)]
struct Page {
    subject: String,
    target: String,
    window: String,
    generated: String,
    version: String,
    health: Health,
    answers: [Answer; 3],
    overview: Vec<Card>,
    sections: Vec<Section>,
    watched: Table,
    provenance: Table,
    style: &'static str,
    script: &'static str,
    /// The hash by which the page's security policy allows its one script.
    script_hash: String,
    /// The record of every node, as JSON that is safe inside a script element.
    data: String,
}

/// A section of the page with its figures.
#[derive(Debug, Serialize)]
struct Section {
    id: &'static str,
    title: String,
    lead: String,
    cards: Vec<Card>,
    figures: Vec<Figure>,
    /// Figures that this target does not have.
    absent: Vec<Figure>,
}

impl Section {
    fn new(id: &'static str, title: &str, lead: &str, figures: Vec<Figure>) -> Self {
        let (absent, mut figures): (Vec<_>, Vec<_>) =
            figures.into_iter().partition(|figure| figure.is_absent);
        fill_rows(&mut figures);
        Self { id, title: title.to_owned(), lead: lead.to_owned(), cards: Vec::new(), figures, absent }
    }
}

/// Two figures share a row; one without a neighbour takes the whole row.
fn fill_rows(figures: &mut [Figure]) {
    let mut i = 0;
    while i < figures.len() {
        let has_neighbour = figures.get(i + 1).is_some_and(|next| !next.wide);
        if figures[i].wide || !has_neighbour {
            figures[i].wide = true;
            i += 1;
        } else {
            i += 2;
        }
    }
}

/// Renders the page. Every name, title and message is shown as text, whatever it contains.
pub(crate) fn render(report: &Report, extra: &Extra) -> Result<String> {
    let words = &extra.words;
    let mut nodes = models::Nodes::new(report, extra);
    let mut sections = Vec::new();
    if let Some(business) = &extra.business {
        let (cards, figures) = business::parts(business, words);
        // A project that has none of the models gets no empty part.
        if !cards.is_empty() || !figures.is_empty() {
            let section = Section::new("business", &business.title, &business.lead, figures);
            sections.push(Section { cards, ..section });
        }
    }
    sections.push(Section::new(
        "pipeline",
        "Pipeline",
        "Build results, where the latest build spent its time, and test results.",
        pipeline::figures(report, extra, &mut nodes),
    ));
    sections.push(Section::new(
        "data",
        "Data",
        "The age of the tables and their row counts.",
        load::data(report, words),
    ));
    sections.push(Section::new(
        "warehouse",
        "Warehouse",
        "Queries, their durations, and storage.",
        load::figures(report, words),
    ));
    sections.push(Section::new(
        "models",
        "Models",
        "Every model of the project by layer, with its status in the latest run.",
        vec![models::figure(&nodes, &extra.project, words)],
    ));

    let data = markup::script_json(&nodes.records)?;
    let mut templates = Environment::new();
    templates.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    templates.add_template("page.html", TEMPLATE).context("failed to read the page's template")?;
    let page = templates.get_template("page.html")?;
    let content = Page {
        subject: report.environment.clone().unwrap_or_else(|| "All environments".to_owned()),
        target: report.target.clone(),
        window: window_in_words(report),
        generated: moment(report.generated_at),
        version: report.toolkit_version.clone(),
        health: health(report),
        answers: answers::answers(report, words),
        overview: overview(report, words),
        sections,
        watched: Table::of(&watched(report), words),
        provenance: Table::of(&provenance(report, words), words),
        style: STYLE,
        script: SCRIPT,
        script_hash: BASE64_STANDARD.encode(Sha256::digest(SCRIPT)),
        data,
    };
    page.render(Serde(&content)).context("failed to render the page")
}

/// A moment as people read it, to the second.
fn moment(at: DateTime) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn window_in_words(report: &Report) -> String {
    let (start, end) = (report.window.start.date(), report.window.end.date());
    let days = report.window.days;
    let plural = if days == 1 { "day" } else { "days" };
    format!("{} to {} · {days} {plural}, UTC", start.strftime("%-d %b %Y"), end.strftime("%-d %b %Y"))
}

/// The overall status at the top of the page.
#[derive(Debug, Serialize)]
struct Health {
    tone: &'static str,
    text: String,
}

fn health(report: &Report) -> Health {
    let firing = report.alerts.iter().filter(|alert| alert.state == AlertState::Firing).count();
    if firing > 0 {
        let plural = if firing == 1 { "alert" } else { "alerts" };
        return Health { tone: "is-fail", text: format!("{firing} {plural} firing") };
    }
    match report.runs.rows.first() {
        Some(run) if run.status == "success" => {
            Health { tone: "is-ok", text: "Last run succeeded".to_owned() }
        }
        Some(run) => Health { tone: tone(&run.status), text: format!("Last run: {}", run.status) },
        None => Health { tone: "is-none", text: "No run in this window".to_owned() },
    }
}

/// Every evaluated alert with its message.
fn watched(report: &Report) -> Grid {
    let mut grid = Grid::new(&[
        ("Alert", Unit::Text),
        ("State", Unit::Status),
        ("Severity", Unit::Text),
        ("Since", Unit::Moment),
        ("Message", Unit::Text),
    ]);
    grid.rows.extend(report.alerts.iter().map(|alert| {
        let since = alert.since.map_or_else(
            || Cell::Unknown("evaluated for the first time".to_owned()),
            |at| Cell::text(moment(at)),
        );
        vec![
            Cell::text(alert.name.clone()),
            Cell::text(alert.state.label()),
            Cell::text(alert.severity.clone()),
            since,
            Cell::text(alert.message.clone()),
        ]
    }));
    grid
}

/// The first cards: figure, label, description, and whether a higher value is better.
const OVERVIEW: [(&str, &str, &str, Option<bool>); 11] = [
    ("run_success_rate", "Runs that succeeded", "of all runs in the window", Some(true)),
    ("test_pass_rate", "Tests that passed", "of the latest result of each", Some(true)),
    (
        "data_age_seconds",
        "Age of the data",
        "since the newest row of the oldest table or source",
        Some(false),
    ),
    ("freshness_seconds", "Last successful run", "ago; of several environments the longest", Some(false)),
    ("recovery_mean_seconds", "Time to recover", "mean, from a failed run to the next good one", Some(false)),
    ("queries", "Queries", "in the window", None),
    ("query_failure_rate", "Queries that failed", "of all queries in the window", Some(false)),
    ("query_p95_seconds", "Query duration, p95", "95 of 100 queries took no longer", Some(false)),
    ("storage_bytes", "Storage", "in tables of this scope", None),
    ("credits", "Credits", "used in the window", Some(false)),
    ("warehouse_cost", "Cost", "of all that the warehouse was used for, idle time too", Some(false)),
];

fn overview(report: &Report, words: &Words) -> Vec<Card> {
    OVERVIEW
        .iter()
        .filter_map(|(name, label, note, better)| {
            let figure = report.figures.iter().find(|figure| figure.name == *name)?;
            // A target without credits gets no card that repeats this on every page.
            (figure.status != Status::NotSupported)
                .then(|| headline(report, figure, (label, note), *better, words))
        })
        .collect()
}

fn headline(
    report: &Report,
    figure: &model::Figure,
    (label, note): (&str, &str),
    better: Option<bool>,
    words: &Words,
) -> Card {
    let Some(value) = figure.value.as_ref().and_then(model::Value::number) else {
        return Card::unknown(label, reason(figure));
    };
    let unit = unit(figure.unit);
    let days = report.window.days;
    let since = match figure.span {
        Span::Window => format!("on the {days} days before"),
        Span::Latest => format!("in {days} days"),
    };
    let before = figure.previous.as_ref().and_then(model::Value::number);
    let qualified = match figure.status {
        Status::Truncated => format!("at least, {note}"),
        Status::Delayed => format!("{note}; the newest part is missing"),
        Status::InUse => format!("{note}; without environments that are in use"),
        _ => note.to_owned(),
    };
    Card::new(label, words.parts(value, unit))
        .noting(qualified)
        .change(card::change(value, before, unit, better, &since))
        .trend(&trend(report, &figure.name))
}

/// A figure by day: from the days themselves, else from what earlier calls kept.
fn trend(report: &Report, name: &str) -> Vec<Option<f64>> {
    let of =
        |pick: fn(&model::Load) -> Option<f64>| report.daily.rows.iter().map(|day| pick(&day.load)).collect();
    match name {
        "queries" => of(|load| Some(grid::float(load.queries))),
        "query_failure_rate" => of(|load| load.failure_rate),
        "query_p95_seconds" => of(|load| load.p95_seconds),
        _ => report
            .history
            .rows
            .iter()
            .filter(|point| point.name == name)
            .map(|point| Some(point.value))
            .collect(),
    }
}

fn reason(figure: &model::Figure) -> String {
    let why = match figure.status {
        Status::NoPrivilege => "The role may not read it",
        Status::NotSupported => "This target has no such figure",
        Status::NoData => "There is no data for it yet",
        Status::Truncated => "The source truncated its answer",
        Status::Delayed => "The source has not caught up yet",
        Status::InUse => "Environments that are in use could not be read",
        Status::Ok => "Not known",
    };
    figure.reason.clone().unwrap_or_else(|| format!("{why} ({}).", figure.source))
}

fn unit(unit: model::Unit) -> Unit {
    match unit {
        model::Unit::Count | model::Unit::Rows | model::Unit::Credits => Unit::Count,
        model::Unit::Ratio => Unit::Ratio,
        model::Unit::Seconds => Unit::Seconds,
        model::Unit::Bytes => Unit::Bytes,
        model::Unit::Money => Unit::Money,
        model::Unit::Date => Unit::Day,
    }
}

/// Every figure with its source, so that each number on the page can be traced.
fn provenance(report: &Report, words: &Words) -> Grid {
    let mut grid = Grid::new(&[
        ("Figure", Unit::Text),
        ("Value", Unit::Text),
        ("Before", Unit::Text),
        ("Status", Unit::Status),
        ("Source", Unit::Text),
        ("Remark", Unit::Text),
    ]);
    let shown = |value: &Option<model::Value>, of: &model::Figure, why: &str| match value {
        Some(model::Value::Text(text)) => Cell::text(text.clone()),
        Some(value) => {
            Cell::text(value.number().map_or_else(String::new, |value| words.figure(value, unit(of.unit))))
        }
        None => Cell::Unknown(why.to_owned()),
    };
    for figure in &report.figures {
        grid.rows.push(vec![
            Cell::text(figure.name.clone()),
            shown(&figure.value, figure, &reason(figure)),
            shown(&figure.previous, figure, "the value of the window before is unknown"),
            Cell::text(figure.status.label().replace('_', " ")),
            Cell::text(figure.source.clone()),
            Cell::text(figure.reason.clone().unwrap_or_default()),
        ]);
    }
    grid
}

#[cfg(test)]
pub(super) mod tests;
