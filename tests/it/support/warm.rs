//! An environment of Python whose dbt does not import itself at each start (`tests/python/fork_server.py`). Everything
//! else in it is what is installed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::root;

/// What the runs import, apart from DuckDB: it starts threads, which a copy of the process does not have.
const MODULES: [&str; 2] = ["dbt.cli.main", "dbt.adapters.snowflake"];
const STAMP: &str = ".xtask-stamp.json";

pub(super) struct Warm {
    folder: PathBuf,
    /// It ends, and removes the folder, when this process does.
    _server: Child,
}

impl Warm {
    /// Over an installed environment.
    pub(super) fn start(installed: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("xtask-it-python-").tempdir().expect("a folder").keep();
        fs::create_dir(folder.join("bin")).expect("a folder");
        symlink(installed.join("lib"), folder.join("lib")).expect("a link");
        link_programs(installed, &folder);
        let mut stamp = fs::read(installed.join(STAMP)).map(|text| serde_json::from_slice::<Value>(&text));
        let stamp = stamp.as_mut().expect("a stamp").as_mut().expect("JSON");
        stamp["venv"] = folder.to_str().expect("a path in UTF-8").into();
        fs::write(folder.join(STAMP), stamp.to_string()).expect("written");
        Self { _server: serve(installed, &folder), folder }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// dbt and Python are the client; the other programs are those that are installed.
fn link_programs(installed: &Path, folder: &Path) {
    let python = installed.join("bin/python").canonicalize().expect("a program");
    let client = fs::read_to_string(root().join("tests/python/fork_client.py")).expect("a file");
    let client = format!("#!{} -IS\n{client}", python.display());
    // The toolkit compares the name of the program behind the link with the one it has installed from.
    let named = python.file_name().expect("a name");
    for program in [named, "dbt".as_ref()] {
        let path = folder.join("bin").join(program);
        fs::write(&path, &client).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
    }
    for entry in fs::read_dir(installed.join("bin")).expect("a folder").flatten() {
        let name = entry.file_name();
        let is_python = name.to_string_lossy().starts_with("python");
        let (target, link) = (folder.join("bin").join(named), folder.join("bin").join(&name));
        if !link.exists() {
            symlink(if is_python { target } else { entry.path() }, link).expect("a link");
        }
    }
}

fn serve(installed: &Path, folder: &Path) -> Child {
    let mut command = Command::new(installed.join("bin/python"));
    command.arg(root().join("tests/python/fork_server.py")).arg(folder.join("fork_server")).args(MODULES);
    let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
    let mut line = String::new();
    let listening = BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut line);
    assert_eq!((listening.expect("a line"), line.trim()), (10, "listening"));
    server
}
