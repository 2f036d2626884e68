//! The dbt that builds: which one is chosen and why, and whether it is installed and starts.

use super::Verdict;
use crate::dbt::engine::{self, Choice, Engine, Generation};
use crate::system::repo::Repo;
use crate::target::Target;

/// Whether the chosen engine is the native one, which needs no Python.
pub(super) fn is_native(repo: &Repo) -> bool {
    engine::choose(repo).is_ok_and(|choice| choice.generation == Generation::V2)
}

pub(super) fn engine(repo: &Repo) -> Verdict {
    let looked = engine::choose(repo)
        .and_then(|choice| Ok((choice, Engine::find(repo, Target::from_environment().driver())?)));
    let (Choice { generation, because }, found) = match looked {
        Ok(looked) => looked,
        Err(error) => return Verdict::from_error(&error),
    };
    match (found, generation) {
        (Some(engine), _) => Verdict::ok(format!("{} ({because})", engine.describe())),
        (None, generation) => Verdict::warn(
            format!("dbt {} ({because}) is not installed yet", generation.label()),
            format!(
                "the next `cargo xtask elt` installs it, or `cargo xtask dbt use {}`",
                generation.label()
            ),
        ),
    }
}
