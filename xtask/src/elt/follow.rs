//! Progress output while dbt runs: a live line on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;

use indicatif::ProgressBar;

use crate::dbt::events::{Event, Finished, NodeInfo, Progress};
use crate::dbt::messages;
use crate::system::console;

/// A node that dbt reported on before it ended: all there is if it was killed.
#[derive(Clone, Debug)]
pub(super) struct Reported {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: String,
    /// Empty where dbt does not say, as of unit tests.
    pub(super) started_at: String,
    pub(super) finished_at: String,
    pub(super) status: String,
    pub(super) seconds: Option<f64>,
    pub(super) failures: Option<i64>,
}

/// All that a run said.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) reported: Vec<Reported>,
    /// Errors outside any node.
    pub(super) problems: Vec<String>,
}

pub(super) struct Follower {
    bar: ProgressBar,
    running: BTreeMap<String, String>,
    seen: Seen,
}

impl Follower {
    pub(super) fn new() -> Self {
        let bar = console::bar(1, "{spinner} [{bar:30}] {pos}/{len} {elapsed:.dim} {wide_msg}");
        bar.set_message("dbt is starting");
        Self { bar, running: BTreeMap::new(), seen: Seen::default() }
    }

    pub(super) fn follow(&mut self, event: &Event) {
        match event.progress() {
            Progress::Started { node, total } => {
                self.expect(total);
                self.running.insert(node.unique_id.clone(), node.node_name.clone());
            }
            Progress::Finished(finished) => self.finished(&finished),
            Progress::Problem(message) => self.seen.problems.push(messages::clean(message)),
            Progress::Warning(message) => tracing::warn!("dbt: {}", messages::clean(message)),
            Progress::Remark("") => {}
            Progress::Remark(message) => tracing::debug!("dbt: {message}"),
        }
        let running: Vec<&str> = self.running.values().map(String::as_str).collect();
        if !running.is_empty() {
            self.bar.set_message(running.join(", "));
        }
    }

    pub(super) fn finish(self) -> Seen {
        self.bar.finish_and_clear();
        self.seen
    }

    /// Not every event says how many nodes there are, and dbt v2 never does: then it is those that began.
    fn expect(&self, total: u64) {
        if total > 0 {
            self.bar.set_length(total);
        } else {
            let known = self.bar.position() + self.running.len() as u64 + 1;
            self.bar.set_length(self.bar.length().unwrap_or_default().max(known));
        }
    }

    fn finished(&mut self, finished: &Finished<'_>) {
        let node = finished.node;
        self.running.remove(&node.unique_id);
        self.expect(finished.total);
        self.bar.inc(1);
        // An ephemeral model of dbt v2: nothing was done for it.
        if finished.status == "no-op" {
            return;
        }
        announce(node, finished);
        self.seen.reported.push(Reported {
            id: node.unique_id.clone(),
            name: node.node_name.clone(),
            kind: node.resource_type.clone(),
            started_at: node.node_started_at.clone(),
            finished_at: finished.at.to_owned(),
            status: finished.status.clone(),
            seconds: finished.seconds,
            failures: finished.failures,
        });
    }
}

/// A line a node, but none for what went as it should and is many: passing tests, and skipped nodes,
/// which the summary counts under their cause.
fn announce(node: &NodeInfo, finished: &Finished<'_>) {
    let seconds = finished.seconds.map_or_else(String::new, |seconds| format!("  {seconds:.2} s"));
    let line = format!("{:<8} {:<9} {}{seconds}", finished.status, node.resource_type, node.node_name);
    match finished.status.as_str() {
        "error" | "fail" | "warn" => tracing::warn!("{line}"),
        "success" if !console::is_live() => tracing::info!("{line}"),
        _ => tracing::debug!("{line}"),
    }
}
