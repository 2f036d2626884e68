//! The summary for people: what was built and tested by layer, what went wrong and why, what was slow.

use std::fmt::{Result, Write};
use std::path::Path;

use super::report::{Node, Report, Totals};
use crate::dbt::engine::Generation;
use crate::ledger::Status;
use crate::system::console::{self, Align};
use crate::warehouse::Row;

/// How many of the slowest nodes are named.
const SLOWEST: usize = 5;

/// Lines of a node's message that are shown: engines list every candidate they know.
const MESSAGE_LINES: usize = 12;

/// Skipped nodes that are named; the rest are counted.
const NAMED: usize = 6;

/// `report` for people; `project` is the dbt project's folder as they name it.
pub(super) fn text(
    report: &Report,
    place: &str,
    project: &str,
) -> std::result::Result<String, std::fmt::Error> {
    let mut text = String::new();
    write(&mut text, report, place, project)?;
    Ok(text)
}

fn write(out: &mut impl Write, report: &Report, place: &str, project: &str) -> Result {
    if report.up_to_date {
        writeln!(
            out,
            "{} is up to date: nothing has changed since it was built (--force builds it anyway). Earlier runs left:\n",
            report.schema
        )?;
    }
    if !report.nodes.is_empty() {
        writeln!(out, "{}", table(report))?;
    }
    for node in report.nodes.iter().filter(|node| node.went_wrong() || node.status == "warn") {
        write_failure(out, node, project)?;
    }
    write_stopped(out, report)?;
    // What kept the run from being done is the error that the command ends with.
    if let (Status::Fail, Some(message)) = (report.status, &report.message) {
        writeln!(out, "\n{message}")?;
    }
    write_slowest(out, report)?;
    write_reused(out, report)?;
    writeln!(out, "\n{}", verdict(report, place))?;
    write_hint(out, report)
}

fn table(report: &Report) -> String {
    let header = ["layer", "built", "rows", "passed", "failed", "warned", "errors", "skipped", "seconds"];
    let mut rows: Vec<Vec<String>> =
        report.layers.iter().map(|layer| line(&layer.name, &layer.totals)).collect();
    rows.push(line("total", &report.totals));
    let numbers = [Align::Right; 8];
    let aligns: Vec<Align> = std::iter::once(Align::Left).chain(numbers).collect();
    console::table(&header, &aligns, &rows)
}

fn line(name: &str, totals: &Totals) -> Vec<String> {
    let counts = [totals.passed, totals.failed, totals.warned, totals.errored, totals.skipped];
    let mut cells = vec![
        name.to_owned(),
        totals.built.to_string(),
        totals.rows.map_or_else(|| "-".to_owned(), console::grouped),
    ];
    cells.extend(counts.iter().map(usize::to_string));
    cells.push(format!("{:.2}", totals.node_seconds));
    cells
}

fn write_failure(out: &mut impl Write, node: &Node, project: &str) -> Result {
    let path = node.path.as_deref().map(|path| format!("  {}", below(project, path))).unwrap_or_default();
    writeln!(out, "\n{} {} {}{path}", node.status.to_uppercase(), node.kind, node.name)?;
    if let Some(message) = &node.message {
        let mut lines = message.lines().map(str::trim_end).filter(|line| !line.is_empty());
        for line in lines.by_ref().take(MESSAGE_LINES) {
            writeln!(out, "    {line}")?;
        }
        let rest = lines.count();
        if rest > 0 {
            writeln!(out, "    … {rest} more lines in --format json and the ledger")?;
        }
    }
    let Some(detail) = &node.detail else {
        return Ok(());
    };
    if let Some(compiled) = &detail.compiled_path {
        writeln!(out, "    compiled: {}", below(project, compiled))?;
    }
    if !detail.sample.is_empty() {
        writeln!(out, "    first failing rows:")?;
        for line in sample(&detail.sample).lines() {
            writeln!(out, "      {line}")?;
        }
    }
    Ok(())
}

/// A file of the project as people name it: dbt begins some paths with `./`, and a project in the root of its
/// repository has no folder to name.
fn below(project: &str, path: &str) -> String {
    let path = path.trim_start_matches("./");
    if project.is_empty() { path.to_owned() } else { format!("{project}/{path}") }
}

fn sample(rows: &[Row]) -> String {
    let header: Vec<&str> = rows[0].keys().map(String::as_str).collect();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            row.values()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .collect()
        })
        .collect();
    console::table(&header, &vec![Align::Left; header.len()], &cells)
}

