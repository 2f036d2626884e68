//! Shared by the tests: a scrubbed command, a scratch checkout, and the repository's root.

mod client;
pub(crate) mod endpoint;
pub(crate) mod schemas;
pub(crate) mod server;
#[cfg(target_os = "linux")]
mod warm;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as StdCommand;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// The environment that a schema is built in by [`Checkout::built`].
pub(crate) const BUILT: &str = "issue_42";

/// The root of this repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ lies in the root")
}

/// The program under test.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_xtask"))
}

/// `cargo xtask …` in `folder`, untouched by what this machine or CI sets.
pub(crate) fn xtask(folder: &Path) -> Command {
    Command::from_std(scrubbed(folder))
}

/// The same for tests that follow or kill the process.
pub(crate) fn scrubbed(folder: &Path) -> StdCommand {
    scrubbed_program(program(), folder)
}

/// The same for another program.
pub(crate) fn scrubbed_program(program: &Path, folder: &Path) -> StdCommand {
    let mut command = StdCommand::new(program);
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if is_scrubbed(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command
}

/// A line of a shell in `folder`, as a step of a workflow runs it, where `cargo xtask` is the program under test. The
/// folder `bin` gets the `cargo` that starts it.
pub(crate) fn shell(bin: &Path, folder: &Path, line: &str) -> StdCommand {
    use std::os::unix::fs::PermissionsExt as _;
    let cargo = bin.join("cargo");
    if !cargo.exists() {
        fs::create_dir_all(bin).expect("a folder");
        // cargo itself is asked for the dependencies by the audit.
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = xtask ] || exec {} \"$@\"\nshift\nexec {} \"$@\"\n",
            env!("CARGO"),
            program().display()
        );
        fs::write(&cargo, text).expect("a writable folder");
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("a program");
    }
    let path = std::env::var("PATH").expect("a PATH");
    let mut command = scrubbed_program(Path::new("bash"), folder);
    command.args(["-e", "-c", line]).env("PATH", format!("{}:{path}", bin.display())).env("CI", "true");
    command
}

/// Variables that change what the toolkit does. Where packages come from in the real environment
/// (PIP_*, UV_*) is set by the tests that need it.
fn is_scrubbed(name: &str) -> bool {
    const STARTS: [&str; 10] =
        ["ACTIONS_", "ADBC_", "XTASK_", "PIP_", "UV_", "DBT_", "SNOWFLAKE_", "GITHUB_", "SLACK_", "RUNNER_"];
    const NAMES: [&str; 6] = ["CI", "NO_COLOR", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"];
    STARTS.iter().any(|start| name.starts_with(start)) || NAMES.contains(&name)
}

/// An empty folder that counts as a git checkout.
pub(crate) fn scratch() -> TempDir {
    let dir = tempfile::Builder::new().prefix("xtask-it-").tempdir().expect("a scratch folder");
    fs::create_dir(dir.path().join(".git")).expect("a .git folder");
    dir
}

/// The Python environment of this repository, with what its tests need: made once, then kept. Its
/// downloads use the indexes and mirrors that this machine is set up with.
pub(crate) fn installed_environment() -> &'static Path {
    static VENV: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut command = StdCommand::new(program());
        command.current_dir(root()).args([
            "python",
            "sync",
            "--set",
            "local",
            "--set",
            "snowflake",
            "--set",
            "test",
            "--set",
            "audit",
        ]);
        let output = command.output().expect("the program under test starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let python = String::from_utf8(output.stdout).expect("a path in UTF-8");
        Path::new(python.trim()).ancestors().nth(2).expect("<venv>/bin/python").to_path_buf()
    });
    &VENV
}

/// The same, and its dbt starts faster where a process that has imported it can be copied.
#[cfg(target_os = "linux")]
pub(crate) fn environment() -> &'static Path {
    static WARM: LazyLock<warm::Warm> = LazyLock::new(|| warm::Warm::start(installed_environment()));
    WARM.folder()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn environment() -> &'static Path {
    installed_environment()
}

