//! What outlives what: alerts and their channels, dropped environments, ledgers of other releases, and the histories
//! of tests and of columns.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{checkout, metrics, report, run};
use crate::support::endpoint::Endpoint;
use crate::support::server::{Reply, Server};
use crate::support::{Checkout, Ended, duckdb};

const STATE: &str = "state/alerts.json";

/// Measure now, and report the alerts to a channel; the messages that it got.
fn sent(checkout: &Checkout, server: &Server, scope: &[&str], channel: Option<&str>) -> Vec<Value> {
    let before = server.requests().len();
    let measure = [&["metrics", "--format", "json", "--output", "m.json"], scope].concat();
    checkout.run(&measure).expect(0);
    let mut command = checkout.command(&["notify", "alerts", "--metrics", "m.json", "--state", STATE]);
    if let Some(channel) = channel {
        command.args(["--channel", channel]);
    }
    command.env("SLACK_WEBHOOK_URL", format!("{}/hook", server.url)).env("NO_PROXY", "127.0.0.1");
    Ended::of(command).expect(0);
    server.requests()[before..].iter().map(|request| request.json()).collect()
}

/// Report the ends of alerts of dropped environments to a channel; the messages that it got.
fn ends(checkout: &Checkout, server: &Server, channel: &str) -> Vec<Value> {
    let before = server.requests().len();
    let mut command = checkout.command(&["notify", "dropped", "--state", STATE, "--channel", channel]);
    command.env("SLACK_WEBHOOK_URL", format!("{}/hook", server.url)).env("NO_PROXY", "127.0.0.1");
    Ended::of(command).expect(0);
    server.requests()[before..].iter().map(|request| request.json()).collect()
}

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["text"].as_str().expect("a text")).collect()
}

/// One rule: tests fail.
fn with_rule(checkout: &Checkout) {
    checkout.edit("policies/alerts.toml", |_| {
        "[[alerts]]\nname = \"tests fail\"\nfigure = \"failed_tests\"\nseverity = \"high\"\nabove = 0\n"
            .to_owned()
    });
}

/// A run of dev that ends now, with one test.
fn tested(checkout: &Checkout, id: &str, status: &str) {
    checkout.sql(&format!(
        "insert into dev.ledger_runs by name select '{id}' as run_id, 'dev' as schema_name,
             now()::timestamp - interval 1 minute as started_at, now()::timestamp as finished_at, 'success' as status,
             1 as seconds, true as dbt_started, false as up_to_date, false as full_refresh, '0' as toolkit_version;
         insert into dev.ledger_nodes by name select '{id}' as run_id, 'test.p.t' as node_id, 't' as name,
             'test' as kind, '{status}' as status, now()::timestamp as started_at, 1 as seconds, 2 as failures"
    ));
}

#[test]
fn each_channel_gets_each_start_and_each_end_once() {
    let server = Server::start(|_| Reply::new(200, "ok"));
    let checkout = checkout();
    with_rule(&checkout);
    let scope = ["--schema", "dev"];
    tested(&checkout, "a", "fail");
    let started = ["🔔 dev: alert started: tests fail"];
    assert_eq!(texts(&sent(&checkout, &server, &scope, None)), started);
    assert_eq!(texts(&sent(&checkout, &server, &scope, Some("team-b"))), started);
    for channel in [None, Some("slack"), Some("team-b")] {
        assert!(sent(&checkout, &server, &scope, channel).is_empty(), "{channel:?}");
    }
    tested(&checkout, "b", "pass");
    let ended = ["🔕 dev: alert ended: tests fail"];
    assert_eq!(texts(&sent(&checkout, &server, &scope, Some("team-b"))), ended);
    assert_eq!(texts(&sent(&checkout, &server, &scope, None)), ended);
    for channel in [None, Some("team-b"), Some("team-c")] {
        assert!(sent(&checkout, &server, &scope, channel).is_empty(), "{channel:?}");
    }
    let said =
        checkout.run(&["notify", "alerts", "--metrics", "m.json", "--channel", "a\nb"]).expect(2).stderr;
    assert!(said.contains("a channel's name"), "{said}");
}

