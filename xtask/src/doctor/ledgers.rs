//! Whether the environments' ledgers are of the version that this toolkit writes.

use super::Verdict;
use crate::ledger::{self, Mark, tables};
use crate::system::repo::Repo;
use crate::target::Args;

/// The ledgers of the environments of the local target.
pub(super) fn local(repo: &Repo) -> Verdict {
    let read = || {
        let tag = ledger::query_tag(None, None, "doctor");
        let (mut warehouse, _) = Args::local().place(repo)?.look(repo, None, &tag)?;
        ledger::environments(warehouse.as_mut())
    };
    match read() {
        Ok(marks) => verdict(&marks),
        Err(error) => Verdict::from_error(&error),
    }
}

fn verdict(marks: &[Mark]) -> Verdict {
    let version = |mark: &Mark| mark.ledger_version.unwrap_or(0);
    let named = |is: &dyn Fn(u32) -> bool| {
        let fitting = marks.iter().filter(|mark| is(version(mark)));
        fitting.map(|mark| format!("{} ({})", mark.schema_name, version(mark))).collect::<Vec<_>>().join(", ")
    };
    let newer = named(&|version| version > tables::VERSION);
    if !newer.is_empty() {
        return Verdict::fail(
            format!("a newer toolkit than this one, which knows version {}, wrote {newer}", tables::VERSION),
            "update the toolkit: `git pull`, or `cargo xtask upgrade`",
        );
    }
    let older = named(&|version| version < tables::VERSION);
    if older.is_empty() {
        return Verdict::ok(match marks.len() {
            0 => "no environments yet".to_owned(),
            count => format!("{count} environment(s), all of version {}", tables::VERSION),
        });
    }
    let brought: Vec<&str> = tables::CHANGES.iter().map(|(_, what)| *what).collect();
    Verdict::warn(
        format!("older than version {}: {older}", tables::VERSION),
        format!(
            "nothing to do: the next `cargo xtask elt` or `schema create` of each brings it up to date ({})",
            brought.join("; ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use crate::core::clock;

    fn mark(name: &str, version: Option<u32>) -> Mark {
        Mark {
            schema_name: name.into(),
            kind: "issue".into(),
            base: None,
            issue_number: None,
            object_name: None,
            created_at: clock::now(),
            created_by: None,
            toolkit_version: "0".into(),
            ledger_version: version,
            owner: ledger::Owner::default(),
        }
    }

    #[test]
    fn versions_are_reported() {
        let current = mark("issue_1", Some(tables::VERSION));
        assert_eq!(verdict(&[]).status, Status::Ok);
        assert_eq!(verdict(std::slice::from_ref(&current)).status, Status::Ok);
        let older = verdict(&[current.clone(), mark("issue_2", None)]);
        assert_eq!(older.status, Status::Warn);
        assert!(older.found.contains("issue_2 (0)") && !older.found.contains("issue_1"), "{}", older.found);
        assert_eq!(verdict(&[current, mark("issue_3", Some(99))]).status, Status::Fail);
    }
}
