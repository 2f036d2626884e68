//! The pipeline section of the page: run history, where the latest run spent its time, and the tests.

mod latest_run;
mod nodes;

use self::latest_run::latest_run;
use self::nodes::{failing, slowest, test_history, trend};
use super::chart::{Bar, Shape};
use super::figure::{Figure, tone};
use super::gather::Extra;
use super::grid::{Cell, Grid, Unit, Words, float};
use super::models::Nodes;
use super::moment;
use crate::dbt::artifacts::layer_rank;
use crate::metrics::model::{self, Report};

/// Runs that the history shows: a month of a busy environment.
const MOST_RUNS: usize = 60;

pub(super) fn figures(report: &Report, extra: &Extra, nodes: &mut Nodes) -> Vec<Figure> {
    let mut figures = vec![history(report, &extra.words), tests(report, &extra.words)];
    figures.extend(latest_run(report, extra, nodes));
    figures.push(slowest(report, &extra.words));
    figures.push(trend("growing", "Slower than before", &report.growing_nodes, &extra.words));
    figures.push(trend("costly-tests", "Tests by time", &report.costly_tests, &extra.words));
    figures.push(failing(report, &extra.words));
    figures.push(test_history(report, &extra.words));
    figures
}

fn history(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Run history";
    if let Some(missing) = Figure::unless_known("runs", TITLE, &report.runs) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Started", Unit::Moment),
        ("Duration", Unit::Seconds),
        ("Status", Unit::Status),
        ("dbt", Unit::Seconds),
        ("Environment", Unit::Text),
        ("Commit", Unit::Text),
        ("Branch", Unit::Text),
        ("By", Unit::Text),
        ("dbt version", Unit::Text),
        ("Message", Unit::Text),
    ]);
    let mut tones = Vec::new();
    let text = |text: &Option<String>| Cell::text(text.clone().unwrap_or_default());
    for run in report.runs.rows.iter().take(MOST_RUNS).rev() {
        let status = if run.up_to_date { "up to date" } else { run.status.as_str() };
        tones.push(tone(status));
        let commit = run.git_commit.as_ref().map(|commit| commit.chars().take(9).collect::<String>());
        grid.rows.push(vec![
            Cell::text(moment(run.started_at)),
            Cell::number(run.seconds, "the duration of the run is not known"),
            Cell::text(status),
            Cell::number(run.dbt_seconds, "dbt was not started"),
            Cell::text(run.environment.clone()),
            text(&commit),
            text(&run.git_branch),
            text(&run.triggered_by),
            text(&run.dbt_version),
            text(&run.message),
        ]);
    }
    let shown = grid.rows.len();
    let well = report.runs.rows.iter().take(shown).filter(|run| run.status == "success").count();
    let mut figure =
        Figure::toned_steps("runs", TITLE, Shape::Columns, &grid, &[(1, "is-ok")], Some(&tones), words)
            .noting(format!("Each run by its duration, oldest first: {well} of {shown} succeeded"))
            .legend(&[("Success", "is-ok"), ("Failed", "is-fail"), ("Up to date or interrupted", "is-skip")]);
    figure = figure.qualified(&report.runs);
    if report.runs.rows.len() > MOST_RUNS {
        figure = figure.caveat(Some(format!("The newest {MOST_RUNS} of {} runs", report.runs.rows.len())));
    }
    figure
}

fn tests(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Tests by layer";
    if let Some(missing) = Figure::unless_known("tests", TITLE, &report.tests_by_layer) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Layer", Unit::Text),
        ("Tests", Unit::Count),
        ("Passed", Unit::Count),
        ("Failed", Unit::Count),
        ("Skipped", Unit::Count),
        ("Pass rate", Unit::Ratio),
    ]);
    let mut bars = Vec::new();
    let mut layers: Vec<&model::Layer> = report.tests_by_layer.rows.iter().collect();
    layers.sort_by_key(|layer| layer.layer.as_deref().map(|name| (layer_rank(name), name.to_owned())));
    for layer in layers {
        let name = layer.layer.clone().unwrap_or_else(|| "seeds and sources".to_owned());
        let evaluated = layer.passed + layer.failed;
        bars.push(Bar {
            label: name.clone(),
            parts: vec![
                (Some(float(layer.passed)), "is-ok"),
                (Some(float(layer.failed)), "is-fail"),
                (Some(float(layer.skipped)), "is-skip"),
            ],
            words: format!("{} of {} passed", layer.passed, evaluated),
        });
        grid.rows.push(vec![
            Cell::text(name),
            Cell::count(Some(layer.tests), ""),
            Cell::count(Some(layer.passed), ""),
            Cell::count(Some(layer.failed), ""),
            Cell::count(Some(layer.skipped), ""),
            Cell::number(layer.pass_rate, "no test of this layer passed or failed"),
        ]);
    }
    Figure::bars("tests", TITLE, &grid, &bars, None, words)
        .noting("The latest result of each test")
        .legend(&[("Passed", "is-ok"), ("Failed", "is-fail"), ("Skipped", "is-skip")])
}
