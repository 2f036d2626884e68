//! `tests/cases/incidents/`: events in an environment, step by step, and the messages that the channel gets.
//!
//! After each step the lines of the shipped workflows run as they are: those of `observability.yml`, then those of the
//! orchestrator's last job. Each start and each end of an alert must be in exactly one message.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::Deserialize;
use serde_json::Value;

use crate::support::server::{Reply, Server};
use crate::support::{Checkout, Ended, environment, program, root, scrubbed_program};
use crate::workflows::yaml;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    incident: Vec<Incident>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Incident {
    name: String,
    #[serde(default = "prod")]
    environment: String,
    steps: Vec<Step>,
}

fn prod() -> String {
    "prod".to_owned()
}

/// The events of a step, in this order, and the messages then.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Step {
    /// Days that pass: everything recorded so far becomes older.
    days_pass: Option<u32>,
    run: Option<Run>,
    /// Queries of the last minutes.
    queries: Option<Queries>,
    sql: Option<String>,
    /// Takes the place of `policies/alerts.toml`.
    policy: Option<String>,
    /// Command lines that are run by hand, before and after the pipeline.
    by_hand: Vec<String>,
    /// The lines of `cleanup.yml` run, in place of the pipeline.
    dropped: bool,
    /// The channel answers with an error.
    slack_is_down: bool,
    /// A copy of the alerts' state that is lost; the other is not.
    lost: Option<Lost>,
    expect: Vec<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Lost {
    /// The runner's.
    StateFile,
    /// The warehouse's, as on DuckDB with its runner.
    Registry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    status: String,
    #[serde(default)]
    up_to_date: bool,
    /// Tests with their results.
    #[serde(default)]
    tests: BTreeMap<String, String>,
    /// Tables with their rows.
    #[serde(default)]
    rows: BTreeMap<String, i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Queries {
    count: u32,
    #[serde(default)]
    failed: u32,
    #[serde(default = "ten")]
    milliseconds: u32,
}

fn ten() -> u32 {
    10
}

/// A workflow's command with the environment that it gets.
struct Line {
    run: String,
    env: Vec<(String, String)>,
}

/// The lines of a job, with the values that an expression has here.
fn lines(file: &str, job: &str, value: &dyn Fn(&str) -> String) -> Vec<Line> {
    let workflow = yaml::read(&root().join(".github/workflows").join(file));
    let job = &workflow["jobs"][job];
    let filled = |env: &Value| -> Vec<(String, String)> {
        let entries = env.as_object().into_iter().flatten();
        entries
            .map(|(name, text)| {
                let text = text.as_str().expect("a text");
                let inner = text.strip_prefix("${{").and_then(|text| text.strip_suffix("}}"));
                (name.clone(), inner.map_or_else(|| text.to_owned(), |inner| value(inner.trim())))
            })
            .collect()
    };
    let steps = job["steps"].as_array().expect("steps").iter();
    steps
        .filter_map(|step| {
            let run = step["run"].as_str()?.to_owned();
            Some(Line { run, env: [filled(&job["env"]), filled(&step["env"])].concat() })
        })
        .collect()
}

/// One incident while it goes on.
struct Scene<'a> {
    incident: &'a Incident,
    checkout: Checkout,
    server: Server,
    is_down: &'static AtomicBool,
    runs: usize,
    /// Whether a report has stored its figures.
    has_history: bool,
}

/// A checkout with an empty environment, which each incident gets a copy of.
fn created(environment: &str) -> Checkout {
    let checkout = Checkout::new();
    let mut create = checkout.command(&["schema", "create", "--schema", environment]);
    create.env("DBT_DUCKDB_PATH", DATABASE);
    Ended::of(create).expect(0);
    checkout
}

