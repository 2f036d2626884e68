//! Snowflake: the settings, whether the driver is installed, and whether a login works.

use std::time::Duration;

use super::Verdict;
use crate::core::policy::Environments;
use crate::ledger;
use crate::system::repo::Repo;
use crate::target::{self, Args, Place};
use crate::warehouse::snowflake::{self, Patience, Way};

/// The variables, without a request.
pub(super) fn settings(repo: &Repo) -> Verdict {
    match Args::snowflake().place(repo) {
        Ok(Place::Snowflake { login, .. }) if matches!(login.way, Way::Password(_)) => Verdict::warn(
            login.tried(),
            "logins with only a password ended in October 2026 (trial accounts exempt): prefer workload identity, a \
             key pair or a programmatic access token",
        ),
        Ok(Place::Snowflake { login, .. }) => Verdict::ok(login.tried()),
        Ok(Place::Local { .. }) => Verdict::fail("the target is local", "use `--target snowflake`"),
        Err(error) => Verdict::fail(
            format!("{error:#}"),
            "set the variables; the README says which for each way to log in",
        ),
    }
}

/// Where this project's environments live, and whether another project of the repository has the same names there.
pub(super) fn database(repo: &Repo) -> Verdict {
    let Ok(Place::Snowflake { login, ours, .. }) = Args::snowflake().place(repo) else {
        return Verdict::warn("not looked at: the settings are wrong", "see settings");
    };
    let Ok(policy) = Environments::load(repo) else {
        return Verdict::warn("not looked at: the policy is wrong", "see settings");
    };
    let given = policy.snowflake.databases;
    let own = ours.owner.project_folder.as_deref().unwrap_or_default();
    let source = if given.contains_key(own) { "[snowflake.databases]" } else { target::DATABASE };
    let found = format!("{} ({source}) for the dbt project {}", login.database.as_str(), ours.owner);
    let sharing: Vec<String> = target::projects(repo)
        .into_iter()
        .filter(|folder| folder != own && !given.contains_key(folder))
        .collect();
    if sharing.is_empty() || given.contains_key(own) {
        return Verdict::ok(found);
    }
    Verdict::warn(
        format!("{found}; shared with {}: each refuses the environments of the other", sharing.join(", ")),
        format!("give each project a database in policies/environments.toml:\n{}", target::example(repo)),
    )
}

pub(super) fn driver(repo: &Repo) -> Verdict {
    let by_itself = "the next command with `--target snowflake` installs it, or `cargo xtask python sync --set snowflake`";
    let Ok(place) = Args::snowflake().place(repo) else {
        return Verdict::warn("unknown until the settings are right", "see settings");
    };
    match place
        .snowflake_driver(repo)
        .and_then(|found| found.map_or(Ok(None), |driver| driver.checked().map(Some)))
    {
        Ok(Some(driver)) => Verdict::ok(driver.describe()),
        Ok(None) => Verdict::warn("not installed yet", by_itself),
        Err(error) => Verdict::from_error(&error),
    }
}

/// The subject of the workload identity token, and the statement that makes Snowflake accept it.
pub(super) fn identity(repo: &Repo) -> Verdict {
    let Ok(Place::Snowflake { login, .. }) = Args::snowflake().place(repo) else {
        return Verdict::warn("not looked at: the settings are wrong", "see settings");
    };
    match snowflake::identity(&login) {
        Ok(None) => Verdict::ok(format!("not used: the login is with {}", login.way.label())),
        Ok(Some((subject, statement))) => Verdict::ok(format!(
            "the token's subject is {subject}\nif the login is refused, an administrator can run\n{statement}"
        )),
        Err(error) => Verdict::from_error(&error),
    }
}

/// A real login, and a look at the database.
pub(super) fn login(repo: &Repo) -> Verdict {
    let Ok(mut place) = Args::snowflake().place(repo) else {
        return Verdict::warn("not tried: the settings are wrong", "see settings");
    };
    if let Place::Snowflake { patience, .. } = &mut place {
        // One attempt: a user is waiting.
        *patience =
            Patience { statement_seconds: seconds(patience.statement_seconds), attempts: 1, ..*patience };
    }
    let Ok(Some(driver)) = place.snowflake_driver(repo) else {
        return Verdict::warn("not tried: the driver is not installed", "see driver");
    };
    let tag = ledger::query_tag(None, None, "doctor");
    let asked = place.settings(driver, &tag).and_then(snowflake::probe);
    match asked {
        Ok(found) => Verdict::ok(found),
        Err(error) => refused(&format!("{error:#}")),
    }
}

/// A suspended warehouse takes a few seconds to resume, sometimes many: that is not a failure.
/// `XTASK_SNOWFLAKE_TIMEOUT` is respected up to the time limit of the checks.
fn seconds(given: u64) -> u64 {
    given.min(PATIENCE.as_secs())
}

/// How long the checks of Snowflake may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(25);

/// The errors of Snowflake end with a line that says what to do.
fn refused(text: &str) -> Verdict {
    match text.rsplit_once('\n') {
        Some((found, remedy)) => Verdict::fail(found, remedy),
        None => Verdict::fail(text, "see the message"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn the_last_line_of_an_error_is_what_to_do() {
        let verdict = refused("failed to log in: tried x: 390100: wrong\ncheck the password");
        assert_eq!((verdict.status, verdict.remedy.as_deref()), (Status::Fail, Some("check the password")));
    }
}
