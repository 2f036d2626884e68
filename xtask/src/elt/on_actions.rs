//! What a run reports to GitHub Actions: outputs for later jobs, a summary for people, and annotations at the
//! lines of what failed. Elsewhere it reports nothing.

use anyhow::{Context as _, Result};

use super::report::{Node, Report};
use crate::notify;
use crate::system::actions::{self, Annotation, Level};

/// GitHub shows so many annotations of each level a step.
const SHOWN: usize = 10;

/// Characters of a message in an annotation.
const MESSAGE: usize = 2000;

pub(super) fn report(report: &Report) -> Result<()> {
    if !actions::active() {
        return Ok(());
    }
    let run =
        serde_json::to_value(report).and_then(serde_json::from_value).context("failed to sum up the run")?;
    let notice = notify::of_run(run);
    actions::set_outputs(&outputs(report, notice.tests.unwrap_or_default()))?;
    actions::append_summary(&notice.markdown)?;
    annotate(report, Level::Error, Node::went_wrong);
    annotate(report, Level::Warning, |node| node.status == "warn");
    Ok(())
}

/// Whether this run created the environment: written before anything can fail in it, since the job that drops a
/// failed environment must keep one that existed before.
pub(super) fn provisioned(is_new: bool) -> Result<()> {
    actions::set_outputs(&[("created", is_new.to_string())])
}

fn outputs(report: &Report, tests: notify::Tests) -> Vec<(&'static str, String)> {
    let totals = &report.totals;
    vec![
        ("status", report.status.label().to_owned()),
        ("run_id", report.run_id.clone()),
        ("schema", report.schema.clone()),
        ("target", report.target.to_owned()),
        ("up_to_date", report.up_to_date.to_string()),
        ("tests_passed", tests.passed.to_string()),
        ("tests_failed", tests.failed.to_string()),
        ("tests_warned", tests.warned.to_string()),
        ("nodes_built", totals.built.to_string()),
        ("nodes_failed", (totals.failed + totals.errored).to_string()),
        ("nodes_skipped", totals.skipped.to_string()),
        ("seconds", format!("{:.3}", report.seconds)),
    ]
}

fn annotate(report: &Report, level: Level, wanted: impl Fn(&Node) -> bool) {
    for node in report.nodes.iter().filter(|node| wanted(node)).take(SHOWN) {
        let location = node.detail.as_ref().and_then(|detail| detail.location.as_ref());
        let message = node.message.as_deref().unwrap_or("dbt gives no message").trim();
        let rows = node.detail.iter().flat_map(|detail| &detail.sample);
        let rows: Vec<String> = rows.take(notify::ROWS).map(notify::row).collect();
        let message = notify::with_rows(message, &rows);
        actions::annotate(&Annotation {
            level,
            title: &format!("{} {}: {}", node.kind.replace('_', " "), node.status, node.name),
            message: &message.chars().take(MESSAGE).collect::<String>(),
            file: location.map(|location| location.path.as_str()),
            line: location.map(|location| location.line),
        });
    }
}
