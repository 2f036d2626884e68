//! Snowflake: what is set, whether the driver is here, and whether a login works.

use super::Verdict;
use crate::core::ledger;
use crate::system::repo::Repo;
use crate::target::{Args, Place};
use crate::warehouse::snowflake::{self, Patience};

/// The variables, without asking anybody.
pub(super) fn settings(repo: &Repo) -> Verdict {
    match Args::snowflake().place(repo) {
        Ok(Place::Snowflake { login, .. }) => Verdict::ok(login.tried()),
        Ok(Place::Local { .. }) => Verdict::fail("the target is local", "use `--target snowflake`"),
        Err(error) => Verdict::fail(
            format!("{error:#}"),
            "set the variables; the README says which for each way to log in",
        ),
    }
}

pub(super) fn driver(repo: &Repo) -> Verdict {
    let by_itself = "the next command with `--target snowflake` installs it, or `cargo xtask python sync --set snowflake`";
    let Ok(packages) = Args::snowflake().place(repo).and_then(|place| place.packages(repo)) else {
        return Verdict::warn("unknown until the settings are right", "see settings");
    };
    let Some(library) = packages.map(|folder| snowflake::library(&folder)) else {
        return Verdict::warn("not installed yet", by_itself);
    };
    if library.is_file() {
        Verdict::ok(repo.relative(&library).display().to_string())
    } else {
        Verdict::fail(format!("{} is gone", library.display()), "cargo xtask python sync --set snowflake")
    }
}

/// A real login, and a look at the database.
pub(super) fn login(repo: &Repo) -> Verdict {
    let Ok(mut place) = Args::snowflake().place(repo) else {
        return Verdict::warn("not tried: the settings are wrong", "see settings");
    };
    if let Place::Snowflake { patience, .. } = &mut place {
        // A person waits: one try, and an answer of our own before the checks' limit is over.
        *patience = Patience { statement_seconds: 2, attempts: 1, ..*patience };
    }
    let Ok(Some(packages)) = place.packages(repo) else {
        return Verdict::warn("not tried: the driver is not installed", "see driver");
    };
    let tag = ledger::query_tag(None, None, "doctor");
    let asked = place.settings(packages, tag).and_then(snowflake::probe);
    match asked {
        Ok(found) => Verdict::ok(found),
        Err(error) => refused(&format!("{error:#}")),
    }
}

/// The errors of Snowflake end with a line that says what to do.
fn refused(text: &str) -> Verdict {
    match text.rsplit_once('\n') {
        Some((found, mend)) => Verdict::fail(found, mend),
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
        assert_eq!((verdict.status, verdict.mend.as_deref()), (Status::Fail, Some("check the password")));
    }
}
