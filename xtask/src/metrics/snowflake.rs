//! Snowflake's own data: the query history of the last seven days, storage and cost.
//!
//! `QUERY_HISTORY` returns at most 10,000 queries per call, the newest, and does not report the rest. So it
//! is read slice by slice, and a full slice again in halves; queries are missing only if the smallest slice
//! is full, and then the figures say so. Sums, rates and percentiles are computed here from single queries,
//! in the same way as SQL does on the ledger.

mod credits;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::Result;
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use minijinja::context;
use serde::Deserialize;

pub(super) use self::credits::{cost, cost_by_node};
use super::collect::{self, Request};
use super::figures::{self, Log};
use super::model::{Day, Group, Load, Status, Storage, Table, Window};
use super::sql;
use crate::core::environment::Name;
use crate::warehouse::{Warehouse, literal, quote};

pub(super) const QUERY_HISTORY: &str = "INFORMATION_SCHEMA.QUERY_HISTORY";
pub(super) const TABLES: &str = "INFORMATION_SCHEMA.TABLES";
const TABLE_STORAGE_METRICS: &str = "INFORMATION_SCHEMA.TABLE_STORAGE_METRICS";

const HISTORY: &str = include_str!("../../../sql/snowflake/metrics/query_history.sql");
const STORAGE_METRICS: &str = include_str!("../../../sql/snowflake/metrics/storage_metrics.sql");
const STORAGE: &str = include_str!("../../../sql/snowflake/metrics/storage.sql");

/// The most queries that one call of `QUERY_HISTORY` returns.
const PAGE: usize = 10_000;

/// Length of the slices that are asked first.
const SLICE: SignedDuration = SignedDuration::from_hours(24);

/// The length of a slice that is not split further.
const SMALLEST_SLICE: SignedDuration = SignedDuration::from_secs(60);

/// How far `QUERY_HISTORY` reaches back; a little less, since the clock goes on between two calls.
const REACH: SignedDuration = SignedDuration::from_mins(7 * 24 * 60 - 5);

/// A query as `QUERY_HISTORY` has it.
#[derive(Clone, Debug, Deserialize)]
struct Query {
    query_id: String,
    start_time: DateTime,
    total_elapsed_time: Option<f64>,
    execution_status: String,
    database_name: Option<String>,
    schema_name: Option<String>,
    warehouse_name: Option<String>,
    user_name: Option<String>,
    query_tag: Option<String>,
}

/// Where the environments are: names mean nothing without it.
#[derive(Clone, Debug)]
struct Scope {
    database: String,
    project: Option<String>,
}

/// The content of the toolkit's query tags. Tags of other programs can be anything.
#[derive(Debug, Deserialize)]
struct Tag {
    environment: Option<String>,
    tool: Option<String>,
    stage: Option<String>,
    database: Option<String>,
    project: Option<String>,
    /// Whether the toolkit sent the statement itself, and not dbt.
    #[serde(default)]
    own: bool,
}

impl Tag {
    fn read(tag: &str) -> Option<Self> {
        serde_json::from_str(tag).ok()
    }

    /// The environment, if it is one of this database and project. `database` is where the query ran, for
    /// tags of earlier versions, which do not name it.
    fn environment(&self, scope: &Scope, database: Option<&str>) -> Option<String> {
        let database = self.database.as_deref().or(database)?;
        let project = self.project.as_ref().zip(scope.project.as_ref()).is_none_or(|(its, ours)| its == ours);
        let is_here = database.eq_ignore_ascii_case(&scope.database) && project;
        self.environment.as_deref().filter(|_| is_here).map(str::to_ascii_lowercase)
    }

    /// Earlier versions tagged all of the toolkit's statements with their stage, and dbt's with `elt`.
    fn is_own(&self) -> bool {
        let is_ours = self.tool.as_deref() == Some("xtask");
        self.own || (is_ours && self.stage.as_deref().is_some_and(|stage| stage != "elt"))
    }
}

impl Query {
    fn tag(&self) -> Option<Tag> {
        self.query_tag.as_deref().and_then(Tag::read)
    }

    /// The environment that the tag names, else the schema that it ran in.
    fn environment(&self, tag: Option<&Tag>, scope: &Scope) -> Option<String> {
        let database = self.database_name.as_deref();
        match tag.filter(|tag| tag.environment.is_some()) {
            Some(tag) => tag.environment(scope, database),
            None if database.is_some_and(|name| name.eq_ignore_ascii_case(&scope.database)) => {
                self.schema_name.as_deref().map(str::to_ascii_lowercase)
            }
            None => None,
        }
    }
}

