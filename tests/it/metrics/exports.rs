//! The report in every format: read back by a parser of that format, also when names and errors are hostile.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{UNTIL, checkout, metrics, query, run};
use crate::support::{BUILT, Checkout, Ended, environment};

/// Text that an outsider may put into a branch name or an error.
const HOSTILE: &str =
    "=cmd|' /C calc'!A0 <script>alert(1)</script> \"quoted\" | `code` @everyone \u{1b}[2J\u{202e} \\ 🚚";

/// A checkout whose ledger is full of hostile text.
fn hostile() -> Checkout {
    let checkout = checkout();
    query(&checkout, "2026-03-05 10:00:00", "1000", "SUCCESS");
    run(&checkout, "bad", "2026-03-05 09:00:00", "2026-03-05 10:00:00", "fail");
    let text = format!("{}\n{}", HOSTILE.replace('\'', "''"), "xtask_queries 666");
    checkout.sql(&format!(
        "update dev.ledger_queries set user_name = '{text}';
         update dev.ledger_runs set message = '{text}', git_branch = '{text}', triggered_by = '{text}';
         insert into dev.ledger_nodes by name select 'bad' as run_id, 'test.p.t' as node_id, '{text}' as name,
             'test' as kind, '{text}' as layer, 'fail' as status, timestamp '2026-03-05 09:30:00' as started_at,
             1 as seconds, '{text}' as message"
    ));
    checkout
}

#[test]
fn json_matches_its_schema() {
    let built = Checkout::built();
    for report in [
        built.run(&["metrics", "--format", "json"]),
        hostile().run(&metrics(&["--format", "json"])),
        Checkout::new().run(&["metrics", "--format", "json"]),
    ] {
        report.expect(0).json_of("metrics");
    }
    let full = built.run(&["metrics", "--schema", BUILT, "--format", "json"]).expect(0).json_of("metrics");
    for table in
        ["daily", "by_environment", "storage", "relations", "slowest_nodes", "runs", "latest_run", "lifetime"]
    {
        assert!(full[table]["rows"].as_array().is_some_and(|rows| !rows.is_empty()), "{table}");
    }
}

#[test]
fn one_measurement_gives_the_figures_and_the_page() {
    let checkout = hostile();
    checkout.run(&metrics(&["--format", "json", "--page", "page.html"])).expect(0).json_of("metrics");
    let page = fs::read_to_string(checkout.path("page.html")).expect("a page");
    let alone = checkout.run(&metrics(&["--format", "html"])).expect(0).stdout;
    // All but the time at which a page was made.
    let parts = |page: &str| {
        let (before, after) = page.trim_end().split_once("<span>Made ").expect("a time");
        (before.to_owned(), after.split_once("</span>").expect("its end").1.to_owned())
    };
    assert_eq!(parts(&page), parts(&alone));
}

#[test]
fn csv_is_one_table_without_formulas() {
    let text = hostile().run(&metrics(&["--format", "csv"])).expect(0).stdout;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().collect::<Result<_, _>>().expect("CSV");
    let value = |table: &str, metric: &str| {
        let found = rows.iter().find(|row| row["table"] == table && row["metric"] == metric).expect("a row");
        found["value"].clone()
    };
    assert_eq!(value("figures", "queries"), "1");
    assert_eq!(value("figures", "credits"), "", "unknown is not zero");
    assert!(value("failing_nodes", "name").starts_with("'=cmd"));
    for cell in rows.iter().flat_map(BTreeMap::values) {
        assert!(
            !cell.starts_with(['=', '+', '@']) && (!cell.starts_with('-') || cell.parse::<f64>().is_ok()),
            "{cell}"
        );
    }
}

#[test]
fn prometheus_and_openmetrics_parsers_accept_the_samples() {
    const PARSE: &str = "
import json, sys
if sys.argv[1] == 'openmetrics':
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
else:
    from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for s in family.samples:
        print(json.dumps([s.name, s.labels, s.value, family.type, family.documentation]))
";
    let checkout = hostile();
    for format in ["prometheus", "openmetrics"] {
        let file = format!("out/metrics.{format}");
        checkout.run(&metrics(&["--format", format, "--output", &file])).expect(0);
        let mut parser = Command::new(environment().join("bin/python"));
        parser.args(["-c", PARSE, format]).stdin(fs::File::open(checkout.path(&file)).expect("the file"));
        let parsed = Ended::of(parser).expect(0).stdout;
        let samples: Vec<Value> =
            parsed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let sample = |name: &str| {
            samples.iter().find(|sample| sample[0] == name).unwrap_or_else(|| panic!("{name}\n{parsed}"))
        };
        assert_eq!(sample("xtask_queries")[2].as_f64(), Some(1.0));
        assert_eq!(sample("xtask_queries")[1]["environment"], "dev");
        assert_eq!(sample("xtask_query_p95_seconds")[3], "gauge");
        assert_eq!(sample("xtask_runs_total")[3], "counter");
        assert_eq!(sample("xtask_window_runs")[3], "gauge");
        assert_eq!(sample("xtask_last_query_timestamp_seconds")[2].as_f64(), Some(1_772_668_800.0));
        // 2026-01-01 08:01 UTC.
        assert_eq!(sample("xtask_last_success_timestamp_seconds")[2].as_f64(), Some(1_767_254_460.0));
        assert!(!samples.iter().any(|sample| sample[0] == "xtask_credits"), "unknown has no sample");
        assert!(
            !samples.iter().any(|sample| sample[0] == "xtask_freshness_seconds"),
            "an age in a file freezes"
        );
        for sample in &samples {
            promtool_accepts(sample);
        }
    }
}