impl<'a> Scene<'a> {
    fn new(incident: &'a Incident, created: &Checkout) -> Self {
        let is_down: &'static AtomicBool = Box::leak(Box::default());
        let server = Server::start(move |_| {
            if is_down.load(Ordering::SeqCst) {
                Reply::new(400, "invalid_payload")
            } else {
                Reply::new(200, "ok")
            }
        });
        let checkout = created.copied();
        fs::create_dir_all(checkout.path("bin")).expect("a folder");
        let shim = format!("#!/bin/sh\nshift\nexec '{}' \"$@\"\n", program().display());
        fs::write(checkout.path("bin/cargo"), shim).expect("a script");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(checkout.path("bin/cargo"), fs::Permissions::from_mode(0o755))
                .expect("a mode");
        }
        Self { incident, checkout, server, is_down, runs: 0, has_history: false }
    }

    fn bash(&self, line: &Line) -> Ended {
        let mut command = scrubbed_program(Path::new("bash"), self.checkout.root());
        let path =
            format!("{}:{}", self.checkout.path("bin").display(), std::env::var("PATH").expect("PATH"));
        command
            .env("PATH", path)
            .env("XTASK_VENV", environment())
            .env("DBT_DUCKDB_PATH", DATABASE)
            .env("CI", "true")
            .env("NO_PROXY", "127.0.0.1")
            // As on a runner that keeps its files.
            .env("XTASK_ALERT_STATE", ".xtask/run/alerts.json");
        command.envs(line.env.iter().cloned()).args(["-e", "-c", &line.run]);
        Ended::of(command)
    }

    fn sql(&self, sql: &str) {
        crate::support::sql_in(&self.checkout.path(DATABASE), sql);
    }

    /// The shipped lines. Those of `observability.yml` may fail the gate.
    fn pipeline(&mut self) {
        // The last line of the gate adds up what other jobs did, which did not run here.
        self.workflow("observability.yml", "measure", "cargo xtask gate");
        self.workflow("orchestrator.yml", "gate", "cargo xtask gate");
        self.has_history = true;
    }

    /// The lines of a job but those that begin like `skipped`.
    fn workflow(&self, file: &str, job: &str, skipped: &str) {
        let webhook = self.server.url.clone();
        let value = |expression: &str| match expression {
            "inputs.schema" => self.incident.environment.clone(),
            "inputs.target" => "local".to_owned(),
            "secrets.SLACK_WEBHOOK_URL" => format!("{webhook}/hook"),
            "toJSON(needs)" => {
                r#"{"plan": {"result": "success"}, "observability": {"result": "success"}}"#.to_owned()
            }
            _ => String::new(),
        };
        for line in lines(file, job, &value).iter().filter(|line| !line.run.starts_with(skipped)) {
            let ended = self.bash(line);
            let name = &self.incident.name;
            assert!(matches!(ended.code, Some(0 | 1)), "{name}: {}\n{}", line.run, ended.stderr);
        }
    }

    fn happen(&mut self, step: &Step) {
        let environment = &self.incident.environment;
        let mut sql = Vec::new();
        sql.extend(step.days_pass.map(|days| aged(environment, days, self.has_history)));
        if let Some(run) = &step.run {
            self.runs += 1;
            sql.push(recorded(environment, run, self.runs));
        }
        sql.extend(step.queries.as_ref().map(|queries| queried(environment, queries)));
        sql.extend(step.sql.as_ref().map(|sql| format!("{sql};")));
        if let Some(policy) = &step.policy {
            self.checkout.edit("policies/alerts.toml", |_| policy.clone());
        }
        if step.lost == Some(Lost::StateFile) {
            fs::remove_file(self.checkout.path(".xtask/run/alerts.json")).expect("a state file");
        }
        if step.lost == Some(Lost::Registry) {
            let lost = ["metrics_reported", "metrics_alerts"];
            sql.extend(lost.map(|table| format!("drop table if exists xtask_registry.{table};")));
        }
        // One start of the engine for all.
        if !sql.is_empty() {
            self.sql(&sql.concat());
        }
        self.is_down.store(step.slack_is_down, Ordering::SeqCst);
    }

    fn by_hand(&self, step: &Step) {
        for command in &step.by_hand {
            self.bash(&Line { run: command.clone(), env: Vec::new() });
        }
    }

    fn play(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        for (at, step) in self.incident.steps.iter().enumerate() {
            let before = self.server.requests().len();
            self.happen(step);
            self.by_hand(step);
            if step.dropped {
                self.workflow("cleanup.yml", "drop", "cargo xtask schema gc");
            } else {
                self.pipeline();
            }
            self.by_hand(step);
            let sent: Vec<Value> =
                self.server.requests()[before..].iter().map(|request| request.json()).collect();
            let (alerts, others): (Vec<&Value>, Vec<&Value>) =
                sent.iter().partition(|message| is_alert(message));
            let mut sent_changes: Vec<String> = alerts.iter().flat_map(|message| changes(message)).collect();
            let mut expected = step.expect.clone();
            sent_changes.sort();
            expected.sort();
            let messages = usize::from(!expected.is_empty());
            let mentions = others.iter().any(|message| !changes(message).is_empty());
            if !step.slack_is_down && (sent_changes != expected || alerts.len() != messages || mentions) {
                faults.push(format!(
                    "{}, step {}: expected {expected:?} in {messages} message(s), got {sent_changes:?} in {}",
                    self.incident.name,
                    at + 1,
                    alerts.len()
                ));
            }
        }
        faults
    }
}

/// Where the workflows have the warehouse.
const DATABASE: &str = ".xtask/run/warehouse.duckdb";

fn is_alert(message: &Value) -> bool {
    message["text"].as_str().is_some_and(|text| text.starts_with(['🔔', '🔕']))
}

