//! `cargo xtask notify` against services that check what the real ones would.

mod github;
mod on_actions;
mod reproduce;
mod slack;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ended, scratch, scrubbed};

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// A folder with what the stages of a pipeline left.
struct Left {
    folder: TempDir,
}

impl Left {
    fn nothing() -> Self {
        Self { folder: scratch() }
    }

    /// A failed run of an issue's environment: one model, two tests, and what they stopped.
    fn failed() -> Self {
        let left = Self::nothing();
        left.write("run.json", &failed_run());
        left.write("plan.json", &plan("issues"));
        left.write("metrics.json", &metrics());
        left.write(
            "needs.json",
            &json!({
                "plan": {"result": "success", "outputs": {}},
                "security": {"result": "success", "outputs": {}},
                "elt": {"result": "failure", "outputs": {}},
                "observability": {"result": "skipped", "outputs": {}},
            }),
        );
        left
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, content: &Value) {
        fs::write(self.path().join(name), content.to_string()).expect("a writable folder");
    }

    /// `notify WHERE` with all inputs.
    fn notify(&self, place: &str) -> Command {
        let mut command = self.bare(place);
        for (option, file) in [
            ("--run", "run.json"),
            ("--plan", "plan.json"),
            ("--metrics", "metrics.json"),
            ("--needs", "needs.json"),
        ] {
            command.args([option, file]);
        }
        command
    }

    /// `notify WHERE` without any.
    fn bare(&self, place: &str) -> Command {
        let mut command = scrubbed(self.path());
        // A proxy of this machine cannot reach the services of a test.
        command.env("NO_PROXY", "127.0.0.1").args(["notify", place]);
        command
    }
}

fn failed_run() -> Value {
    let node = |id: &str, status: &str, seconds: f64, more: Value| {
        let mut node = json!({
            "id": id, "name": id.rsplit('.').next(), "kind": id.split('.').next(), "layer": "silver",
            "status": status, "seconds": seconds, "rows": null, "message": null,
        });
        node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        node
    };
    let place = |path: &str, line: u32| json!({"path": path, "line": line});
    let mut nodes = vec![
        node("model.p.orders", "success", 0.5, json!({"rows": 10})),
        node(
            "test.p.orders_are_unique",
            "fail",
            0.1,
            json!({
                "message": "Got 3 results, configured to fail if != 0",
                "location": place("dbt/models/silver/orders.yml", 12), "depends_on": ["model.p.orders"],
            }),
        ),
        node(
            "model.p.stock",
            "error",
            2.5,
            json!({
                "message": "Runtime Error in model stock (models/silver/stock.sql)\n  Binder Error: no column \"nope\"\n",
                "location": place("dbt/models/silver/stock.sql", 4), "depends_on": ["model.p.orders"],
            }),
        ),
        node(
            "test.p.stock_is_positive",
            "error",
            0.1,
            json!({
                "message": "no table stock", "location": place("dbt/models/silver/stock.yml", 8),
                "depends_on": ["model.p.stock"],
            }),
        ),
        node(
            "test.p.orders_are_recent",
            "warn",
            0.1,
            json!({
                "message": "Got 1 result", "location": place("dbt/models/silver/orders.yml", 20),
            }),
        ),
        node("test.p.orders_have_days", "pass", 0.1, json!({})),
    ];
    nodes.extend(
        (0..7).map(|at| node(&format!("model.p.gold_{at}"), "skipped", 0.0, json!({"seconds": null}))),
    );
    json!({
        "schema": "issue_42", "target": "local", "run_id": "01a", "status": "fail", "up_to_date": false,
        "dbt_started": true, "message": null, "nodes": nodes, "totals": {}, "seconds": 9.25, "dbt_seconds": 8.5,
    })
}

fn plan(event: &str) -> Value {
    json!({
        "action": "build", "environment": "issue_42", "schema": "issue_42", "base": "dev", "target": "local",
        "stages": {"security": true, "elt": true, "observability": true},
        "reasons": ["the label `feature` was set"],
        "event": {"name": event, "number": 42, "title": "Slow movers <!channel>", "actor": "octocat",
                  "commit": SHA, "branch": null},
    })
}

fn metrics() -> Value {
    json!({"window": {}, "environment": "issue_42", "figures": [
        {"name": "query_failures", "value": 3, "unit": "count", "status": "ok", "source": "ledger"},
        {"name": "credits", "value": null, "unit": "credits", "status": "not_supported", "source": "ledger",
         "reason": "DuckDB costs none"},
    ]})
}

fn ended(command: Command) -> Ended {
    Ended::of(command).expect(0)
}

/// Asserts that the output does not contain `secret`.
#[track_caller]
fn assert_hidden(ended: &Ended, secret: &str) {
    for stream in [&ended.stdout, &ended.stderr] {
        assert!(!stream.contains(secret), "{stream}");
    }
}