/// What did not run because of the failures above: consequences, so they are counted, not explained.
fn write_stopped(out: &mut impl Write, report: &Report) -> Result {
    let stopped: Vec<&str> = report
        .nodes
        .iter()
        .filter(|node| node.status == "skipped" && !node.is_test())
        .map(|node| node.name.as_str())
        .collect();
    if stopped.is_empty() {
        return Ok(());
    }
    let named = stopped.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = stopped.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    writeln!(out, "\nstopped by the above, and left as the last good run built them: {named}{more}")?;
    Ok(())
}

fn write_slowest(out: &mut impl Write, report: &Report) -> Result {
    if report.up_to_date {
        return Ok(());
    }
    let mut nodes: Vec<&Node> = report.nodes.iter().filter(|node| node.seconds.is_some()).collect();
    nodes.sort_by(|a, b| b.seconds.unwrap_or_default().total_cmp(&a.seconds.unwrap_or_default()));
    let slowest: Vec<String> = nodes
        .iter()
        .take(SLOWEST)
        .map(|node| format!("{} {:.2} s", node.name, node.seconds.unwrap_or_default()))
        .collect();
    if !slowest.is_empty() {
        writeln!(out, "\nslowest: {}", slowest.join(", "))?;
    }
    Ok(())
}

/// A dbt v1 that takes longer than this is worth a word on v2, in seconds.
const SLOW: f64 = 20.0;

fn write_hint(out: &mut impl Write, report: &Report) -> Result {
    // dbt v2 builds no models of Python on DuckDB.
    let extension = |node: &Node| Path::new(node.path.as_ref()?).extension().map(ToOwned::to_owned);
    let is_python = |node: &Node| extension(node).is_some_and(|extension| extension == "py");
    if report.engine == Some(Generation::V1)
        && report.status == Status::Success
        && !report.nodes.iter().any(is_python)
        && let Some(seconds) = report.dbt_seconds.filter(|seconds| *seconds >= SLOW)
    {
        writeln!(
            out,
            "\ndbt v1 took {seconds:.0} s; dbt v2 builds the same data several times faster: `cargo xtask dbt use v2`"
        )?;
    }
    let lacks_package = |node: &Node| {
        node.message.as_deref().is_some_and(|text| text.contains("ModuleNotFoundError: No module named"))
    };
    if report.nodes.iter().any(|node| is_python(node) && lacks_package(node)) {
        writeln!(
            out,
            "\nA Python model imports a package that is not installed: name it in requirements/local.in, then \
             `cargo xtask python lock` (docs/projects.md)"
        )?;
    }
    // It did not get as far as a node: then it refuses what v1 may accept.
    if report.engine == Some(Generation::V2)
        && report.dbt_started
        && report.nodes.is_empty()
        && matches!(report.status, Status::Fail | Status::Error)
    {
        writeln!(
            out,
            "\nIf dbt v1 accepts this project, `cargo xtask lint --only dbt-v2` lists what v2 refuses; `--fix` corrects what is certain"
        )?;
    }
    Ok(())
}

/// What earlier runs left and still holds.
fn write_reused(out: &mut impl Write, report: &Report) -> Result {
    let tests = report.reused.iter().filter(|each| each.is_test()).count();
    let nodes = report.reused.len() - tests;
    if report.up_to_date || report.reused.is_empty() {
        return Ok(());
    }
    let oldest = oldest_result(report).map(|text| format!(" ({text})")).unwrap_or_default();
    writeln!(out, "\nreused: {nodes} built by earlier runs, {tests} tests not run{oldest}")
}

/// The age of what is known of the tests that were not run.
fn oldest_result(report: &Report) -> Option<String> {
    let tests = report.reused.iter().filter(|each| each.is_test());
    let oldest = tests.map(|test| test.at).min()?;
    Some(format!("oldest result of {} UTC", oldest.strftime("%F %R")))
}

fn verdict(report: &Report, place: &str) -> String {
    let word = match report.status {
        Status::Success => "success",
        Status::Fail => "failed",
        Status::Error => "could not run",
        Status::Interrupted => "interrupted",
    };
    let dbt = match (report.engine, &report.dbt_version) {
        (Some(engine), Some(version)) => format!("dbt {} ({version})", engine.label()),
        _ => "dbt".to_owned(),
    };
    let of_dbt =
        report.dbt_seconds.map(|seconds| format!(", {seconds:.1} s of it {dbt}")).unwrap_or_default();
    let Totals { built, passed, tests, .. } = report.totals;
    let done = if report.up_to_date {
        let oldest = oldest_result(report).map(|text| format!(", {text}")).unwrap_or_default();
        format!(
            "nothing to build; {built} built by earlier runs, {passed} of {tests} tests passed there{oldest}"
        )
    } else {
        format!("{built} built, {passed} of {tests} tests passed")
    };
    format!(
        "{word}: {} in {place}: {done} ({:.1} s{of_dbt}; run {})",
        report.schema, report.seconds, report.run_id
    )
}
