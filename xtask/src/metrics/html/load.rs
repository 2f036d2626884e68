//! The warehouse section of the page: queries, durations, storage, freshness and cost.

use super::chart::{Bar, Shape};
use super::figure::Figure;
use super::grid::{Cell, Grid, Unit, Words, float};
use super::moment;
use crate::metrics::model::{DataAge, Group, Load, Relation, Report};

/// Bars that a list shows; the table behind it has the rest.
const MOST_BARS: usize = 12;
const NEVER: &str = "no run of the ledger built it";
const FIRST: &str = "there is no earlier run to compare with";
const NO_TIME: &str = "none of its queries has a known duration";

pub(super) fn figures(report: &Report, words: &Words) -> Vec<Figure> {
    let mut figures = vec![queries(report, words), durations(report, words), storage(report, words)];
    figures.push(groups("by-environment", "Query time by environment", &report.by_environment, words));
    figures.push(groups("by-warehouse", "Query time by warehouse", &report.by_warehouse, words));
    figures.push(groups("by-user", "Query time by user", &report.by_user, words));
    figures.push(cost(report, words));
    figures.push(cost_by_node(report, words));
    figures
}

fn queries(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Queries by day";
    if let Some(missing) = Figure::unless_known("queries", TITLE, &report.daily) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Day", Unit::Day),
        ("Queries", Unit::Count),
        ("Succeeded", Unit::Count),
        ("Failed", Unit::Count),
        ("Failure rate", Unit::Ratio),
    ]);
    for day in &report.daily.rows {
        let Load { queries, failed_queries, failure_rate, .. } = day.load;
        grid.rows.push(vec![
            Cell::text(day.date_day.to_string()),
            Cell::count(Some(queries), ""),
            Cell::count(Some(queries - failed_queries), ""),
            Cell::count(Some(failed_queries), ""),
            Cell::number(failure_rate, "no queries on this day"),
        ]);
    }
    let (all, failed) = report
        .daily
        .rows
        .iter()
        .fold((0, 0), |sum, day| (sum.0 + day.load.queries, sum.1 + day.load.failed_queries));
    Figure::steps("queries", TITLE, Shape::Columns, &grid, &[(2, "c1"), (3, "is-fail")], words)
        .noting(format!(
            "{} queries in UTC days, {} failed",
            words.figure(float(all), Unit::Count),
            words.figure(float(failed), Unit::Count)
        ))
        .qualified(&report.daily)
}

fn durations(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Query duration by day";
    if let Some(missing) = Figure::unless_known("durations", TITLE, &report.daily) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Day", Unit::Day),
        ("p95", Unit::Seconds),
        ("Mean", Unit::Seconds),
        ("p50", Unit::Seconds),
        ("Longest", Unit::Seconds),
        ("Total", Unit::Seconds),
    ]);
    for day in &report.daily.rows {
        let load = day.load;
        let mut row = vec![Cell::text(day.date_day.to_string())];
        row.extend(
            [load.p95_seconds, load.mean_seconds, load.p50_seconds, load.max_seconds, load.total_seconds]
                .map(|value| Cell::number(value, "no timed queries on this day")),
        );
        grid.rows.push(row);
    }
    Figure::steps("durations", TITLE, Shape::Lines, &grid, &[(1, "c1"), (2, "c2"), (3, "c3")], words)
        .noting("Half of a day's queries took no longer than p50, 95 of 100 no longer than p95")
        .qualified(&report.daily)
}

