//! On which nodes the base of a new environment is ahead: it was built from other versions of their files than those
//! here, and the branch has not touched those files since it began.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::Keeper;
use crate::ledger;
use crate::state::decide::{Action, Verdict, changed_inputs};
use crate::system::git;
use crate::warehouse::Warehouse;

impl Keeper {
    /// Find the nodes on which the base is ahead, if the environment is going to be copied from one.
    pub(super) fn compare_with_base(&mut self, warehouse: &mut dyn Warehouse, project: &Path) -> Result<()> {
        let Some(copied) = &self.copied else { return Ok(()) };
        let base = copied.base.clone();
        let commit = ledger::last_build(warehouse, &base)?.and_then(|run| run.git_commit);
        let Some(touched) = commit.and_then(|commit| touched_since(project, &commit)) else { return Ok(()) };
        let is_ahead = |(id, verdict): &(&String, &Verdict)| {
            verdict.action == Action::Build && self.differs_elsewhere(id, &touched)
        };
        self.ahead = self.decision.verdicts.iter().filter(is_ahead).map(|(id, _)| id.clone()).collect();
        if !self.ahead.is_empty() {
            tracing::info!("{}", ahead_text(base.as_str(), self.ahead.len()));
        }
        Ok(())
    }

    /// Whether a node differs from the base, and only in files that nothing here has touched.
    fn differs_elsewhere(&self, id: &str, touched: &BTreeSet<String>) -> bool {
        let (Some(definition), Some(record)) = (self.definitions.all.get(id), self.records.get(id)) else {
            return false;
        };
        // What a parent is called follows from the parent.
        let inputs =
            changed_inputs(definition, record).into_iter().filter(|input| !input.starts_with("name of "));
        let places: Vec<Option<&String>> = inputs.map(|input| definition.places.get(input)).collect();
        !places.is_empty() && places.iter().all(|place| place.is_some_and(|place| !touched.contains(place)))
    }
}

/// How it is said that the base is ahead.
pub(super) fn ahead_text(base: &str, count: usize) -> String {
    let nodes = if count == 1 { "1 node differs" } else { &format!("{count} nodes differ") };
    format!("{base} is ahead: {nodes} that this branch did not touch")
}

/// Files below `project` that differ from where the present branch left the line that leads to `commit`; `None` if git
/// does not know that.
fn touched_since(project: &Path, commit: &str) -> Option<BTreeSet<String>> {
    if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let lines = |args: &[&str]| -> Option<Vec<String>> {
        let out = git::output(git::command(project).args(args)).ok()?;
        let names = out.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Some(names.map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect())
    };
    let left = lines(&["merge-base", "HEAD", commit])?.into_iter().next()?;
    let mut found = lines(&["diff", "--name-only", "-z", "--relative", &left])?;
    found.extend(lines(&["ls-files", "-z", "--others", "--exclude-standard"])?);
    Some(found.into_iter().collect())
}
