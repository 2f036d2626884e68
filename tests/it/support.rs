//! What tests share: a scrubbed command, a scratch checkout, and the repository's own root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

/// The environment that a schema is built in by [`Checkout::built`].
pub(crate) const BUILT: &str = "issue_42";

/// The root of this repository.
pub(crate) fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the package lies in the repository").to_path_buf()
}

/// `cargo xtask` as a user types it in `folder`, without anything of this process's environment that
/// could change what it does.
pub(crate) fn xtask(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let meaningful = ["DBT_", "XTASK_", "GITHUB_", "SNOWFLAKE_", "SLACK_"];
    for (name, _) in std::env::vars() {
        if meaningful.iter().any(|start| name.starts_with(start)) {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).env("CI", "true").env("NO_COLOR", "1").env_remove("RUST_BACKTRACE");
    command
}

/// How a command ended, with all it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(mut command: Command) -> Self {
        command.output().expect("the command starts").into()
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}", self.stdout))
    }
}

impl From<std::process::Output> for Ended {
    fn from(output: std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A scratch repository with this one's dbt project and policies. It shares this repository's Python
/// environment: making one costs half a minute and is tested elsewhere.
pub(crate) struct Checkout {
    folder: TempDir,
}

impl Checkout {
    /// Nothing built yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for part in ["dbt", "policies"] {
            copy(&repository().join(part), &folder.path().join(part));
        }
        fs::create_dir(folder.path().join(".git")).expect("a folder");
        Self { folder }
    }

    /// A checkout in which [`BUILT`] has been built from the committed seeds: a copy of one that is
    /// built once for all tests.
    pub(crate) fn built() -> Self {
        static ONCE: LazyLock<Checkout> = LazyLock::new(|| {
            let checkout = Checkout::new();
            checkout.run(&["elt", "--schema", BUILT]).expect(0);
            checkout
        });
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy(ONCE.root(), folder.path());
        Self { folder }
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root().join(relative)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = xtask(self.root());
        command.env("XTASK_VENV", repository().join(".venv")).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args))
    }

    /// Change a file of the checkout.
    pub(crate) fn edit(&self, relative: &str, change: impl FnOnce(String) -> String) {
        let path = self.path(relative);
        let text = fs::read_to_string(&path).expect("a file to edit");
        fs::write(path, change(text)).expect("a writable file");
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path(".xtask/logistics_demo.duckdb")
    }

    /// Run SQL on the warehouse behind the toolkit's back; the rows of the last statement.
    pub(crate) fn sql(&self, sql: &str) -> Vec<Value> {
        let output = Command::new(duckdb())
            .args(["-no-init", "-batch", "-bail", "-json", "-c", sql])
            .arg(self.database())
            .output()
            .expect("duckdb starts");
        assert!(output.status.success(), "{sql}\n{}", String::from_utf8_lossy(&output.stderr));
        let results = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Vec<Value>>();
        results.last().transpose().expect("JSON").unwrap_or_default()
    }
}

/// The engine's program, as the stamp of the shared environment names it.
fn duckdb() -> PathBuf {
    let venv = repository().join(".venv");
    let mut folders = vec![venv.join("lib")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("an environment").flatten() {
            let path = entry.path();
            if path.ends_with("duckdb_cli/duckdb") {
                return path;
            }
            let wanted = ["lib", "python3", "site-packages", "duckdb_cli"];
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && wanted.iter().any(|start| name.starts_with(start)) {
                folders.push(path);
            }
        }
    }
    panic!("no duckdb in {}", venv.display())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder to copy").flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // What earlier runs in this repository left must not reach a scratch checkout.
        if source == repository().join("dbt/target") || source == repository().join("dbt/logs") {
            continue;
        }
        if source.is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(&source, &target).expect("a copy");
        }
    }
}
