//! A report as readable tables, the figures first, then their details: in columns for a terminal, in Markdown
//! for a step's summary or a comment.

use super::model::{
    Alert, AlertState, DataAge, Figure, Group, Layer, NodeStats, Report, Status, Storage, Table, Unit,
};
use super::text::{self, UNKNOWN, plain, quantity, sparkline};
use crate::system::console::{self, Align};

/// Rows of the longer tables that are shown; JSON and CSV have all of them.
const SHOWN: usize = 10;

/// Characters of a message that are shown.
const LONGEST_MESSAGE: usize = 120;

/// A table with what its cells mean.
struct Section {
    header: Vec<&'static str>,
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

/// The report as lines of text.
pub(super) fn columns(report: &Report) -> String {
    let tables = sections(report).into_iter().map(|section| {
        let rows: Vec<Vec<String>> =
            section.rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
        console::table(&section.header, &section.aligns, &rows)
    });
    std::iter::once(title(report)).chain(tables).collect::<Vec<_>>().join("\n\n")
}

/// The report in Markdown.
pub(super) fn markdown(report: &Report) -> String {
    let tables = sections(report).into_iter().map(|section| markdown_table(&section));
    let title = format!("## Metrics\n\n{}", title(report));
    std::iter::once(title).chain(tables).collect::<Vec<_>>().join("\n\n")
}

fn markdown_table(section: &Section) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let rule = |align: &Align| if *align == Align::Right { "---:" } else { "---" }.to_owned();
    let mut lines = vec![
        line(section.header.iter().map(|cell| (*cell).to_owned()).collect()),
        line(section.aligns.iter().map(rule).collect()),
    ];
    lines.extend(section.rows.iter().map(|row| line(row.iter().map(|cell| markdown_cell(cell)).collect())));
    lines.join("\n")
}

/// External text in a cell. Text that is not plain is written as code, in which Markdown, HTML and mentions
/// have no effect; only a bar and the code mark itself have to be replaced in it.
fn markdown_cell(text: &str) -> String {
    let text = plain(text);
    let text = text.trim();
    let harmless = |c: char| c.is_alphanumeric() || " .,:;%()+-/='▁▂▃▄▅▆▇█".contains(c);
    // A bare address becomes a link too.
    if text.chars().all(harmless) && !text.contains("://") && !text.contains("www.") {
        text.to_owned()
    } else {
        format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
    }
}

fn sections(report: &Report) -> Vec<Section> {
    let mut sections = vec![figures(&report.figures), days(report), alerts(report)];
    sections.extend(
        [
            ("environment", &report.by_environment),
            ("user", &report.by_user),
            ("warehouse", &report.by_warehouse),
        ]
        .map(|(title, table)| groups(title, table)),
    );
    sections.extend([ages(report), storage(report), layers(report), failing(report), slowest(report)]);
    sections.retain(|section| !section.rows.is_empty());
    sections
}

