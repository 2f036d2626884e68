//! The line that shows on a laptop what a pipeline showed.

use super::outcome::cleans;
use super::{State, Verdict};
use crate::core::environment::Name;
use crate::core::stage::Stage;
use crate::notify::facts::Plan;

/// The line that shows the same on a laptop: that of the first stage that failed, else that of what the plan asks
/// for. Made of names of the grammar and our fixed words.
pub(super) fn reproduce(
    plan: Option<&Plan>,
    subject: &str,
    stages: &[(String, State)],
    verdict: Verdict,
) -> Option<String> {
    let failed = |name: &str| stages.iter().any(|(other, state)| other == name && *state == State::Failure);
    let on = plan.and_then(|plan| plan.target.as_deref()).filter(|target| *target == "snowflake");
    let on = on.map(|target| format!(" --target {target}")).unwrap_or_default();
    let names_environment = plan.is_none_or(|plan| plan.schema.is_some());
    let stage = Stage::ALL.into_iter().find(|stage| failed(stage.label()));
    let line = match (stage, subject.parse::<Name>()) {
        (Some(Stage::Security), _) => {
            "cargo xtask lint && cargo xtask secrets --history && cargo xtask audit".to_owned()
        }
        _ if failed("janitor") => format!("cargo xtask schema gc{on}"),
        (_, Ok(name)) if failed("cleanup") => {
            format!("cargo xtask schema drop --schema {name} --if-exists{on}")
        }
        (Some(Stage::Observability), Ok(name)) => format!("cargo xtask metrics --schema {name} --gate{on}"),
        (Some(Stage::Elt) | None, Ok(name)) if names_environment && !cleans(plan) => {
            let base = plan.and_then(|plan| plan.base.as_deref()).and_then(|base| base.parse::<Name>().ok());
            let base = base.map(|base| format!(" --base {base}")).unwrap_or_default();
            format!("cargo xtask elt --schema {name}{base}{on}")
        }
        (Some(Stage::Elt | Stage::Observability) | None, _) => return None,
    };
    (verdict != Verdict::Nothing).then_some(line)
}
