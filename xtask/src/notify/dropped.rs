//! `cargo xtask notify dropped`: report the end of alerts whose environment was dropped.
//!
//! A drop keeps the alerts that were open (`metrics::forget`). Each is sent here once per channel and then deleted, after
//! the channel accepted it, so a message that could not be sent is sent by the next call.

use anyhow::{Context as _, Result};

use super::alerts::{About, Due, To, headline, texts};
use super::message::link;
use super::{post, slack};
use crate::core::context;
use crate::metrics;
use crate::metrics::reported::{self, Reported, Sent};
use crate::system::console;
use crate::system::repo::Repo;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    to: To,
}

pub(super) fn run(args: &Args, repo: &Repo) -> Result<()> {
    let to = &args.to;
    let opened = to.target.open(repo, None, "notify")?;
    let _lock = metrics::lock(&opened.place, "notify dropped", None, to.target.wait())?;
    let mut warehouse = opened.warehouse();
    let registry = metrics::registry_tables(warehouse.as_mut())?;
    let mut rows = reported::read_dropped(warehouse.as_mut(), &registry, &to.channel)?;
    if let Some(file) = &to.state {
        let is_due = |row: &Reported| row.state == Sent::Dropped && row.channel == to.channel;
        rows.extend(reported::read_file(file)?.into_iter().filter(is_due));
    }
    let rows = reported::newest(rows);
    if rows.is_empty() {
        tracing::info!("no dropped environment had an open alert");
        return Ok(());
    }
    for rows in rows.chunk_by(|a, b| a.scope == b.scope) {
        let rendered = message(&rows[0].scope, rows);
        if to.dry_run {
            console::print_json(&rendered)?;
        } else if post::to_slack(&rendered)? {
            let mut done = || -> Result<()> {
                if let Some(file) = &to.state {
                    reported::delete_in_file(file, rows)?;
                }
                if registry.contains(reported::TABLE) {
                    warehouse.apply(&reported::delete(warehouse.as_ref(), rows))?;
                }
                Ok(())
            };
            done().context(
                "the message was sent, but that could not be recorded, so the next call sends it again",
            )?;
        }
    }
    Ok(())
}

/// One message for an environment.
fn message(scope: &str, rows: &[Reported]) -> serde_json::Value {
    let due: Vec<Due> = rows.iter().map(ended).collect();
    let links = [context::run_url().as_deref().and_then(link), None];
    slack::alerts(&headline(scope, &due), &texts(&due), &links)
}

fn ended(row: &Reported) -> Due {
    Due { state: Sent::Ok, name: row.name.clone(), since: row.since, about: About::Dropped }
}
