//! The whole page, rendered from reports that are made here: one without data, one with hostile text, and one
//! of a large project. `tests/it/report_page.rs` tests the page in a browser.

use std::collections::HashMap;

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime, date};

use super::gather::{Model, Project};
use super::*;
use crate::metrics::model::{
    Day, Layer, Load, Relation, Run, RunNode, Storage, Table as Rows, Unit as Of, Value, Window,
};

const DAY: Date = date(2026, 11, 23);

fn at(seconds: f64) -> DateTime {
    let micros = format!("{:.0}", seconds * 1e6).parse::<i64>().expect("microseconds");
    DAY.at(6, 0, 0, 0) + micros.microseconds()
}

fn rows<T>(rows: Vec<T>) -> Rows<T> {
    Rows { status: Status::Ok, source: "a ledger".into(), reason: None, rows }
}

fn none<T>(status: Status, reason: &str) -> Rows<T> {
    Rows { status, source: "a ledger".into(), reason: Some(reason.into()), rows: Vec::new() }
}

/// A report of an environment in which nothing has ever run.
pub(in crate::metrics) fn nothing() -> Report {
    Report {
        version: 1,
        window: Window { start: (DAY - 6.days()).at(0, 0, 0, 0), end: DAY.at(8, 0, 0, 0), days: 7 },
        scope: "issue_42".into(),
        environment: Some("issue_42".into()),
        environments: vec!["issue_42".into()],
        in_use: Vec::new(),
        target: "local".into(),
        generated_at: DAY.at(8, 0, 0, 0),
        toolkit_version: "0.1.0".into(),
        figures: Vec::new(),
        daily: none(Status::NoData, "no query yet"),
        by_environment: none(Status::NoData, "no query yet"),
        by_warehouse: none(Status::NotSupported, "DuckDB has no warehouses"),
        by_user: none(Status::NoPrivilege, "the role may not see users"),
        storage: none(Status::NoData, "no table yet"),
        data_ages: none(Status::NoData, "no column is named"),
        relations: none(Status::NoData, "no table yet"),
        slowest_nodes: none(Status::NoData, "no node yet"),
        failing_nodes: rows(Vec::new()),
        failing_tests: rows(Vec::new()),
        runs: none(Status::NoData, "no run yet"),
        latest_run: none(Status::NoData, "no run yet"),
        tests_by_layer: none(Status::NoData, "no test yet"),
        lifetime: rows(Vec::new()),
        cost: none(Status::NotSupported, "DuckDB costs no credits"),
        cost_by_node: none(Status::NotSupported, "DuckDB costs no credits"),
        currency: None,
        growing_nodes: none(Status::NoData, "no node yet"),
        costly_tests: none(Status::NoData, "no test yet"),
        test_history: none(Status::NoData, "no test yet"),
        schema_changes: none(Status::NoData, "no relation has other columns"),
        alerts: Vec::new(),
        history: rows(Vec::new()),
    }
}

fn figure(name: &str, value: Option<f64>, unit: Of, status: Status) -> model::Figure {
    model::Figure {
        name: name.into(),
        value: value.map(Value::Real),
        unit,
        span: Span::Window,
        status,
        source: "ledger_queries".into(),
        reason: None,
        previous: value.map(|value| Value::Real(value / 2.0)),
        change_ratio: Some(1.0),
    }
}