fn storage(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Storage by environment";
    if let Some(missing) = Figure::unless_known("storage", TITLE, &report.storage) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Environment", Unit::Text),
        ("Active", Unit::Bytes),
        ("Time Travel", Unit::Bytes),
        ("Fail-safe", Unit::Bytes),
        ("Kept for clones", Unit::Bytes),
        ("Tables", Unit::Count),
        ("Not measured", Unit::Count),
    ]);
    let mut bars = Vec::new();
    for row in &report.storage.rows {
        let parts = [
            (row.active_bytes, "c1"),
            (row.time_travel_bytes, "c2"),
            (row.fail_safe_bytes, "c3"),
            (row.clone_retained_bytes, "c4"),
        ]
        .map(|(bytes, tone)| (bytes.map(float), tone));
        let known: Vec<f64> = parts.iter().filter_map(|(bytes, _)| *bytes).collect();
        let total = (!known.is_empty()).then(|| known.iter().sum::<f64>());
        let mut cells = vec![Cell::text(row.environment.clone())];
        cells.extend(parts.iter().map(|(bytes, _)| Cell::number(*bytes, "not available from the source")));
        cells.extend([Cell::count(Some(row.tables), ""), Cell::count(Some(row.unmeasured_tables), "")]);
        grid.rows.push(cells);
        bars.push(Bar {
            label: row.environment.clone(),
            parts: parts.to_vec(),
            words: total.map_or_else(|| "unknown".to_owned(), |bytes| words.figure(bytes, Unit::Bytes)),
        });
    }
    let billed = report.storage.rows.iter().any(|row| row.time_travel_bytes.is_some());
    let figure = Figure::bars("storage", TITLE, &grid, &bars, None, words)
        .noting(format!("Source: {}", report.storage.source))
        .qualified(&report.storage);
    if billed {
        figure.legend(&[
            ("Active", "c1"),
            ("Time Travel", "c2"),
            ("Fail-safe", "c3"),
            ("Kept for clones", "c4"),
        ])
    } else {
        figure
    }
}

fn groups(id: &str, title: &str, table: &crate::metrics::model::Table<Group>, words: &Words) -> Figure {
    if let Some(missing) = Figure::unless_known(id, title, table) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Name", Unit::Text),
        ("Queries", Unit::Count),
        ("Failed", Unit::Count),
        ("Total", Unit::Seconds),
        ("Mean", Unit::Seconds),
        ("p95", Unit::Seconds),
        ("Longest", Unit::Seconds),
    ]);
    let mut bars = Vec::new();
    for group in &table.rows {
        let name = group.key.clone().unwrap_or_else(|| "not recorded".to_owned());
        let load = group.load;
        let mut row = vec![
            Cell::text(name.clone()),
            Cell::count(Some(load.queries), ""),
            Cell::count(Some(load.failed_queries), ""),
        ];
        row.extend(
            [load.total_seconds, load.mean_seconds, load.p95_seconds, load.max_seconds]
                .map(|value| Cell::number(value, NO_TIME)),
        );
        grid.rows.push(row);
        if bars.len() < MOST_BARS {
            bars.push(Bar {
                label: name,
                parts: vec![(load.total_seconds, "c1")],
                words: load
                    .total_seconds
                    .map_or_else(|| "unknown".to_owned(), |s| words.figure(s, Unit::Seconds)),
            });
        }
    }
    Figure::bars(id, title, &grid, &bars, None, words)
        .noting("Total time of all queries in the window")
        .qualified(table)
}

fn cost(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Credits by environment";
    if let Some(missing) = Figure::unless_known("cost", TITLE, &report.cost) {
        return missing;
    }
    let mut grid = Grid::new(&[("Environment", Unit::Text), ("Credits", Unit::Count)]);
    let mut bars = Vec::new();
    for row in &report.cost.rows {
        let name = row.environment.clone().unwrap_or_else(|| "queries without a tag".to_owned());
        grid.rows.push(vec![Cell::text(name.clone()), Cell::number(row.credits, "not attributed yet")]);
        bars.push(Bar {
            label: name,
            parts: vec![(row.credits, "c2")],
            words: row
                .credits
                .map_or_else(|| "unknown".to_owned(), |credits| words.figure(credits, Unit::Count)),
        });
    }
    Figure::bars("cost", TITLE, &grid, &bars, None, words)
        .noting(report.cost.source.clone())
        .qualified(&report.cost)
}