impl Scope {
    fn of(warehouse: &dyn Warehouse) -> Self {
        Self { database: warehouse.database(), project: warehouse.project().map(str::to_owned) }
    }
}

/// The query log of the window.
pub(super) fn log(
    warehouse: &mut dyn Warehouse,
    request: &Request<'_>,
    environments: &[Name],
) -> Result<Log> {
    let database = quote(&warehouse.database());
    let reach = request.now.checked_sub(REACH)?;
    let (start, end) = (request.window.start.max(reach), request.now.max(request.window.start));
    let mut fetch = |start: DateTime, end: DateTime| -> Result<Vec<Query>> {
        let (slice_start, slice_end) = (instant(start), instant(end));
        let sql = sql::render(HISTORY, context! { database => &database, slice_start, slice_end })?;
        collect::records(warehouse.query(&sql)?)
    };
    let mut read = Read::default();
    let mut slice = start;
    while slice < end {
        let next = slice.checked_add(SLICE)?.min(end);
        read.slice(slice, next, &mut fetch)?;
        slice = next;
    }
    let names: BTreeSet<&str> = environments.iter().map(Name::as_str).collect();
    let mut log = count(&read.queries, &names, request.window, &Scope::of(warehouse));
    log.ahead_of_clock = Some(0);
    if read.full_slices > 0 {
        log.status = Status::Truncated;
        log.reason = Some(format!(
            "{} minute(s) hold more than the {PAGE} queries that can be read",
            read.full_slices
        ));
    } else if request.window.start < reach {
        log.status = Status::Truncated;
        log.reason = Some(format!(
            "{QUERY_HISTORY} reaches back seven days; the history keeps figures of earlier ones"
        ));
    }
    Ok(log)
}

fn instant(time: DateTime) -> String {
    time.strftime("%FT%T%.fZ").to_string()
}

/// Queries as far as they have been read.
#[derive(Default)]
struct Read {
    queries: Vec<Query>,
    seen: HashSet<String>,
    full_slices: usize,
}

impl Read {
    /// Read the queries that ended from `start` to `end`, in halves if they do not fit into one call.
    fn slice(
        &mut self,
        start: DateTime,
        end: DateTime,
        fetch: &mut dyn FnMut(DateTime, DateTime) -> Result<Vec<Query>>,
    ) -> Result<()> {
        let queries = fetch(start, end)?;
        let length = end.duration_since(start);
        if queries.len() >= PAGE && length > SMALLEST_SLICE {
            let middle = start.checked_add(length / 2)?;
            self.slice(start, middle, fetch)?;
            return self.slice(middle, end, fetch);
        }
        self.full_slices += usize::from(queries.len() >= PAGE);
        // A query that ended on the border of two slices is in both.
        for query in queries {
            if self.seen.insert(query.query_id.clone()) {
                self.queries.push(query);
            }
        }
        Ok(())
    }
}

/// Counts and times of some queries.
#[derive(Default)]
struct Tally {
    queries: i64,
    failed: i64,
    milliseconds: Vec<f64>,
}

impl Tally {
    /// A statement of the toolkit itself that failed (a refused look at a view, a lock that is taken) is not
    /// a failure of the project.
    fn add(&mut self, query: &Query, is_own: bool) {
        self.queries += 1;
        self.failed += i64::from(query.execution_status != "SUCCESS" && !is_own);
        self.milliseconds.extend(query.total_elapsed_time);
    }

    fn load(mut self) -> Load {
        self.milliseconds.sort_by(f64::total_cmp);
        let seconds = |milliseconds: f64| figures::round(milliseconds / 1000.0);
        let times = &self.milliseconds;
        Load {
            queries: self.queries,
            failed_queries: self.failed,
            timed_queries: figures::count(times.len()),
            total_seconds: (!times.is_empty()).then(|| seconds(times.iter().sum())),
            p50_seconds: percentile(times, 0.5).map(seconds),
            p95_seconds: percentile(times, 0.95).map(seconds),
            max_seconds: times.last().copied().map(seconds),
            ..Load::default()
        }
        .derived()
    }
}

/// Interpolated between the two nearest of the sorted values, as SQL's `percentile_cont`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index"
)]
fn percentile(sorted: &[f64], part: f64) -> Option<f64> {
    let place = part * sorted.len().checked_sub(1)? as f64;
    let lower = *sorted.get(place.floor() as usize)?;
    let upper = *sorted.get(place.ceil() as usize)?;
    Some(lower + (upper - lower) * place.fract())
}