/// A project of `models` models, four tests each, three links each, and a run of all of it.
fn project(models: usize) -> (Report, Extra) {
    const LAYERS: [&str; 4] = ["bronze", "silver", "gold", "monitoring"];
    let mut report = nothing();
    let mut extra = Extra::default();
    let layer = |i: usize| LAYERS[i * LAYERS.len() / models.max(1)];
    let name = |i: usize| format!("{}__a_model_with_a_name_of_usual_length_{i}", layer(i));
    for i in 0..models {
        let id = format!("model.logistics.{}", name(i));
        let start = many_of(i) * 0.2;
        let node = RunNode {
            run_id: "run".into(),
            environment: "issue_42".into(),
            node_id: id.clone(),
            name: name(i),
            kind: "model".into(),
            layer: Some(layer(i).into()),
            materialized: Some("table".into()),
            status: if i % 97 == 96 { "error" } else { "success" }.into(),
            started_at: Some(at(start)),
            seconds: Some(0.1 + many_of(i % 7) * 0.03),
            rows: Some(1000 + i64::try_from(i).expect("few")),
            failures: None,
            message: (i % 97 == 96).then(|| "Database Error: a column that is not there".into()),
            path: Some(format!("models/{}/{}.sql", layer(i), name(i))),
            owner: None,
            tags: None,
        };
        for test in 0..4 {
            let test_id = format!("test.logistics.{}_is_well_in_respect_{test}", name(i));
            extra.project.guarded.insert(test_id.clone(), vec![id.clone()]);
            extra.project.parents.insert(test_id.clone(), vec![id.clone()]);
            report.latest_run.rows.push(RunNode {
                node_id: test_id,
                name: format!("{}_is_well_in_respect_{test}", name(i)),
                kind: "test".into(),
                materialized: None,
                status: if i % 50 == 49 && test == 0 { "fail" } else { "pass" }.into(),
                started_at: Some(at(start + 0.3)),
                seconds: Some(0.05),
                rows: None,
                failures: Some(i64::from(i % 50 == 49 && test == 0)),
                message: None,
                path: Some(format!("models/{}/{}.yml", layer(i), name(i))),
                ..node.clone()
            });
        }
        let stride = models / LAYERS.len();
        let parents = (0..3).filter_map(|n| i.checked_sub(stride + n * 3));
        let parents = parents.map(|p| format!("model.logistics.{}", name(p))).collect();
        extra.project.parents.insert(id.clone(), parents);
        extra.project.models.insert(
            id,
            Model {
                name: name(i),
                kind: "model".into(),
                layer: Some(layer(i).into()),
                materialized: Some("table".into()),
                path: node.path.clone(),
                description: "Grain: one row per day and product. ".repeat(8),
                owner: Some("Ann <ann@example.com>".into()),
                tags: vec!["daily".into(), "finance".into()],
            },
        );
        report.relations.rows.push(Relation {
            environment: "issue_42".into(),
            relation_name: name(i),
            relation_type: "table".into(),
            layer: Some(layer(i).into()),
            row_count: node.rows,
            previous_row_count: Some(1000),
            row_count_change: Some(3),
            row_count_change_ratio: Some(0.003),
            storage_bytes: Some(262_144),
            storage_change_bytes: Some(0),
            measured_at: at(0.0),
            previous_measured_at: None,
            baseline_row_count: None,
            baseline_days: None,
            last_built_at: Some(at(start)),
            age_seconds: Some(7200),
        });
        report.latest_run.rows.push(node);
    }
    for table in [&mut report.latest_run.status, &mut report.relations.status] {
        *table = Status::Ok;
    }
    report.latest_run.reason = None;
    report.relations.reason = None;
    fill_rest(&mut report);
    (report, extra)
}

fn many_of(count: usize) -> f64 {
    grid::many(count)
}

/// Queries, runs, tests and storage, with the gaps of a real report.
fn fill_rest(report: &mut Report) {
    let day = |i: i32| Day {
        date_day: DAY - (6 - i).days(),
        load: Load {
            queries: 100 + i64::from(i) * 10,
            failed_queries: i64::from(i % 3),
            failure_rate: Some(f64::from(i % 3) / (100.0 + f64::from(i) * 10.0)),
            timed_queries: if i == 3 { 0 } else { 100 },
            p50_seconds: (i != 3).then_some(0.1),
            p95_seconds: (i != 3).then(|| 0.4 + f64::from(i) * 0.05),
            mean_seconds: (i != 3).then_some(0.2),
            max_seconds: (i != 3).then_some(3.0),
            total_seconds: (i != 3).then_some(20.0),
        },
    };
    report.daily = rows((0..7).map(day).collect());
    let run = |i: u32| Run {
        run_id: format!("run-{i}"),
        environment: "issue_42".into(),
        started_at: at(f64::from(i) * -9000.0),
        finished_at: None,
        status: if i == 4 { "fail" } else { "success" }.into(),
        seconds: (i != 7).then(|| 7.0 + f64::from(i % 5)),
        dbt_seconds: Some(6.5),
        up_to_date: i == 2,
        git_commit: Some("fbb6074a46a8b23e91917266c35cd4382e501fec".into()),
        git_branch: Some("main".into()),
        triggered_by: Some("ada".into()),
        run_url: None,
        dbt_version: Some("1.11.16".into()),
        message: None,
    };
    report.runs = rows((0..12).map(run).collect());
    report.tests_by_layer = rows(vec![
        Layer {
            layer: None,
            tests: 1,
            passed: 1,
            failed: 0,
            skipped: 0,
            pass_rate: Some(1.0),
            oldest_result_at: None,
        },
        Layer {
            layer: Some("bronze".into()),
            tests: 34,
            passed: 33,
            failed: 1,
            skipped: 0,
            pass_rate: Some(33.0 / 34.0),
            oldest_result_at: None,
        },
        Layer {
            layer: Some("gold".into()),
            tests: 3,
            passed: 0,
            failed: 0,
            skipped: 3,
            pass_rate: None,
            oldest_result_at: None,
        },
    ]);
    report.storage = rows(vec![Storage {
        environment: "issue_42".into(),
        active_bytes: Some(6_000_000),
        time_travel_bytes: None,
        fail_safe_bytes: None,
        clone_retained_bytes: None,
        tables: 12,
        unmeasured_tables: 0,
    }]);
    report.figures = vec![
        figure("queries", Some(910.0), Of::Count, Status::Ok),
        figure("query_failure_rate", Some(0.01), Of::Ratio, Status::Truncated),
        figure("storage_bytes", None, Of::Bytes, Status::NoPrivilege),
        figure("credits", None, Of::Credits, Status::NotSupported),
    ];
}