fn cost_by_node(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Credits by model";
    if let Some(missing) = Figure::unless_known("cost-by-node", TITLE, &report.cost_by_node) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Node", Unit::Text),
        ("Credits", Unit::Count),
        ("Cost", Unit::Money),
        ("Environment", Unit::Text),
    ]);
    let mut bars = Vec::new();
    for row in &report.cost_by_node.rows {
        let name = row.node_id.clone().unwrap_or_else(|| "statements of no node".to_owned());
        grid.rows.push(vec![
            Cell::text(name.clone()),
            Cell::number(row.credits, "not attributed yet"),
            Cell::number(row.money, "policies/metrics.toml has no price of a credit"),
            Cell::text(row.environment.clone()),
        ]);
        let credits =
            row.credits.map_or_else(|| "unknown".to_owned(), |value| words.figure(value, Unit::Count));
        let label = format!("{}: {name}", row.environment);
        bars.push(Bar { label, parts: vec![(row.credits, "c2")], words: credits });
    }
    let drawn = bars.len().min(MOST_BARS);
    Figure::bars("cost-by-node", TITLE, &grid, &bars[..drawn], None, words)
        .noting("A pull request is the environment of its number")
        .caveat(cut(drawn, grid.rows.len()))
        .qualified(&report.cost_by_node)
}

/// How old the data is, and how many rows there are.
pub(super) fn data(report: &Report, words: &Words) -> Vec<Figure> {
    vec![ages(report, words), freshness(report, words), volumes(report, words), schema_changes(report, words)]
}

/// The relation's name, with its environment if the report covers more than one.
fn named(report: &Report, relation: &Relation) -> String {
    if report.environments.len() > 1 {
        format!("{}.{}", relation.environment, relation.relation_name)
    } else {
        relation.relation_name.clone()
    }
}

fn schema_changes(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Columns that changed";
    if let Some(missing) = Figure::unless_known("schema-changes", TITLE, &report.schema_changes) {
        // That no column changed needs no box.
        return Figure { is_absent: true, ..missing };
    }
    let mut grid = Grid::new(&[
        ("Table or view", Unit::Text),
        ("Column", Unit::Text),
        ("Change", Unit::Text),
        ("Type before", Unit::Text),
        ("Type now", Unit::Text),
        ("Found", Unit::Moment),
        ("Before", Unit::Moment),
        ("Environment", Unit::Text),
    ]);
    for change in &report.schema_changes.rows {
        let text = |text: &Option<String>| Cell::text(text.clone().unwrap_or_default());
        grid.rows.push(vec![
            Cell::text(change.relation_name.clone()),
            text(&change.column_name),
            Cell::text(change.change.label()),
            text(&change.previous_type),
            text(&change.data_type),
            Cell::text(moment(change.measured_at)),
            Cell::text(moment(change.previous_measured_at)),
            Cell::text(change.environment.clone()),
        ]);
    }
    Figure::list("schema-changes", TITLE, &grid, words)
        .noting("Columns that a run found to differ from the run before, newest first")
        .qualified(&report.schema_changes)
}

fn ages(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Age of the data";
    if let Some(missing) = Figure::unless_known("data-ages", TITLE, &report.data_ages) {
        // Nothing is named: a line about how to name it is enough.
        return Figure { is_absent: true, ..missing };
    }
    let mut grid = Grid::new(&[
        ("Table or source", Unit::Text),
        ("Age", Unit::Seconds),
        ("Newest data", Unit::Moment),
        ("State", Unit::Status),
        ("Column", Unit::Text),
        ("Measured by", Unit::Text),
    ]);
    let rows = &report.data_ages.rows;
    let name = |row: &DataAge| {
        if report.environments.len() > 1 {
            format!("{}.{}", row.environment, row.name)
        } else {
            row.name.clone()
        }
    };
    for row in rows {
        let why = row.reason.clone().unwrap_or_else(|| "it could not be measured".to_owned());
        grid.rows.push(vec![
            Cell::text(name(row)),
            Cell::count(row.age_seconds, &why),
            row.data_time.map_or_else(|| Cell::Unknown(why.clone()), |at| Cell::text(moment(at))),
            Cell::text(row.state.clone().unwrap_or_default()),
            Cell::text(row.column.clone().unwrap_or_default()),
            Cell::text(row.measured_by.clone()),
        ]);
    }
    let tone = |row: &DataAge| match row.state.as_deref() {
        Some("error") => "is-fail",
        Some("warn") => "is-warn",
        _ => "c1",
    };
    let bars: Vec<Bar> = rows
        .iter()
        .take(MOST_BARS)
        .map(|row| Bar {
            label: name(row),
            parts: vec![(row.age_seconds.map(float), tone(row))],
            words: row
                .age_seconds
                .map_or_else(|| "unknown".to_owned(), |age| words.figure(float(age), Unit::Seconds)),
        })
        .collect();
    Figure::bars("data-ages", TITLE, &grid, &bars, None, words)
        .noting("Time since the newest row of each table or source, the oldest first")
        .caveat(cut(bars.len(), rows.len()))
}

