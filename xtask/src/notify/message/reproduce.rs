//! The line that shows on a laptop what a pipeline showed.

use super::outcome::cleans;
use super::{State, Verdict};
use crate::core::environment::Name;
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
    if failed("security") {
        return Some("cargo xtask lint && cargo xtask secrets --history && cargo xtask audit".to_owned());
    }
    let on = plan.and_then(|plan| plan.target.as_deref()).filter(|target| *target == "snowflake");
    let on = on.map(|target| format!(" --target {target}")).unwrap_or_default();
    let schema = subject.parse::<Name>();
    let names_environment = plan.is_none_or(|plan| plan.schema.is_some());
    let line = match schema {
        _ if failed("janitor") => format!("cargo xtask schema gc{on}"),
        Ok(name) if failed("cleanup") => format!("cargo xtask schema drop --schema {name} --if-exists{on}"),
        Ok(name) if failed("observability") && !failed("elt") => {
            format!("cargo xtask metrics --schema {name} --gate{on}")
        }
        Ok(name) if names_environment && !cleans(plan) => {
            let base = plan.and_then(|plan| plan.base.as_deref()).and_then(|base| base.parse::<Name>().ok());
            let base = base.map(|base| format!(" --base {base}")).unwrap_or_default();
            format!("cargo xtask elt --schema {name}{base}{on}")
        }
        _ => return None,
    };
    (verdict != Verdict::Nothing).then_some(line)
}
