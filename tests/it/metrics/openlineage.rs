//! `metrics --openlineage`: the events of a real build and of a failed one, in a file and at a service.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{checkout, metrics, run};
use crate::support::server::{Reply, Server};
use crate::support::{BUILT, Checkout, Ended, root};

/// In pieces, so that no scanner takes it for a real one.
const KEY: &str = concat!("lineage", "-key-", "4711");

/// The events of a file, each as the specification asks.
#[track_caller]
pub(super) fn events(file: &Path) -> Vec<Value> {
    let schema = fs::read_to_string(root().join("tests/schemas/openlineage-2-0-2.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).expect("a JSON schema");
    let text = fs::read_to_string(file).expect("a file of events");
    let events: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect();
    for event in &events {
        let errors: Vec<String> =
            schema.iter_errors(event).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert_eq!(errors, Vec::<String>::new(), "{event:#}");
    }
    events
}

/// The last event of a job.
#[track_caller]
fn last<'a>(events: &'a [Value], job: &str) -> &'a Value {
    events.iter().rfind(|event| event["job"]["name"] == job).unwrap_or_else(|| panic!("no job {job}"))
}

#[test]
fn a_build_is_reported_from_start_to_end() {
    let checkout = Checkout::built();
    let file = checkout.path("out/events.ndjson");
    let arguments = ["metrics", "--schema", BUILT, "--openlineage", file.to_str().expect("UTF-8")];
    checkout.run(&arguments).expect(0);
    let first = fs::read(&file).expect("a file");
    checkout.run(&arguments).expect(0);
    assert_eq!(first, fs::read(&file).expect("a file"), "the same run has the same ids");

    let events = events(&file);
    let whole = format!("{BUILT}.elt");
    let (start, end) = (&events[0], &events[events.len() - 1]);
    assert_eq!((&start["eventType"], &start["job"]["name"]), (&json!("START"), &json!(whole)));
    assert_eq!((&end["eventType"], &end["job"]["name"]), (&json!("COMPLETE"), &json!(whole)));
    let mut types_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in &events {
        let run = event["run"]["runId"].as_str().expect("an id");
        types_of.entry(run).or_default().push(event["eventType"].as_str().expect("a type"));
        if event["job"]["name"] != whole {
            assert_eq!(event["run"]["facets"]["parent"]["run"]["runId"], start["run"]["runId"]);
        }
    }
    assert!(types_of.values().all(|types| types == &["START", "COMPLETE"]), "{types_of:?}");
    let times: Vec<&str> = events.iter().map(|event| event["eventTime"].as_str().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");

    let built = checkout.sql(&format!(
        "select node_id, kind from {BUILT}.ledger_nodes where kind in ('model', 'seed') and status = 'success'"
    ));
    assert!(!built.is_empty());
    for node in &built {
        let id = node["node_id"].as_str().expect("an id");
        let event = last(&events, &format!("{BUILT}.{id}"));
        let output = &event["outputs"][0];
        let relation = id.rsplit('.').next().expect("a name");
        assert!(
            output["name"].as_str().expect("a name").ends_with(&format!(".{BUILT}.{relation}")),
            "{output}"
        );
        assert!(output["namespace"].as_str().expect("a namespace").starts_with("duckdb:///"), "{output}");
        let columns = checkout.sql(&format!(
            "select column_name, data_type from duckdb_columns()
             where database_name = '{BUILT}' and table_name = '{relation}' order by column_index"
        ));
        let fields = output["facets"]["schema"]["fields"].as_array().expect("columns");
        assert_eq!(fields.len(), columns.len(), "{id}");
        for (field, column) in fields.iter().zip(&columns) {
            assert_eq!((&field["name"], &field["type"]), (&column["column_name"], &column["data_type"]));
        }
        if node["kind"] == "model" {
            assert!(
                event["job"]["facets"]["sql"]["query"].as_str().is_some_and(|sql| sql.contains("select")),
                "{id}"
            );
        }
    }
    lineage_is_the_projects(&checkout, &events);
    tests_are_assertions(&events);
    columns_are_followed(&events);
}

/// Most columns of the models are followed to columns that their inputs have.
fn columns_are_followed(events: &[Value]) {
    let (mut known, mut all) = (0, 0);
    for event in events.iter().filter(|event| event["eventType"] == "COMPLETE") {
        if event["job"]["facets"]["jobType"]["jobType"] != "MODEL" {
            continue;
        }
        let facets = &event["outputs"][0]["facets"];
        let fields = facets["schema"]["fields"].as_array().expect("columns");
        let names: Vec<&Value> = fields.iter().map(|field| &field["name"]).collect();
        all += names.len();
        let empty = serde_json::Map::new();
        let followed = facets["columnLineage"]["fields"].as_object().unwrap_or(&empty);
        known += followed.len();
        for (column, from) in followed {
            assert!(names.contains(&&json!(column)), "{column} is not a column of it: {event:#}");
            for input in from["inputFields"].as_array().expect("inputs") {
                let is_of = |dataset: &&Value| dataset["name"] == input["name"];
                let dataset = event["inputs"].as_array().expect("inputs").iter().find(is_of);
                let dataset = dataset.unwrap_or_else(|| panic!("{input} is no input of {event:#}"));
                let has = dataset["facets"]["schema"]["fields"].as_array().expect("columns");
                assert!(has.iter().any(|field| field["name"] == input["field"]), "{input} in {dataset}");
                assert!(input["transformations"][0]["type"].is_string(), "{input}");
            }
        }
    }
    assert!(known * 10 >= all * 9 && all > 200, "{known} of {all} columns");
    // Two that were read by hand.
    let kpis = last(events, &format!("{BUILT}.model.logistics.stg_logistics__products"));
    let lineage = &kpis["outputs"][0]["facets"]["columnLineage"]["fields"];
    let id = &lineage["product_id"]["inputFields"];
    assert_eq!(id.as_array().map(Vec::len), Some(1), "{lineage}");
    assert!(id[0]["name"].as_str().is_some_and(|name| name.ends_with(".raw_products")), "{id}");
}

/// The inputs of a model are those in dbt's manifest.
fn lineage_is_the_projects(checkout: &Checkout, events: &[Value]) {
    let manifest = fs::read(checkout.path(&format!("dbt/target/{BUILT}/manifest.json"))).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let mut models = 0;
    for (id, node) in manifest["nodes"].as_object().expect("nodes") {
        if node["resource_type"] != "model" {
            continue;
        }
        models += 1;
        let parents = node["depends_on"]["nodes"].as_array().expect("parents");
        let inputs = last(events, &format!("{BUILT}.{id}"))["inputs"].as_array().expect("inputs");
        let names: Vec<&str> = inputs.iter().map(|input| input["name"].as_str().expect("a name")).collect();
        assert_eq!(names.len(), parents.len(), "{id}: {names:?}");
    }
    assert!(models > 5, "{models} models");
}

fn tests_are_assertions(events: &[Value]) {
    let mut columns = 0;
    let of_tests = events.iter().filter(|event| {
        event["eventType"] == "COMPLETE" && event["job"]["facets"]["jobType"]["jobType"] == "TEST"
    });
    for event in of_tests {
        let facet = &event["inputs"][0]["inputFacets"]["dataQualityAssertions"];
        for assertion in facet["assertions"].as_array().expect("assertions") {
            assert_eq!(assertion["success"], true, "{assertion}");
            columns += usize::from(assertion["column"].is_string());
        }
    }
    assert!(columns > 80, "{columns} tests of columns: the tests of whole models name what they check");
}

/// A run that failed on another machine: one node with a hostile error, one that was skipped.
fn failed() -> Checkout {
    let checkout = checkout();
    run(&checkout, "bad", "2026-03-05 09:00:00", "2026-03-05 10:00:00", "fail");
    checkout.sql(
        "insert into dev.ledger_nodes by name select 'bad' as run_id, 'model.p.m' as node_id, 'm' as name, 'model' as kind,
             'error' as status, timestamp '2026-03-05 09:30:00' as started_at, 1.5 as seconds,
             '</script> \"quoted\"
and a second line' as message;
         insert into dev.ledger_nodes by name select 'bad' as run_id, 'model.p.n' as node_id, 'n' as name, 'model' as kind,
             'skipped' as status;
         update dev.ledger_runs set message = 'one of two failed' where run_id = 'bad'",
    );
    checkout
}

#[test]
fn failures_are_reported_with_their_error_and_nothing_unknown() {
    let checkout = failed();
    let file = checkout.path("events.ndjson");
    let ended = checkout.run(&metrics(&["--openlineage", file.to_str().expect("UTF-8")])).expect(0);
    assert!(ended.stderr.contains("artifacts of the latest run of dev"), "{}", ended.stderr);
    let events = events(&file);
    let sent: Vec<(&str, &str)> = events
        .iter()
        .map(|event| {
            (event["eventType"].as_str().expect("a type"), event["job"]["name"].as_str().expect("a name"))
        })
        .collect();
    assert_eq!(
        sent,
        [("START", "dev.elt"), ("START", "dev.model.p.m"), ("FAIL", "dev.model.p.m"), ("FAIL", "dev.elt")]
    );
    let message = |event: &Value| event["run"]["facets"]["errorMessage"]["message"].clone();
    assert_eq!(message(&events[1]), Value::Null, "nothing has failed yet");
    assert_eq!(message(&events[2]), "</script> \"quoted\"\nand a second line");
    assert_eq!(message(&events[3]), "one of two failed");
    assert_eq!(events[2]["eventTime"], "2026-03-05T09:30:01.500000Z");
    assert_eq!(events[2]["inputs"], json!([]), "its inputs are unknown");
}

#[test]
fn a_service_gets_every_event_and_the_key_stays_hidden() {
    let checkout = failed();
    let service = Server::start(|_| Reply::new(201, ""));
    let mut command = checkout.command(&metrics(&["--openlineage", &service.url]));
    command.env("OPENLINEAGE_API_KEY", KEY).env("OPENLINEAGE_NAMESPACE", "analytics");
    let ended = Ended::of(command).expect(0);
    let requests = service.requests();
    assert_eq!(requests.len(), 4);
    for request in &requests {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v1/lineage"));
        assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        assert_eq!(request.json()["job"]["namespace"], "analytics");
    }
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains(KEY));

    let refusing = Server::start(|_| Reply::new(401, KEY));
    let mut command = checkout.command(&metrics(&["--openlineage", &format!("{}/own/path", refusing.url)]));
    command.env("OPENLINEAGE_API_KEY", KEY);
    let ended = Ended::of(command).expect(2);
    assert!(ended.stderr.contains("event 1 of 4"), "{}", ended.stderr);
    assert!(ended.stderr.contains("401; OPENLINEAGE_API_KEY"), "{}", ended.stderr);
    assert!(!ended.stderr.contains(KEY), "{}", ended.stderr);
    assert_eq!(refusing.requests()[0].path, "/own/path");
}

#[test]
fn an_unusable_address_or_missing_run_is_an_error() {
    let checkout = Checkout::new();
    let ended = checkout.run(&["metrics", "--openlineage", "http://lineage.example.com/hidden"]).expect(2);
    assert!(ended.stderr.contains("--openlineage") && !ended.stderr.contains("hidden"), "{}", ended.stderr);
    let ended = checkout.run(&["metrics", "--openlineage", "events.ndjson"]).expect(2);
    assert!(ended.stderr.contains("no dbt run"), "{}", ended.stderr);
    assert!(!checkout.path("events.ndjson").exists());
}