/// `started: tests fail`, `ended: runs fail`: what a message says of alerts.
fn changes(message: &Value) -> Vec<String> {
    let blocks = message["blocks"].as_array().expect("blocks").iter();
    let texts = blocks.filter_map(|block| block["text"]["text"].as_str());
    let firsts = texts.filter_map(|text| text.lines().next()?.strip_prefix('*')?.strip_suffix('*'));
    let named = firsts.filter_map(|first| first.strip_prefix("🔔 ").or_else(|| first.strip_prefix("🔕 ")));
    named.map(|text| text.rsplit_once(" (").map_or(text, |(name, _)| name).to_owned()).collect()
}

const NOW: &str = "cast(now() at time zone 'utc' as timestamp)";

/// Everything that was recorded becomes `days` older; a pass of time that a test can afford.
fn aged(environment: &str, days: u32, has_history: bool) -> String {
    let shift = |table: &str, columns: &[&str]| {
        let set: Vec<String> =
            columns.iter().map(|column| format!("{column} = {column} - interval '{days} days'")).collect();
        format!("update {table} set {};", set.join(", "))
    };
    let ledger = |table: &str, columns: &[&str]| shift(&format!("{environment}.ledger_{table}"), columns);
    let mut sql = [
        ledger("runs", &["started_at", "finished_at"]),
        ledger("nodes", &["started_at"]),
        ledger("queries", &["start_time", "end_time"]),
        ledger("relations", &["measured_at"]),
    ]
    .concat();
    if has_history {
        sql.extend([format!(
            "update xtask_registry.metrics_history set as_of = cast(as_of - interval '{days} days' as date);"
        )]);
    }
    sql
}

fn recorded(environment: &str, run: &Run, number: usize) -> String {
    let id = format!("run-{number:03}");
    let mut sql = format!(
        "insert into {environment}.ledger_runs by name select '{id}' as run_id, '{environment}' as schema_name,
             {NOW} - interval 60 second as started_at, {NOW} as finished_at, '{}' as status, 60 as seconds,
             true as dbt_started, {} as up_to_date, false as full_refresh, '0' as toolkit_version;",
        run.status, run.up_to_date
    );
    for (test, result) in &run.tests {
        let (started, failures) = match result.as_str() {
            "skipped" | "removed" => ("null".to_owned(), "null"),
            "fail" => (format!("{NOW} - interval 30 second"), "3"),
            _ => (format!("{NOW} - interval 30 second"), "0"),
        };
        let started = if result == "removed" { NOW.to_owned() } else { started };
        sql.extend([format!(
            "insert into {environment}.ledger_nodes by name select '{id}' as run_id, 'test.p.{test}' as node_id,
                 '{test}' as name, 'test' as kind, 'gold' as layer, '{result}' as status, {started} as started_at,
                 0.1 as seconds, {failures} as failures;"
        )]);
    }
    for (table, rows) in &run.rows {
        sql.extend([format!(
            "insert into {environment}.ledger_relations by name select '{id}' as run_id, '{table}' as relation_name,
                 'table' as relation_type, 'gold' as layer, {rows} as row_count, 1000 as bytes, {NOW} as measured_at;"
        )]);
    }
    sql
}

fn queried(environment: &str, queries: &Queries) -> String {
    format!(
        "insert into {environment}.ledger_queries by name select uuid() as query_id, 'r' as run_id, 'n' as node_id,
             'SELECT' as query_type, '{environment}' as schema_name, 'ann' as user_name,
             {NOW} - interval (i) second as start_time, {} as total_elapsed_time,
             if(i <= {}, 'FAILED_WITH_ERROR', 'SUCCESS') as execution_status from range(1, {} + 1) as t(i);",
        queries.milliseconds, queries.failed, queries.count
    )
}

/// All incidents, or while one of them is worked on, those whose names contain the text of this variable.
const ONLY: &str = "INCIDENTS";

fn cases() -> Vec<Incident> {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("tests/cases/incidents"))
        .expect("the cases")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a case file");
        let cases: Cases =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        cases.incident
    };
    let all: Vec<Incident> = files.iter().flat_map(read).collect();
    assert!(all.len() >= 40, "{} incidents", all.len());
    let only = std::env::var(ONLY).unwrap_or_default();
    all.into_iter().filter(|incident| incident.name.contains(&only)).collect()
}

#[test]
fn each_incident_has_one_message_at_its_start_and_one_at_its_end() {
    let incidents = cases();
    let environments: BTreeSet<&str> =
        incidents.iter().map(|incident| incident.environment.as_str()).collect();
    let created: BTreeMap<&str, Checkout> =
        environments.into_iter().map(|name| (name, created(name))).collect();
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(incident) = incidents.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let found = Scene::new(incident, &created[incident.environment.as_str()]).play();
                    faults.lock().expect("a lock").extend(found);
                }
            });
        }
    });
    let faults = faults.into_inner().expect("a lock");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