#[test]
fn without_data_the_page_shows_reasons_and_no_zeros() {
    let page = render(&nothing(), &Extra::default()).expect("a page");
    for said in [
        "no query yet",
        "no run yet",
        "DuckDB has no warehouses",
        "the role may not see users",
        "Nothing failed",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains(r#"class="value">0"#));
    assert!(!page.contains("NaN") && !page.contains("inf%"));
}

#[test]
fn unknown_figures_show_a_reason_unsupported_ones_have_no_card() {
    let (report, extra) = project(8);
    let page = render(&report, &extra).expect("a page");
    assert!(page.contains("The role may not read it (ledger_queries)."));
    assert!(page.contains("at least, of all queries"));
    assert!(page.contains(r#""g":"daily, finance""#), "tags are in the records");
    assert!(!page.contains("<dt>Credits</dt>"));
}

#[test]
fn hostile_text_reaches_the_page_as_text() {
    const HOSTILE: &str = "</script></title></style><script>alert('1')</script><img src=x onerror=\"alert(2)\">\u{202e}\u{1f4a5}";
    let (mut report, mut extra) = project(8);
    report.environment = Some(HOSTILE.into());
    for node in &mut report.latest_run.rows {
        node.name = HOSTILE.into();
        node.message = Some(HOSTILE.into());
    }
    for run in &mut report.runs.rows {
        run.message = Some(HOSTILE.into());
        run.git_branch = Some(HOSTILE.into());
    }
    for model in extra.project.models.values_mut() {
        model.name = HOSTILE.into();
        model.description = HOSTILE.into();
        model.layer = Some(HOSTILE.into());
    }
    report.latest_run.rows[0].status = "\" onload=\"".into();
    let page = render(&report, &extra).expect("a page");
    assert_eq!(page.matches("<script").count(), 2, "the data and the script");
    assert_eq!(page.matches("</title>").count(), 1);
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(!page.contains("<img"));
    // In the records a quote is escaped as JSON requires; anywhere else it must not end an attribute.
    let records = page.find("application/json").expect("the records");
    assert!(!page[..records].contains("\" onload="));
}

#[test]
fn a_thousand_models_stay_under_three_megabytes() {
    let (report, extra) = project(1000);
    let page = render(&report, &extra).expect("a page");
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert_eq!(page.matches(r#"<button type="button" class="node"#).count(), 1000);
}

#[test]
fn without_the_manifest_the_models_of_the_run_are_shown_and_the_reason() {
    let (report, _) = project(8);
    let extra = Extra {
        project: Project {
            reason: Some("manifest.json is not on this machine".into()),
            ..Project::default()
        },
        threads: HashMap::new(),
        ..Extra::default()
    };
    let page = render(&report, &extra).expect("a page");
    assert!(page.matches("manifest.json is not on this machine").count() >= 2);
    assert_eq!(page.matches(r#"<button type="button" class="node"#).count(), 8);
}

#[test]
fn the_security_policy_allows_the_script() {
    let page = render(&nothing(), &Extra::default()).expect("a page");
    let start = page.rfind("<script>").expect("a script") + "<script>".len();
    let script = &page[start..page.rfind("</script>").expect("its end")];
    let hash = BASE64_STANDARD.encode(Sha256::digest(script));
    assert!(
        page.contains(&format!("script-src 'sha256-{hash}'")) || page.contains(&hash.replace('/', "&#x2f;"))
    );
}
