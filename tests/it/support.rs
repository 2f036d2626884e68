//! What tests share: a scrubbed command, a scratch checkout, and the repository's own root.

use std::path::{Path, PathBuf};
use std::process::Command as StdCommand;
use std::sync::LazyLock;

use assert_cmd::Command;

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
    let mut command = Command::new(program());
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if is_scrubbed(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command
}

/// Variables that change what the toolkit does. Where packages come from in the real environment
/// (PIP_*, UV_*) is set by the tests that need it.
fn is_scrubbed(name: &str) -> bool {
    const STARTS: [&str; 8] = ["XTASK_", "PIP_", "UV_", "DBT_", "SNOWFLAKE_", "GITHUB_", "SLACK_", "RUNNER_"];
    const NAMES: [&str; 6] = ["CI", "NO_COLOR", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"];
    STARTS.iter().any(|start| name.starts_with(start)) || NAMES.contains(&name)
}

/// An empty folder that counts as a git checkout.
pub(crate) fn scratch() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("xtask-it-").tempdir().expect("a scratch folder");
    std::fs::create_dir(dir.path().join(".git")).expect("a .git folder");
    dir
}

/// The Python environment of this repository, with what its tests need: made once, then kept. Its
/// downloads use the indexes and mirrors that this machine is set up with.
pub(crate) fn environment() -> &'static Path {
    static VENV: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut command = StdCommand::new(program());
        command.current_dir(root()).args(["python", "sync", "--set", "local", "--set", "test"]);
        let output = command.output().expect("the program under test starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let python = String::from_utf8(output.stdout).expect("a path in UTF-8");
        Path::new(python.trim()).ancestors().nth(2).expect("<venv>/bin/python").to_path_buf()
    });
    &VENV
}
