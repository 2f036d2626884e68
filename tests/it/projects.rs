//! Any dbt project: what `elt` promises holds for projects that were not written for it.

mod boundary;
mod harness;
mod owners;
mod seeds;
mod stale;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as StdCommand;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{self, Ended};

/// A repository with a project of a few files.
pub(crate) struct Small {
    folder: TempDir,
}

impl Small {
    /// `files` are paths from the repository's root with their text.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("xtask-it-").tempdir().expect("a scratch folder");
        let init = StdCommand::new("git").args(["init", "--quiet"]).current_dir(folder.path()).status();
        assert!(init.expect("git starts").success());
        let small = Self { folder };
        for (path, text) in files {
            small.write(path, text);
        }
        small
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, text: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    pub(crate) fn command(&self, args: &[&str]) -> StdCommand {
        let mut command = support::scrubbed(self.root());
        command.env("XTASK_VENV", support::environment()).env("CI", "true").args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args))
    }

    pub(crate) fn elt(&self, schema: &str) -> Ended {
        self.run(&["elt", "--schema", schema])
    }

    /// Whether `elt` would find nothing to do.
    pub(crate) fn is_up_to_date(&self, schema: &str) -> bool {
        self.run(&["elt", "--schema", schema, "--dry-run", "--format", "json"])
            .expect(0)
            .json_of("elt-dry-run")["up_to_date"]
            == true
    }

    /// Rows of a query that names databases of the folder of database files, which must exist.
    pub(crate) fn sql(&self, folder: &str, sql: &str) -> Vec<Value> {
        let folder = self.path(folder);
        assert!(folder.is_dir(), "{}", folder.display());
        support::sql_among(&folder, sql)
    }
}

pub(crate) const PROJECT: &str =
    "name: tiny\nversion: '1.0'\nprofile: tiny\nflags: {send_anonymous_usage_stats: false}\n";

/// A project of a seed and a model, with its versions pinned as in this repository.
pub(crate) fn tiny(more: &[(&str, &str)]) -> Small {
    let small = Small::new(&[
        ("dbt/dbt_project.yml", PROJECT),
        ("dbt/seeds/s.csv", "id,v\n1,10\n2,20\n"),
        ("dbt/models/a.sql", "select * from {{ ref('s') }}\n"),
    ]);
    support::copy(&support::root().join("dbt/requirements"), &small.path("dbt/requirements"));
    for (path, text) in more {
        small.write(path, text);
    }
    small
}