/// Count the queries of the environments that started in the window.
fn count(queries: &[Query], environments: &BTreeSet<&str>, window: Window, scope: &Scope) -> Log {
    let mut total = Tally::default();
    let mut days: BTreeMap<Date, Tally> = BTreeMap::new();
    let mut by: [BTreeMap<Option<String>, Tally>; 3] = Default::default();
    for query in queries {
        let tag = query.tag();
        let named = query.environment(tag.as_ref(), scope);
        let Some(environment) = named.filter(|name| environments.contains(name.as_str())) else {
            continue;
        };
        let is_own = tag.is_some_and(|tag| tag.is_own());
        if query.start_time < window.start || query.start_time >= window.end {
            continue;
        }
        total.add(query, is_own);
        days.entry(query.start_time.date()).or_default().add(query, is_own);
        let keys = [Some(environment), query.warehouse_name.clone(), query.user_name.clone()];
        for (groups, key) in by.iter_mut().zip(keys) {
            groups.entry(key).or_default().add(query, is_own);
        }
    }
    let last_day = days.keys().last().copied();
    let groups = |groups: BTreeMap<Option<String>, Tally>| {
        let mut groups: Vec<Group> =
            groups.into_iter().map(|(key, tally)| Group { key, load: tally.load() }).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.load.queries));
        groups
    };
    let [environments, warehouses, users] = by.map(groups);
    Log {
        total: total.load(),
        days: days.into_iter().map(|(date_day, tally)| Day { date_day, load: tally.load() }).collect(),
        environments,
        warehouses: Some(warehouses),
        users,
        last_day,
        ..Log::new(QUERY_HISTORY)
    }
}

/// The schemas of environments as Snowflake keeps their names, and the environment of each as an expression.
fn places(warehouse: &mut dyn Warehouse, environments: &[Name]) -> Result<minijinja::Value> {
    let names: Vec<&str> = environments.iter().map(Name::as_str).collect();
    let further = warehouse.further_schemas(&names)?;
    let first = names.iter().map(|name| name.to_uppercase());
    let schemas: Vec<String> = first.chain(further.keys().cloned()).map(|name| literal(&name)).collect();
    let mut environment = "lower(table_schema)".to_owned();
    if !further.is_empty() {
        let cases =
            further.iter().map(|(schema, of)| format!(" when {} then {}", literal(schema), literal(of)));
        environment = format!("case table_schema{} else {environment} end", cases.collect::<String>());
    }
    Ok(context! { database => quote(&warehouse.database()), schemas => schemas.join(", "), environment })
}

/// Bytes by environment, from the most detailed view that the role may read.
pub(super) fn storage(warehouse: &mut dyn Warehouse, environments: &[Name]) -> Result<Table<Storage>> {
    let values = places(warehouse, environments)?;
    let detailed = match warehouse.query(&sql::render(STORAGE_METRICS, values.clone())?) {
        Ok(rows) => rows,
        Err(error) if is_forbidden(&error) => Vec::new(),
        Err(error) => return Err(error),
    };
    let (source, reason, rows) = if detailed.is_empty() {
        let reason =
            format!("bytes of current rows only: {TABLE_STORAGE_METRICS} shows rows to ACCOUNTADMIN only");
        (TABLES, Some(reason), warehouse.query(&sql::render(STORAGE, values)?)?)
    } else {
        (TABLE_STORAGE_METRICS, None, detailed)
    };
    let rows: Vec<Storage> = collect::records(rows)?;
    let status = if rows.is_empty() { Status::NoData } else { Status::Ok };
    Ok(Table { status, source: source.to_owned(), reason, rows })
}