#[test]
fn a_dropped_environment_leaves_no_rows_and_its_alerts_end() {
    let server = Server::start(|_| Reply::new(200, "ok"));
    let checkout = Checkout::new();
    let again = |checkout: &Checkout| {
        checkout.run(&["schema", "create", "--schema", "issue_1"]).expect(0);
        checkout.sql(
            "insert into issue_1.ledger_runs by name select 'r' as run_id, 'issue_1' as schema_name,
                 now()::timestamp as started_at, now()::timestamp as finished_at, 'success' as status, 1 as seconds,
                 true as dbt_started, false as up_to_date, false as full_refresh, '0' as toolkit_version;
             insert into issue_1.ledger_nodes by name select 'r' as run_id, 'test.p.t' as node_id, 't' as name,
                 'test' as kind, 'fail' as status, now()::timestamp as started_at, 1 as seconds, 2 as failures",
        );
    };
    with_rule(&checkout);
    again(&checkout);
    let started = ["🔔 issue_1: alert started: tests fail"];
    assert_eq!(texts(&sent(&checkout, &server, &["--schema", "issue_1"], None)), started);
    assert_eq!(sent(&checkout, &server, &[], None).len(), 1, "that of all environments is another scope");

    let mut drop = checkout.command(&["schema", "drop", "--schema", "issue_1"]);
    drop.env("XTASK_ALERT_STATE", STATE);
    Ended::of(drop).expect(0);
    let left =
        |table: &str| checkout.sql(&format!("select * from xtask_registry.{table} where scope = 'issue_1'"));
    for table in ["metrics_history", "metrics_alerts"] {
        assert!(left(table).is_empty(), "{table}");
    }
    assert_eq!(left("metrics_reported")[0]["state"], "dropped", "until its end is sent");
    assert_eq!(texts(&ends(&checkout, &server, "team-b")), [""; 0], "it was not sent the start");
    assert_eq!(texts(&ends(&checkout, &server, "slack")), ["🔕 issue_1: alert ended: tests fail"]);
    assert_eq!(texts(&ends(&checkout, &server, "slack")), [""; 0]);
    assert!(left("metrics_reported").is_empty());
    let kept = fs::read_to_string(checkout.path(STATE)).expect("a state");
    assert!(!kept.contains("issue_1") && kept.contains("\"*\""), "{kept}");
    // No environment is left that the alert of all could be about.
    assert_eq!(texts(&sent(&checkout, &server, &[], None)), ["🔕 all environments: alert ended: tests fail"]);
    assert!(sent(&checkout, &server, &[], None).is_empty());

    again(&checkout);
    assert_eq!(texts(&sent(&checkout, &server, &["--schema", "issue_1"], None)), started, "a new one");
}

#[test]
fn the_alerts_of_an_environment_dropped_at_snowflake_end() {
    let server = Server::start(|_| Reply::new(200, "ok"));
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    checkout.edit("policies/alerts.toml", |_| {
        "[[alerts]]\nname = \"queries fail\"\nfigure = \"failed_queries\"\nseverity = \"high\"\nabove = 0\n"
            .to_owned()
    });
    let call = |args: &[&str]| {
        let before = server.requests().len();
        let mut command = endpoint.command(&checkout, args);
        command.env("SLACK_WEBHOOK_URL", format!("{}/hook", server.url)).env("NO_PROXY", "127.0.0.1");
        Ended::of(command).expect(0);
        let sent: Vec<Value> = server.requests()[before..].iter().map(|request| request.json()).collect();
        texts(&sent).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    call(&["schema", "create", "--schema", "issue_1"]);
    endpoint.remember(
        "select 'q' as query_id, 'SELECT' as query_type, 'LOGISTICS_DEMO' as database_name, 'ISSUE_1' as schema_name,
             'ann' as user_name, cast(now() at time zone 'utc' as timestamp) - interval 1 hour as start_time,
             start_time as end_time, 5 as total_elapsed_time, 'FAILED_WITH_ERROR' as execution_status,
             null as query_tag",
    );
    call(&["metrics", "--schema", "issue_1", "--format", "json", "--output", "m.json"]);
    assert_eq!(
        call(&["notify", "alerts", "--metrics", "m.json"]),
        ["🔔 issue_1: alert started: queries fail"]
    );
    call(&["schema", "drop", "--schema", "issue_1"]);
    assert_eq!(call(&["notify", "dropped"]), ["🔕 issue_1: alert ended: queries fail"]);
    assert_eq!(call(&["notify", "dropped"]), [""; 0]);
}

#[test]
fn many_ledgers_of_older_and_newer_releases_are_read_together() {
    let checkout = checkout();
    let own = checkout.database("dev");
    // More than are read at once.
    for number in 1..=60 {
        fs::copy(&own, checkout.database(&format!("issue_{number}"))).expect("a copy");
    }
    checkout.sql(
        "alter table issue_1.ledger_runs add column from_the_future varchar;
         alter table issue_1.ledger_queries add column from_the_future varchar;
         alter table issue_2.ledger_relations drop column column_types;
         alter table issue_2.ledger_nodes drop column path;
         update issue_1.ledger_runs set schema_name = 'issue_1', started_at = now()::timestamp - interval 1 hour;
         update issue_2.ledger_runs set schema_name = 'issue_2', started_at = now()::timestamp - interval 1 hour;
         update issue_60.ledger_runs set schema_name = 'issue_60', started_at = now()::timestamp - interval 1 hour",
    );
    let expect = |environments: usize, with_runs: &[&str]| {
        let all = checkout.run(&["metrics", "--format", "json"]).expect(0).json();
        assert_eq!(all["environments"].as_array().map(Vec::len), Some(environments));
        let rows = all["runs"]["rows"].as_array().expect("runs");
        let mut runs: Vec<&str> = rows.iter().filter_map(|run| run["environment"].as_str()).collect();
        runs.sort_unstable();
        assert_eq!(runs, with_runs);
        all["in_use"].clone()
    };
    assert_eq!(expect(61, &["issue_1", "issue_2", "issue_60"]), json!([]));

    // One that another program writes to is left out, and the others of its group are read.
    let mut shell = Command::new(duckdb());
    shell.args(["-batch", "-noheader", "-csv"]).arg(checkout.database("issue_2"));
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("duckdb");
    let mut typed = shell.stdin.take().expect("its input");
    writeln!(typed, "select 'open';").expect("a question");
    let mut answer = String::new();
    BufReader::new(shell.stdout.take().expect("its output")).read_line(&mut answer).expect("an answer");
    assert_eq!(answer, "open\n");
    let in_use = expect(60, &["issue_1", "issue_60"]);
    assert_eq!(in_use[0]["environment"], "issue_2", "{in_use}");
    drop(typed);
    shell.wait().expect("an end");
}

/// A run of one minute in the morning of a day of March.
fn run_on(checkout: &Checkout, day: &str) -> String {
    let id = format!("run-{day}");
    let at = |minute: u8| format!("2026-03-{day} 09:0{minute}:00");
    run(checkout, &id, &at(0), &at(1), "success");
    id
}

#[test]
fn each_test_has_its_results() {
    let checkout = checkout();
    for (day, results) in [
        ("03", ["pass", "pass", "skipped"]),
        ("04", ["fail", "pass", "warn"]),
        ("05", ["pass", "pass", "skipped"]),
    ] {
        let id = run_on(&checkout, day);
        for (test, status) in ["a", "b", "c"].iter().zip(results) {
            checkout.sql(&format!(
                "insert into dev.ledger_nodes by name select '{id}' as run_id, 'test.p.{test}' as node_id,
                     '{test}' as name, 'test' as kind, 'gold' as layer, '{status}' as status,
                     timestamp '2026-03-{day} 09:00:30' as started_at, 1 as seconds,
                     if('{status}' = 'fail', 7, 0) as failures"
            ));
        }
    }
    let history = report(&checkout)["test_history"].clone();
    assert_eq!(history["status"], "ok");
    let rows = history["rows"].as_array().expect("tests");
    let names: Vec<&Value> = rows.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["a", "c", "b"], "what failed most comes first, then what warned");
    let a = &rows[0];
    assert_eq!((&a["passed"], &a["failed"], &a["changes"]), (&json!(2), &json!(1), &json!(2)));
    assert_eq!(a["last_failed_at"], "2026-03-04T09:00:00Z");
    let results: Vec<&Value> =
        a["results"].as_array().expect("results").iter().map(|result| &result["status"]).collect();
    assert_eq!(results, ["pass", "fail", "pass"]);
    assert_eq!(a["results"][1]["failures"], 7);
    assert_eq!(rows[1]["results"].as_array().map(Vec::len), Some(1), "a skipped test has no result");

    run(&checkout, "last", "2026-03-06 09:00:00", "2026-03-06 09:01:00", "success");
    checkout.sql(
        "insert into dev.ledger_nodes by name select 'last' as run_id, 'test.p.a' as node_id, 'a' as name,
             'test' as kind, 'removed' as status",
    );
    let rows = report(&checkout)["test_history"]["rows"].clone();
    assert!(rows.as_array().expect("tests").iter().all(|row| row["name"] != "a"), "{rows}");
}