fn section<T>(
    columns: &[(&'static str, Align)],
    rows: impl IntoIterator<Item = T>,
    row: impl Fn(T) -> Vec<String>,
) -> Section {
    Section {
        header: columns.iter().map(|(name, _)| *name).collect(),
        aligns: columns.iter().map(|(_, align)| *align).collect(),
        rows: rows.into_iter().map(row).collect(),
    }
}

fn title(report: &Report) -> String {
    let scope = report
        .environment
        .as_deref()
        .map_or_else(|| format!("all environments ({})", report.environments.len()), str::to_owned);
    format!(
        "{scope} on {}: {} days up to {} UTC, from {} UTC",
        report.target,
        report.window.days,
        report.window.end.strftime("%F %H:%M"),
        report.window.start.strftime("%F %H:%M"),
    )
}

fn figures(figures: &[Figure]) -> Section {
    let columns = [
        ("figure", Align::Left),
        ("value", Align::Right),
        ("change", Align::Right),
        ("source", Align::Left),
        ("remark", Align::Left),
    ];
    section(&columns, figures, |figure| {
        let remark = figure.reason.clone().unwrap_or_default();
        vec![figure.name.clone(), text::value(figure), text::change(figure), figure.source.clone(), remark]
    })
}

/// One line per series, one bar per day.
fn days(report: &Report) -> Section {
    let columns = [("by day", Align::Left), ("", Align::Left), ("highest", Align::Right)];
    #[expect(clippy::cast_precision_loss, reason = "it becomes a bar")]
    let count = |count: i64| Some(count as f64);
    let known = if report.daily.status == Status::NoData { &[][..] } else { &report.daily.rows[..] };
    let series: [(&str, Unit, Vec<Option<f64>>); 3] = [
        ("queries", Unit::Count, known.iter().map(|day| count(day.load.queries)).collect()),
        ("failed", Unit::Count, known.iter().map(|day| count(day.load.failed_queries)).collect()),
        ("p95", Unit::Seconds, known.iter().map(|day| day.load.p95_seconds).collect()),
    ];
    section(&columns, series.iter().filter(|(_, _, values)| !values.is_empty()), |(name, unit, values)| {
        let highest = values.iter().flatten().copied().reduce(f64::max);
        let highest = highest.map_or_else(|| UNKNOWN.to_owned(), |highest| quantity(highest, *unit));
        vec![(*name).to_owned(), sparkline(values), highest]
    })
}

fn alerts(report: &Report) -> Section {
    let columns = ["alert", "severity", "state", "since (UTC)", "why"].map(|name| (name, Align::Left));
    let shown = report.alerts.iter().filter(|alert| alert.state != AlertState::Ok || alert.changed);
    section(&columns, shown, |alert: &Alert| {
        let since = alert.since.map(|since| since.strftime("%F %H:%M").to_string());
        let state = alert.state.label().to_owned();
        vec![
            alert.name.clone(),
            alert.severity.clone(),
            state,
            since.unwrap_or_default(),
            alert.message.clone(),
        ]
    })
}

fn groups(title: &'static str, table: &Table<Group>) -> Section {
    let columns = [
        (title, Align::Left),
        ("queries", Align::Right),
        ("failed", Align::Right),
        ("total", Align::Right),
        ("mean", Align::Right),
        ("p95", Align::Right),
    ];
    section(&columns, table.rows.iter().take(SHOWN), |group| {
        vec![
            group.key.clone().unwrap_or_else(none),
            console::grouped(group.load.queries),
            console::grouped(group.load.failed_queries),
            seconds(group.load.total_seconds),
            seconds(group.load.mean_seconds),
            seconds(group.load.p95_seconds),
        ]
    })
}

fn storage(report: &Report) -> Section {
    let columns = [
        ("storage of", Align::Left),
        ("tables", Align::Right),
        ("active", Align::Right),
        ("time travel", Align::Right),
        ("fail-safe", Align::Right),
        ("kept for clones", Align::Right),
    ];
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let bytes = |bytes: Option<i64>| bytes.map_or_else(none, |bytes| quantity(bytes as f64, Unit::Bytes));
    section(&columns, report.storage.rows.iter().take(SHOWN), |storage: &Storage| {
        vec![
            storage.environment.clone(),
            storage.tables.to_string(),
            bytes(storage.active_bytes),
            bytes(storage.time_travel_bytes),
            bytes(storage.fail_safe_bytes),
            bytes(storage.clone_retained_bytes),
        ]
    })
}

fn ages(report: &Report) -> Section {
    let columns = [
        ("data of", Align::Left),
        ("environment", Align::Left),
        ("newest (UTC)", Align::Left),
        ("age", Align::Right),
        ("state", Align::Left),
        ("column", Align::Left),
        ("measured by", Align::Left),
        ("remark", Align::Left),
    ];
    section(&columns, report.data_ages.rows.iter().take(SHOWN), |row: &DataAge| {
        vec![
            row.name.clone(),
            row.environment.clone(),
            row.data_time.map_or_else(|| UNKNOWN.to_owned(), |at| at.strftime("%F %H:%M").to_string()),
            row.age_seconds.map_or_else(|| UNKNOWN.to_owned(), text::age),
            row.state.clone().unwrap_or_default(),
            row.column.clone().unwrap_or_default(),
            row.measured_by.clone(),
            row.reason.clone().unwrap_or_default(),
        ]
    })
}

fn layers(report: &Report) -> Section {
    let columns = [
        ("tests of", Align::Left),
        ("tests", Align::Right),
        ("passed", Align::Right),
        ("failed", Align::Right),
        ("skipped", Align::Right),
        ("pass rate", Align::Right),
        ("oldest result (UTC)", Align::Left),
    ];
    section(&columns, &report.tests_by_layer.rows, |layer: &Layer| {
        vec![
            layer.layer.clone().unwrap_or_else(none),
            layer.tests.to_string(),
            layer.passed.to_string(),
            layer.failed.to_string(),
            layer.skipped.to_string(),
            layer.pass_rate.map_or_else(none, |rate| quantity(rate, Unit::Ratio)),
            layer.oldest_result_at.map_or_else(none, |at| at.strftime("%F %H:%M").to_string()),
        ]
    })
}

fn failing(report: &Report) -> Section {
    let columns =
        ["fails most", "environment", "failed", "now", "last message"].map(|name| (name, Align::Left));
    section(&columns, report.failing_nodes.rows.iter().take(SHOWN), |node: &NodeStats| {
        let message = node.last_message.as_deref().unwrap_or_default();
        vec![
            node.name.clone(),
            node.environment.clone(),
            format!("{} of {}", node.failed_executions, node.executions),
            node.last_status.clone(),
            message.chars().take(LONGEST_MESSAGE).collect(),
        ]
    })
}

fn slowest(report: &Report) -> Section {
    let columns = [
        ("takes longest", Align::Left),
        ("environment", Align::Left),
        ("times", Align::Right),
        ("total", Align::Right),
        ("mean", Align::Right),
        ("max", Align::Right),
    ];
    section(&columns, report.slowest_nodes.rows.iter().take(SHOWN), |node: &NodeStats| {
        vec![
            node.name.clone(),
            node.environment.clone(),
            node.executions.to_string(),
            seconds(node.total_seconds),
            seconds(node.mean_seconds),
            seconds(node.max_seconds),
        ]
    })
}

/// The content of a cell that has no value.
fn none() -> String {
    "-".to_owned()
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(none, |seconds| quantity(seconds, Unit::Seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_nothing_but_text() {
        for (text, cell) in [
            ("1,234", "1,234"),
            ("12.5 %", "12.5 %"),
            ("a_b", "`a_b`"),
            ("a|b", "`a\\|b`"),
            ("<script>alert(1)</script>", "`<script>alert(1)</script>`"),
            ("@octocat `x`", "`@octocat 'x'`"),
            ("https://evil.example", "`https://evil.example`"),
            ("a\n| b |", "`a \\| b \\|`"),
            ("![x](y)", "`![x](y)`"),
            ("  ", ""),
            ("é 商品", "é 商品"),
        ] {
            assert_eq!(markdown_cell(text), cell, "{text}");
        }
    }
}
