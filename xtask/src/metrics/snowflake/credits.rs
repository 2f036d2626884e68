//! Credits of environments, nodes and warehouses, from `ACCOUNT_USAGE`, which most roles may not read.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::civil::DateTime;
use minijinja::context;
use serde::Deserialize;

use super::{Scope, Tag, is_forbidden};
use crate::core::environment::Name;
use crate::metrics::collect::{self, Request};
use crate::metrics::model::{Cost, NodeCost, Status, Table, Window};
use crate::metrics::{figures, sql};
use crate::warehouse::{Row, Warehouse};

const ATTRIBUTION: &str = "ACCOUNT_USAGE.QUERY_ATTRIBUTION_HISTORY";
const METERING: &str = "ACCOUNT_USAGE.WAREHOUSE_METERING_HISTORY";
const CREDITS: &str = include_str!("../../../../sql/snowflake/metrics/credits.sql");
const NODE_CREDITS: &str = include_str!("../../../../sql/snowflake/metrics/node_credits.sql");
const WAREHOUSE_CREDITS: &str = include_str!("../../../../sql/snowflake/metrics/warehouse_credits.sql");

#[derive(Deserialize)]
struct Credits {
    query_tag: Option<String>,
    #[serde(default)]
    node_id: Option<String>,
    credits: Option<f64>,
}

/// Credits by environment, and those of all warehouses with their idle time.
pub(in crate::metrics) fn cost(
    warehouse: &mut dyn Warehouse,
    request: &Request<'_>,
    environments: &[Name],
) -> Result<(Table<Cost>, Table<Cost>)> {
    let attributed = account_usage(warehouse, CREDITS, ATTRIBUTION, request.window)?;
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    let scope = Scope::of(warehouse);
    for row in &attributed.rows {
        let tag = row.query_tag.as_deref().and_then(Tag::read);
        // A tag that names no database is of an earlier version, and may be of any database.
        let tagged = tag.and_then(|tag| tag.environment(&scope, None));
        if let (Some(name), Some(credits)) = (tagged, row.credits)
            && environments.iter().any(|environment| environment.as_str() == name)
        {
            *sums.entry(name).or_default() += credits;
        }
    }
    let cost = |(name, credits)| Cost {
        environment: Some(name),
        credits: Some(figures::round(credits)),
        money: None,
    };
    let rows: Vec<Cost> = sums.into_iter().map(cost).collect();
    let metered = account_usage(warehouse, WAREHOUSE_CREDITS, METERING, request.window)?;
    let all = metered.rows.iter().filter(|row| row.credits.is_some());
    let all = all
        .map(|row| Cost { environment: None, credits: row.credits.map(figures::round), money: None })
        .collect();
    Ok((
        with_rows(attributed, rows, "up to 8 hours behind; without queries under about 100 ms and idle time"),
        with_rows(
            metered,
            all,
            "up to 3 hours behind; all that the warehouse in use was used for, idle time too",
        ),
    ))
}

/// Credits by dbt node of these environments, most first.
pub(in crate::metrics) fn cost_by_node(
    warehouse: &mut dyn Warehouse,
    request: &Request<'_>,
    environments: &[Name],
) -> Result<Table<NodeCost>> {
    let attributed = account_usage(warehouse, NODE_CREDITS, ATTRIBUTION, request.window)?;
    let scope = Scope::of(warehouse);
    let mut sums: BTreeMap<(String, Option<String>), f64> = BTreeMap::new();
    for row in &attributed.rows {
        let tag = row.query_tag.as_deref().and_then(Tag::read);
        let tagged = tag.and_then(|tag| tag.environment(&scope, None));
        if let (Some(name), Some(credits)) = (tagged, row.credits)
            && environments.iter().any(|environment| environment.as_str() == name)
        {
            *sums.entry((name, row.node_id.clone())).or_default() += credits;
        }
    }
    let cost = |((environment, node_id), credits)| NodeCost {
        environment,
        node_id,
        credits: Some(figures::round(credits)),
        money: None,
    };
    let mut rows: Vec<NodeCost> = sums.into_iter().map(cost).collect();
    rows.sort_by(|a, b| b.credits.unwrap_or(0.0).total_cmp(&a.credits.unwrap_or(0.0)));
    Ok(with_rows(attributed, rows, "up to 8 hours behind; without queries under about 100 ms and idle time"))
}

/// The same source with what was made of its rows.
fn with_rows<T>(table: Table<Credits>, rows: Vec<T>, delay: &str) -> Table<T> {
    let (status, reason) = match (table.status, rows.is_empty()) {
        (Status::Ok, false) => (Status::Delayed, Some(delay.to_owned())),
        (Status::Ok, true) => {
            (Status::NoData, Some(format!("no credits of the window are known yet ({delay})")))
        }
        (status, _) => (status, table.reason),
    };
    Table { status, source: table.source, reason, rows }
}

/// A view of `ACCOUNT_USAGE`, which most roles may not read.
fn account_usage(
    warehouse: &mut dyn Warehouse,
    template: &str,
    source: &str,
    window: Window,
) -> Result<Table<Credits>> {
    let timestamp = |time: DateTime| format!("cast('{}' as timestamp_ntz)", time.strftime("%F %T%.f"));
    let (window_start, window_end) = (timestamp(window.start), timestamp(window.end));
    let read = warehouse.query(&sql::render(template, context! { window_start, window_end })?);
    let (status, reason, rows): (_, _, Vec<Row>) = match read {
        Ok(rows) => (Status::Ok, None, rows),
        Err(error) if is_forbidden(&error) => {
            (Status::NoPrivilege, Some(format!("the role may not read {source}")), Vec::new())
        }
        Err(error) => return Err(error),
    };
    Ok(Table { status, source: source.to_owned(), reason, rows: collect::records(rows)? })
}