#[test]
fn columns_that_differ_from_the_run_before_are_listed() {
    let checkout = checkout();
    for (day, columns) in [
        // A ledger of an earlier release has no columns: that is not a change.
        ("02", "null"),
        ("03", r#"'[["id","INTEGER"],["old","DATE"]]'"#),
        ("04", r#"'[["id","INTEGER"],["old","DATE"]]'"#),
        ("05", r#"'[["id","BIGINT"],["it''s \"new\"","VARCHAR"]]'"#),
    ] {
        let id = run_on(&checkout, day);
        checkout.sql(&format!(
            "insert into dev.ledger_relations by name select '{id}' as run_id, 'orders' as relation_name,
                 'table' as relation_type, timestamp '2026-03-{day} 09:01:00' as measured_at, {columns} as column_types"
        ));
    }
    let changes = report(&checkout)["schema_changes"].clone();
    let rows = changes["rows"].as_array().expect("changes");
    let said: Vec<String> = rows
        .iter()
        .map(|row| {
            format!("{} {} {} {}", row["column_name"], row["change"], row["previous_type"], row["data_type"])
        })
        .collect();
    assert_eq!(
        said,
        [
            r#""id" "retyped" "INTEGER" "BIGINT""#,
            r#""it's \"new\"" "added" null "VARCHAR""#,
            r#""old" "removed" "DATE" null"#
        ]
    );
    assert_eq!(rows[0]["measured_at"], "2026-03-05T09:01:00Z");
    assert_eq!(rows[0]["previous_measured_at"], "2026-03-04T09:01:00Z");
    let csv = checkout.run(&metrics(&["--format", "csv"])).expect(0).stdout;
    assert!(csv.contains("schema_changes,dev/orders/id,2026-03-05T09:01:00Z,change,retyped"), "{csv}");
}
