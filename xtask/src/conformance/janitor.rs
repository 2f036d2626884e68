//! Drops the scratch schemas of a conformance run, however that run ended.
//!
//! A process that is killed cannot clean up. So each run starts a second one that holds the other end of a
//! pipe: the operating system closes the pipe when the run ends, normally or by force, and then the janitor
//! drops the schemas of the run. If both were killed (by a power failure), the next run finds the schemas by
//! their names and by the times in their comments.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde_json::Value;

use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::target;
use crate::warehouse::{Warehouse, literal, quote};

/// How the names of scratch schemas begin.
pub(super) const PREFIX: &str = "XTASK_CONFORMANCE_";

/// A statement of the killed run may still be executing: the schemas are listed again after this time.
const SETTLE: Duration = Duration::from_millis(1500);

/// The process that cleans up once its pipe is closed.
pub(super) struct Janitor(Option<Child>);

impl Janitor {
    pub(super) fn start(repo: &Repo, id: &str) -> Result<Self> {
        let program = std::env::current_exe().context("failed to find this program")?;
        let mut command = Command::new(program);
        command.args(["conformance", "--target", "snowflake", "--janitor", id]).current_dir(repo.root());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
        // Ctrl-C is for the run; the janitor follows when the run has ended.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().context("failed to start the process that drops the scratch schemas")?;
        Ok(Self(Some(child)))
    }

    /// Let it clean up, and check that it did.
    pub(super) fn finish(mut self) -> Result<()> {
        let Some(mut child) = self.0.take() else { return Ok(()) };
        drop(child.stdin.take());
        let status = child.wait().context("failed to wait for the clean-up")?;
        if !status.success() {
            bail!("the scratch schemas {PREFIX}… could not be dropped, see above; drop them by hand");
        }
        Ok(())
    }
}

/// The janitor's side: wait for the end of the run with this `id`, then drop its schemas until none is left.
pub(super) fn wait_and_drop(id: &str, target: target::Args, repo: &Repo) -> Result<Outcome> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        bail!("{id:?} is not the id of a conformance run");
    }
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing).context("failed to wait for the end of the run")?;
    let opened = target.open(repo, None, "conformance")?;
    let mut warehouse = opened.warehouse();
    let prefix = format!("{PREFIX}{id}");
    let mut looks_without = 0;
    while looks_without < 2 {
        let found = schemas(warehouse.as_mut(), &prefix)?;
        looks_without = if found.is_empty() { looks_without + 1 } else { 0 };
        for (name, _) in found {
            drop_schema(warehouse.as_mut(), &name)?;
        }
        std::thread::sleep(SETTLE);
    }
    Ok(Outcome::Clean)
}

/// Drop the schemas of earlier runs whose time is over.
pub(super) fn drop_abandoned(warehouse: &mut dyn Warehouse) -> Result<()> {
    let all = schemas(warehouse, PREFIX)?;
    let is_over = |comment: &str| {
        let value: Option<Value> = serde_json::from_str(comment).ok();
        let expires = value.and_then(|value| value.get("expires_at")?.as_str()?.parse::<Timestamp>().ok());
        expires.is_some_and(|expires| expires < Timestamp::now())
    };
    let over: Vec<String> =
        all.iter().filter(|(_, comment)| is_over(comment)).map(|(name, _)| name.clone()).collect();
    for (name, _) in all {
        if over.iter().any(|first| name.starts_with(first.as_str())) {
            tracing::info!("dropping {name}, which an earlier run left behind");
            drop_schema(warehouse, &name)?;
        }
    }
    Ok(())
}

/// Names and comments of the schemas whose names begin with `prefix`, which holds no wildcard.
fn schemas(warehouse: &mut dyn Warehouse, prefix: &str) -> Result<Vec<(String, String)>> {
    let sql = format!(
        "select schema_name, comment from {}.information_schema.schemata where startswith(schema_name, {}) order by 1",
        quote(&warehouse.database()),
        literal(prefix)
    );
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let rows = warehouse.query(&sql).context("failed to look for scratch schemas")?;
    Ok(rows.iter().map(|row| (text(row.get("schema_name")), text(row.get("comment")))).collect())
}

fn drop_schema(warehouse: &mut dyn Warehouse, name: &str) -> Result<()> {
    let sql = format!("drop schema if exists {}.{} cascade", quote(&warehouse.database()), quote(name));
    warehouse.query(&sql).with_context(|| format!("failed to drop {name}"))?;
    Ok(())
}