/// The rules of `promtool check metrics` that apply to gauges and counters, and that each series has its environment.
#[track_caller]
fn promtool_accepts(sample: &Value) {
    let name = sample[0].as_str().expect("a name");
    assert!(sample[4].as_str().is_some_and(|help| !help.is_empty()), "no help text: {sample}");
    assert_eq!(sample[3] == "counter", name.ends_with("_total"), "_total is for counters: {sample}");
    let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    assert!(is_plain, "colons are for rules, names are in snake case: {sample}");
    for suffix in ["_count", "_sum", "_bucket", "_info", "_created"] {
        assert!(!name.ends_with(suffix), "{suffix} is for histograms and summaries: {sample}");
    }
    for word in name.split('_') {
        let wrong =
            ["gauge", "counter", "ms", "milliseconds", "minutes", "hours", "days", "kb", "mb", "percent"];
        assert!(!wrong.contains(&word), "no types and no other than base units in names: {sample}");
    }
    for label in sample[1].as_object().expect("labels").keys() {
        assert!(!["le", "quantile"].contains(&label.as_str()), "{sample}");
    }
    assert!(sample[1]["environment"].as_str().is_some_and(|name| !name.is_empty()), "{sample}");
}

#[test]
fn hostile_text_has_no_effect_in_terminals_and_markdown() {
    let checkout = hostile();
    let human = checkout.run(&metrics(&[])).expect(0).stdout;
    assert!(human.contains("▁▁▁█▁▁▁") && human.contains("unknown (not_supported)"), "{human}");
    let markdown = checkout.run(&metrics(&["--format", "markdown"])).expect(0).stdout;
    for text in [&human, &markdown] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(
            !text.lines().any(|line| line.starts_with("xtask_queries")),
            "a text stays on its line\n{text}"
        );
    }
    for line in markdown.lines().filter(|line| line.contains("<script>")) {
        // Outside of code, none of the outsider's text appears.
        let outside: String = line.split('`').step_by(2).collect();
        assert!(!outside.contains(['<', '@', '!']), "{line}");
        assert_eq!(line.replace("\\|", "").matches('|').count(), line_width(&markdown, line), "{line}");
    }
    assert!(markdown.contains("<script>"));
}

/// The bars in the header of the table that a line belongs to.
fn line_width(markdown: &str, line: &str) -> usize {
    let before = &markdown[..markdown.find(line).expect("a line of it")];
    before.lines().rev().find(|line| line.contains("---")).expect("a rule").matches('|').count()
}

#[test]
fn a_workflow_gets_the_old_and_the_new_names() {
    let checkout = hostile();
    let mut command = checkout.command(&metrics(&["--format", "json"]));
    let (output, summary) = (checkout.path("output"), checkout.path("summary"));
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_OUTPUT", &output).env("GITHUB_STEP_SUMMARY", &summary);
    Ended::of(command).expect(0);
    let text = fs::read_to_string(output).expect("outputs");
    let lines: Vec<&str> = text.lines().collect();
    let outputs: BTreeMap<&str, &str> =
        lines.chunks(3).map(|part| (part[0].split_once("<<").expect("a heredoc").0, part[1])).collect();
    for (name, value) in [
        ("last_date", "2026-03-05"),
        ("wk_total_queries", "1"),
        ("wk_failed_queries", "0"),
        ("wk_avg_sec", "1"),
        ("storage_gb", "unknown"),
        ("queries", "1"),
        ("failed_tests", "1"),
        // A test fails, so the run does, and nothing has succeeded since January.
        ("alerts_firing", "3"),
    ] {
        assert_eq!(outputs.get(name), Some(&value), "{name}");
    }
    assert!(fs::read_to_string(summary).expect("a summary").contains("| figure | value |"));
}

#[test]
fn the_end_of_a_window_needs_an_offset() {
    let checkout = Checkout::new();
    for text in ["2026-03-08T12:00:00", "12:00", "yesterday", "2026-13-01"] {
        let said = checkout.run(&["metrics", "--until", text]).expect(2).stderr;
        assert!(said.contains("--until"), "{said}");
    }
    let report = checkout
        .run(&["metrics", "--until", "2026-03-08T14:00:00+02:00", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(report["window"]["end"], UNTIL);
    checkout.run(&["metrics", "--days", "0"]).expect(2);
}