/// Whether Snowflake said that the role may not see it, by the SQL states of its answer: 02000 for an object
/// that does not exist or is hidden from the role, which it does not distinguish, and 42501 for a missing
/// privilege.
fn is_forbidden(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    text.contains("(02000)") || text.contains("(42501)")
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;

    fn time(text: &str) -> DateTime {
        text.parse().expect("a time")
    }

    fn query(id: usize, start: &str, elapsed: Option<f64>) -> Query {
        Query {
            query_id: id.to_string(),
            start_time: time(start),
            total_elapsed_time: elapsed,
            execution_status: "SUCCESS".into(),
            database_name: Some("DB".into()),
            schema_name: Some("DEV".into()),
            warehouse_name: Some("WH".into()),
            user_name: None,
            query_tag: None,
        }
    }

    /// A history with a query every `every` seconds from midnight on; answers as Snowflake does.
    fn history(queries: usize, every: i64) -> impl FnMut(DateTime, DateTime) -> Result<Vec<Query>> {
        let midnight = time("2026-03-02T00:00:00");
        move |start, end| {
            let ended = move |id: usize| -> Result<DateTime> {
                Ok(midnight.checked_add((i64::try_from(id)? * every).seconds())?)
            };
            let mut found = Vec::new();
            for id in (0..queries).rev() {
                let ended = ended(id)?;
                if ended >= start && ended <= end && found.len() < PAGE {
                    found.push(query(id, "2026-03-02T00:00:00", Some(1.0)));
                }
            }
            Ok(found)
        }
    }

    fn read(queries: usize, every: i64) -> (usize, usize) {
        let mut read = Read::default();
        let mut fetch = history(queries, every);
        read.slice(time("2026-03-02T00:00:00"), time("2026-03-03T00:00:00"), &mut fetch).expect("read");
        (read.queries.len(), read.full_slices)
    }

    #[test]
    fn a_full_slice_is_read_again_in_halves() {
        assert_eq!(read(9_999, 1), (9_999, 0));
        assert_eq!(
            read(10_000, 1),
            (10_000, 0),
            "exactly a page may be truncated: the halves prove that it is not"
        );
        assert_eq!(read(25_000, 3), (25_000, 0));
    }

    #[test]
    fn a_moment_with_more_than_a_page_is_reported_as_truncated() {
        assert_eq!(read(10_500, 0), (10_000, 1));
    }

    #[test]
    fn percentiles_are_those_of_sql() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[7.0], 0.95), Some(7.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 10.0], 0.5), Some(2.5));
        let p95 = percentile(&[1.0, 1.0, 1.0, 1.0, 100.0], 0.95).expect("a value");
        assert!((p95 - 80.2).abs() < 1e-9, "{p95}");
    }

    #[test]
    fn queries_belong_to_their_tag_else_to_their_schema() {
        let window = Window::ending(time("2026-03-08T12:00:00"), 7).expect("a window");
        let mut queries = vec![
            query(1, "2026-03-02T00:00:00", Some(1000.0)),
            query(2, "2026-03-08T11:59:59.999", Some(3000.0)),
            query(3, "2026-03-08T12:00:00", Some(9000.0)),
            query(4, "2026-03-01T23:59:59.999", Some(9000.0)),
            query(5, "2026-03-05T00:00:00", None),
            query(6, "2026-03-05T00:00:00", Some(9000.0)),
            query(7, "2026-03-05T00:00:00", Some(5000.0)),
            // Of another database, of another project, and refused queries of the toolkit itself.
            query(8, "2026-03-05T00:00:00", None),
            query(9, "2026-03-05T00:00:00", None),
            query(10, "2026-03-05T00:00:00", None),
            query(11, "2026-03-05T00:00:00", None),
            query(12, "2026-03-05T00:00:00", None),
        ];
        queries[7].database_name = Some("OTHER".into());
        queries[8].query_tag = Some(r#"{"environment": "dev", "database": "OTHER"}"#.into());
        queries[9].query_tag = Some(r#"{"environment": "dev", "database": "DB", "project": "bikes"}"#.into());
        queries[10].query_tag =
            Some(r#"{"environment": "issue_7", "database": "DB", "project": "shop", "own": true}"#.into());
        queries[10].execution_status = "FAILED_WITH_ERROR".into();
        queries[11].query_tag =
            Some(r#"{"environment": "issue_7", "tool": "xtask", "stage": "metrics"}"#.into());
        queries[11].execution_status = "FAILED_WITH_ERROR".into();
        queries[4].execution_status = "FAILED_WITH_INCIDENT".into();
        queries[5].query_tag = Some(r#"{"environment": "prod"}"#.into());
        queries[6].query_tag = Some(r#"{"environment": "Issue_7", "tool": "xtask"}"#.into());
        queries[6].schema_name = Some("PUBLIC".into());
        let scope = Scope { database: "DB".into(), project: Some("shop".into()) };
        let log = count(&queries, &BTreeSet::from(["dev", "issue_7"]), window, &scope);
        let total = log.total;
        assert_eq!((total.queries, total.failed_queries, total.timed_queries), (6, 1, 3));
        assert_eq!(
            (total.total_seconds, total.mean_seconds, total.p50_seconds),
            (Some(9.0), Some(3.0), Some(3.0))
        );
        let keys: Vec<_> =
            log.environments.iter().map(|group| (group.key.as_deref(), group.load.queries)).collect();
        assert_eq!(keys, [(Some("dev"), 3), (Some("issue_7"), 3)]);
        assert_eq!(log.days.len(), 3);
        assert_eq!(log.last_day, Some("2026-03-08".parse().expect("a day")));
    }
}