/// How a command ended, with all its output.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(mut command: StdCommand) -> Self {
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

    /// The same of an output that `docs/schemas/NAME.json` describes.
    #[track_caller]
    pub(crate) fn json_of(&self, schema: &str) -> Value {
        let output = self.json();
        schemas::assert_valid(schema, &output);
        output
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
        let folder = scratch();
        for part in ["dbt", "policies"] {
            copy(&root().join(part), &folder.path().join(part));
        }
        Self { folder }
    }

    /// A checkout whose project is one seed, the model that reads it and the views of monitoring: for what does not
    /// depend on the models, at an engine that takes seconds for each.
    pub(crate) fn slim() -> Self {
        let checkout = Self::new();
        for folder in ["models/silver", "models/gold", "tests/bronze", "tests/silver", "tests/gold"] {
            fs::remove_dir_all(checkout.path("dbt").join(folder)).expect("a folder");
        }
        for folder in ["seeds", "models/bronze"] {
            for file in fs::read_dir(checkout.path("dbt").join(folder)).expect("a folder").flatten() {
                let name = file.file_name().to_string_lossy().into_owned();
                if !["raw_suppliers", "stg_logistics__suppliers"]
                    .iter()
                    .any(|kept| name.starts_with(&format!("{kept}.")))
                {
                    fs::remove_file(file.path()).expect("a file");
                }
            }
        }
        checkout
    }

    /// A checkout in which [`BUILT`] has been built from the committed seeds: a copy of one that is
    /// built once for all tests.
    pub(crate) fn built() -> Self {
        static ONCE: LazyLock<Checkout> = LazyLock::new(|| {
            let checkout = Checkout::new();
            checkout.run(&["elt", "--schema", BUILT]).expect(0);
            checkout
        });
        ONCE.copied()
    }

    /// Another checkout with all that this one holds.
    pub(crate) fn copied(&self) -> Self {
        let folder = scratch();
        copy(self.root(), folder.path());
        Self { folder }
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root().join(relative)
    }

    pub(crate) fn command(&self, args: &[&str]) -> StdCommand {
        let mut command = scrubbed(self.root());
        // Plain lines, as in CI, even if the tests run in a terminal.
        command.env("XTASK_VENV", environment()).env("CI", "true").args(args);
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

    /// The folder of the database files.
    pub(crate) fn databases(&self) -> PathBuf {
        self.path(".xtask/logistics_demo")
    }

    /// The file of an environment.
    pub(crate) fn database(&self, environment: &str) -> PathBuf {
        self.databases().join(format!("{environment}.duckdb"))
    }

    /// The names of the database files, in order.
    pub(crate) fn environments(&self) -> Vec<String> {
        databases_in(&self.databases()).into_iter().map(|(name, _)| name).collect()
    }

    /// Run SQL on the warehouse behind the toolkit's back; the rows of the last statement. `issue_42.daily_kpis` is a
    /// table of that environment.
    pub(crate) fn sql(&self, sql: &str) -> Vec<Value> {
        sql_among(&self.databases(), sql)
    }
}

/// How long a process that was just killed may keep its lock on a database file: it loses it once it has given back
/// its memory.
const DYING: Duration = Duration::from_secs(30);

/// The database files of a folder with their names, in order.
pub(crate) fn databases_in(folder: &Path) -> Vec<(String, PathBuf)> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "duckdb"));
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut found: Vec<(String, PathBuf)> = files.map(|path| (name(&path), path)).collect();
    found.sort();
    found
}

/// Run SQL that names databases of a folder; the rows of the last statement.
pub(crate) fn sql_among(folder: &Path, sql: &str) -> Vec<Value> {
    let attach = |(name, file): (String, PathBuf)| format!("attach '{}' as \"{name}\";\n", file.display());
    let attached: String = databases_in(folder).into_iter().map(attach).collect();
    sql_in(Path::new(":memory:"), &(attached + sql))
}

/// Run SQL on a database file behind the toolkit's back; the rows of the last statement.
pub(crate) fn sql_in(database: &Path, sql: &str) -> Vec<Value> {
    let deadline = Instant::now() + DYING;
    let run = || {
        StdCommand::new(duckdb())
            .args(["-no-init", "-batch", "-bail", "-json", "-c", sql])
            .arg(database)
            .output()
            .expect("duckdb starts")
    };
    let mut output = run();
    while String::from_utf8_lossy(&output.stderr).contains("Could not set lock") && Instant::now() < deadline
    {
        std::thread::sleep(Duration::from_millis(50));
        output = run();
    }
    assert!(output.status.success(), "{sql}\n{}", String::from_utf8_lossy(&output.stderr));
    let results = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Vec<Value>>();
    results.last().transpose().expect("JSON").unwrap_or_default()
}

/// The engine's program, as the stamp of the shared environment names it.
pub(crate) fn duckdb() -> PathBuf {
    let venv = environment();
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

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder to copy").flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // What earlier runs in this repository left must not reach a scratch checkout.
        if source == root().join("dbt/target") || source == root().join("dbt/logs") {
            continue;
        }
        if source.is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(&source, &target).expect("a copy");
        }
    }
}

/// SARIF as the standard has it, positions and all.
pub(crate) fn assert_valid_sarif(text: &[u8]) {
    let schema = fs::read_to_string(root().join("tests/schemas/sarif-2.1.0.json")).expect("the schema");
    // The published pattern of a language has a bracket too many, and is not a valid regular expression.
    let schema = schema.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let document: Value = serde_json::from_slice(text).expect("JSON");
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .expect("a schema")
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}