fn freshness(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Time since the last build";
    if let Some(missing) = Figure::unless_known("freshness", TITLE, &report.relations) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Table or view", Unit::Text),
        ("Age", Unit::Seconds),
        ("Last built", Unit::Moment),
        ("Layer", Unit::Text),
        ("Type", Unit::Text),
    ]);
    let mut relations: Vec<&Relation> = report.relations.rows.iter().collect();
    relations
        .sort_by_key(|relation| (relation.age_seconds.is_none(), std::cmp::Reverse(relation.age_seconds)));
    for relation in &relations {
        let built = relation
            .last_built_at
            .map_or_else(|| Cell::Unknown(NEVER.to_owned()), |at| Cell::text(moment(at)));
        grid.rows.push(vec![
            Cell::text(named(report, relation)),
            Cell::count(relation.age_seconds, NEVER),
            built,
            Cell::text(relation.layer.clone().unwrap_or_default()),
            Cell::text(relation.relation_type.clone()),
        ]);
    }
    let bars: Vec<Bar> = relations
        .iter()
        .take(MOST_BARS)
        .map(|relation| Bar {
            label: named(report, relation),
            parts: vec![(relation.age_seconds.map(float), "c2")],
            words: relation
                .age_seconds
                .map_or_else(|| "unknown".to_owned(), |age| words.figure(float(age), Unit::Seconds)),
        })
        .collect();
    Figure::bars("freshness", TITLE, &grid, &bars, None, words)
        .noting("Time since each table or view was last built without error, the oldest first")
        .caveat(cut(bars.len(), relations.len()))
}

fn volumes(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Rows by table";
    if let Some(missing) = Figure::unless_known("volumes", TITLE, &report.relations) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Table", Unit::Text),
        ("Rows", Unit::Count),
        ("Change", Unit::Count),
        ("Change of all", Unit::Ratio),
        ("Size", Unit::Bytes),
        ("Layer", Unit::Text),
        ("Measured", Unit::Moment),
    ]);
    let mut tables: Vec<&Relation> = report.relations.rows.iter().filter(|r| r.row_count.is_some()).collect();
    tables.sort_by_key(|relation| std::cmp::Reverse(relation.row_count));
    if tables.is_empty() {
        return Figure::missing("volumes", TITLE, "The latest run left no table whose rows were counted.");
    }
    for relation in &tables {
        grid.rows.push(vec![
            Cell::text(named(report, relation)),
            Cell::count(relation.row_count, "not counted"),
            Cell::count(relation.row_count_change, FIRST),
            Cell::number(relation.row_count_change_ratio, FIRST),
            Cell::count(relation.storage_bytes, "not available from the engine"),
            Cell::text(relation.layer.clone().unwrap_or_default()),
            Cell::text(moment(relation.measured_at)),
        ]);
    }
    let change = |relation: &Relation| match relation.row_count_change {
        None => String::new(),
        Some(0) => " (unchanged)".to_owned(),
        Some(change) if change > 0 => format!(" (+{})", words.figure(float(change), Unit::Count)),
        Some(change) => format!(" ({})", words.figure(float(change), Unit::Count)),
    };
    let bars: Vec<Bar> = tables
        .iter()
        .take(MOST_BARS)
        .map(|relation| Bar {
            label: named(report, relation),
            parts: vec![(relation.row_count.map(float), "c1")],
            words: relation.row_count.map_or_else(String::new, |rows| words.figure(float(rows), Unit::Count))
                + &change(relation),
        })
        .collect();
    Figure::bars("volumes", TITLE, &grid, &bars, None, words)
        .noting("After the latest run, with the change since the run before")
        .caveat(cut(bars.len(), tables.len()))
}

fn cut(shown: usize, all: usize) -> Option<String> {
    (shown < all).then(|| format!("{shown} of {all} are drawn; the table has more"))
}
