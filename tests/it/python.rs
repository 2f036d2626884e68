//! `cargo xtask python`: real environments, made of wheels so small that each takes a second.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

use crate::support;

/// Makes wheels and prints their hashes. `duckdb-cli` carries a program, as the real one does.
const MAKE_WHEELS: &str = r"
import hashlib, sys, zipfile
def wheel(name, version, files):
    module, info = name.replace('-', '_'), '%s-%s.dist-info' % (name.replace('-', '_'), version)
    path = '%s/%s-%s-py3-none-any.whl' % (sys.argv[1], module, version)
    files = dict(files, **{module + '/__init__.py': ('VERSION = %r\n' % version, 0o644),
        info + '/METADATA': ('Metadata-Version: 2.1\nName: %s\nVersion: %s\n' % (name, version), 0o644),
        info + '/WHEEL': ('Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n', 0o644)})
    with zipfile.ZipFile(path, 'w') as archive:
        for file, (text, mode) in files.items():
            entry = zipfile.ZipInfo(file); entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, text)
        entry = zipfile.ZipInfo(info + '/RECORD'); entry.external_attr = 0o100644 << 16
        archive.writestr(entry, ''.join('%s,,\n' % file for file in [*files, info + '/RECORD']))
    print(name, version, hashlib.sha256(open(path, 'rb').read()).hexdigest())
wheel('tiny', '1.0', {}); wheel('tiny', '2.0', {}); wheel('other', '1.0', {}); wheel('extra', '1.0', {})
wheel('big', '1.0', {'big/data.bin': ('x' * 8_000_000, 0o644)})
wheel('duckdb-cli', '1.5.6', {'duckdb_cli/duckdb': ('#!/bin/sh\necho v1.5.6\n', 0o755)})
";

/// The wheels and the Python of this machine: found once.
struct Shelf {
    folder: tempfile::TempDir,
    hashes: BTreeMap<String, String>,
    python: PathBuf,
}

static SHELF: LazyLock<Shelf> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("{MAKE_WHEELS}\nprint(getattr(sys, '_base_executable', sys.executable))");
    let python = support::installed_environment().join("bin/python");
    let output = StdCommand::new(python).args(["-c", &script]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut hashes = BTreeMap::new();
    let mut base = PathBuf::new();
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            [name, version, hash] => drop(hashes.insert(format!("{name}=={version}"), hash.to_owned())),
            _ => base = PathBuf::from(line),
        }
    }
    Shelf { folder, hashes, python: base }
});

/// A checkout with its own locks, and a PATH that contains only what a test puts there.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    /// PATH holds `python3` and `uv`.
    fn with_uv() -> Self {
        let bench = Self::with_python();
        symlink(support::installed_environment().join("bin/uv"), bench.path("bin/uv")).unwrap();
        bench
    }

    /// PATH holds `python3`.
    fn with_python() -> Self {
        let bench = Self::bare();
        symlink(&SHELF.python, bench.path("bin/python3")).unwrap();
        bench
    }

    /// PATH holds nothing.
    fn bare() -> Self {
        let bench = Self { dir: support::scratch() };
        fs::create_dir_all(bench.path("dbt/requirements")).unwrap();
        fs::create_dir(bench.path("bin")).unwrap();
        fs::write(bench.path("dbt/dbt_project.yml"), "name: scratch\n").unwrap();
        bench.lock("local", &["tiny==1.0", "other==1.0", "duckdb-cli==1.5.6"]);
        bench
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Write a lock with the true hashes.
    fn lock(&self, set: &str, pins: &[&str]) {
        let line = |pin: &&str| format!("{pin} \\\n    --hash=sha256:{}\n", SHELF.hashes[*pin]);
        let text: String = pins.iter().map(line).collect();
        fs::write(self.path(&format!("dbt/requirements/{set}.txt")), text).unwrap();
    }

    /// A program on PATH.
    fn script(&self, name: &str, text: &str) {
        let path = self.path(&format!("bin/{name}"));
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Packages come from the shelf and nowhere else.
    fn xtask(&self, args: &[&str]) -> Command {
        let mut command = support::xtask(self.dir.path());
        command.args(args).env("PATH", self.path("bin")).env("UV_CACHE_DIR", self.path("cache"));
        command
            .env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", SHELF.folder.path())
            .env("PIP_NO_CACHE_DIR", "1");
        command
    }

    fn sync(&self) -> Command {
        self.xtask(&["python", "sync"])
    }

    /// Packages come from an index at this address and nowhere else.
    fn sync_from(&self, index: &str) -> Command {
        let mut command = self.sync();
        command.env_remove("PIP_NO_INDEX").env_remove("PIP_FIND_LINKS").env("PIP_INDEX_URL", index);
        command.env("UV_HTTP_RETRIES", "0").env("PIP_RETRIES", "0").env("NO_PROXY", "127.0.0.1");
        command
    }

    /// What is installed, without the installer's own packages.
    fn installed(&self) -> Vec<String> {
        let lib = fs::read_dir(self.path(".venv/lib")).unwrap().next().unwrap().unwrap().path();
        let names = fs::read_dir(lib.join("site-packages")).unwrap();
        let mut names: Vec<String> = names
            .filter_map(|entry| {
                entry.unwrap().file_name().to_str()?.strip_suffix(".dist-info").map(str::to_owned)
            })
            .filter(|name| !name.starts_with("pip-") && !name.starts_with("setuptools-"))
            .collect();
        names.sort();
        names
    }
}

/// Nothing listens at this address: the listener is closed before the first connection.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn this_repositorys_locks_are_current_and_pin_what_is_asked_for() {
    support::xtask(support::root()).args(["python", "lock", "--check"]).assert().success().stdout("");
    for set in ["local", "snowflake", "test"] {
        let read =
            |end| fs::read_to_string(support::root().join(format!("dbt/requirements/{set}.{end}"))).unwrap();
        let lock = read("txt");
        let asked = read("in");
        for line in asked.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, version) =
                line.split_once("==").unwrap_or_else(|| panic!("{line}: not an exact version"));
            let pin = format!("{}=={version} \\", name.split('[').next().unwrap());
            assert!(lock.lines().any(|line| line == pin), "{set}.txt lacks {pin}");
        }
        for foreign in ["://", "file:", "/home", "/tmp", "--index-url", "--find-links"] {
            assert!(
                !lock.contains(foreign),
                "{set}.txt names {foreign}, which is of the machine that wrote it"
            );
        }
    }
    let local = fs::read_to_string(support::root().join("dbt/requirements/local.txt")).unwrap();
    let driver = local.lines().find(|line| line.starts_with("snowflake") || line.starts_with("adbc"));
    assert_eq!(driver, None, "a laptop needs no Snowflake driver");
}

#[test]
fn uv_installs_keeps_and_brings_up_to_date_exactly_what_is_locked() {
    let bench = Bench::with_uv();
    bench.sync().assert().success().stderr(contains("setting up the Python environment in .venv"));
    assert_eq!(bench.installed(), ["duckdb_cli-1.5.6", "other-1.0", "tiny-1.0"]);

    // Whole: with nothing on PATH this can only work if nothing is started.
    let again = bench.sync().env("PATH", "").assert().success().stderr("");
    let python = String::from_utf8(again.get_output().stdout.clone()).unwrap();
    assert_eq!(Path::new(python.trim()), bench.path(".venv/bin/python"));

    // A changed lock: the new version is installed, packages that are no longer locked are removed.
    bench.lock("local", &["tiny==2.0", "duckdb-cli==1.5.6"]);
    bench.sync().assert().success().stderr(contains("local.txt changed"));
    assert_eq!(bench.installed(), ["duckdb_cli-1.5.6", "tiny-2.0"]);

    // Another set is installed in addition, and only it.
    bench.lock("test", &["extra==1.0", "tiny==2.0"]);
    bench
        .xtask(&["python", "sync", "--set", "test"])
        .assert()
        .success()
        .stderr(contains("test.txt is asked for"));
    assert_eq!(bench.installed(), ["duckdb_cli-1.5.6", "extra-1.0", "tiny-2.0"]);
    let log = fs::read_to_string(bench.path(".xtask/python-install.log")).unwrap();
    assert!(log.contains("+ extra==1.0") && !log.contains("tiny"), "{log}");
    bench.sync().env("PATH", "").assert().success().stderr("");

    // Sets that contradict each other cannot be installed side by side: this is reported before anything is
    // changed.
    bench.lock("test", &["extra==1.0", "tiny==1.0"]);
    let ended = bench.xtask(&["python", "sync", "--set", "test"]).assert().code(2);
    ended.stderr(contains("tiny is 2.0 in local.txt, 1.0 in test.txt").and(contains("python lock")));
}

#[test]
fn pip_does_the_same_without_uv() {
    let bench = Bench::with_python();
    bench.sync().assert().success().stderr(contains("and pip"));
    assert_eq!(bench.installed(), ["duckdb_cli-1.5.6", "other-1.0", "tiny-1.0"]);
    bench.sync().env("PATH", "").assert().success().stderr("");

    // A failed download changes nothing: the local set stays usable.
    bench.lock("test", &["extra==1.0"]);
    let index = format!("http://{}/simple", closed_port());
    let ended = bench.sync_from(&index).args(["--set", "test"]).assert().code(2);
    ended.stderr(contains("test.txt").and(contains("cannot be reached")).and(contains("python-install.log")));
    bench.sync().env("PATH", "").assert().success().stderr("");

    // So does a package that is not the locked one.
    let wrong = format!("extra==1.0 \\\n    --hash=sha256:{}\n", "0".repeat(64));
    fs::write(bench.path("dbt/requirements/test.txt"), wrong).unwrap();
    let ended = bench.xtask(&["python", "sync", "--set", "test"]).assert().code(2);
    ended.stderr(contains("hash mismatch").and(contains("extra")));
    bench.lock("test", &["extra==1.0"]);
    bench.xtask(&["python", "sync", "--set", "test"]).assert().success();

    // pip leaves packages that are no longer locked, so a changed lock means an environment from nothing.
    bench.lock("local", &["tiny==2.0", "duckdb-cli==1.5.6"]);
    bench
        .sync()
        .assert()
        .success()
        .stderr(contains("rebuilding the Python environment in .venv: local.txt changed"));
    assert_eq!(bench.installed(), ["duckdb_cli-1.5.6", "extra-1.0", "tiny-2.0"]);
}

#[test]
fn an_interrupted_installation_is_repeated() {
    let bench = Bench::with_uv();
    // An index that accepts the connection and never answers: the installation hangs until it is killed.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let index = format!("http://{}/simple", silent.local_addr().unwrap());
    let mut command = StdCommand::new(support::program());
    command.current_dir(bench.dir.path()).args(["python", "sync"]).env("PATH", bench.path("bin"));
    for name in
        ["PIP_NO_INDEX", "PIP_FIND_LINKS", "UV_FIND_LINKS", "UV_NO_INDEX", "XTASK_VENV", "UV_INDEX_URL"]
    {
        command.env_remove(name);
    }
    command
        .env("UV_DEFAULT_INDEX", index)
        .env("UV_CACHE_DIR", bench.path("cache"))
        .env("NO_PROXY", "127.0.0.1");
    // Only Linux shows whose installer it is; elsewhere it is waited for, this long.
    command.env("UV_HTTP_TIMEOUT", "8").env("UV_HTTP_RETRIES", "0");
    let mut killed = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let call = silent.accept().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();

    bench.xtask(&["doctor"]).assert().stdout(contains("did not finish"));
    let ended = bench.sync().timeout(Duration::from_secs(20)).assert().success();
    let ended = ended.stderr(
        contains("rebuilding the Python environment in .venv: its installation by process")
            .and(contains("did not finish")),
    );
    if cfg!(target_os = "linux") {
        ended.stderr(contains("ending the installer"));
    }
    assert_eq!(bench.installed(), ["duckdb_cli-1.5.6", "other-1.0", "tiny-1.0"]);
    drop(call);
}

#[test]
fn the_second_process_waits_and_names_the_first() {
    let bench = Bench::with_uv();
    fs::create_dir(bench.path(".venv")).unwrap();
    let mut held = File::create(bench.path(".venv/.xtask-lock")).unwrap();
    held.lock().unwrap();
    writeln!(held, "process {} (`cargo xtask elt`, since noon)", std::process::id()).unwrap();
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        drop(held);
    });
    let started = Instant::now();
    let ended = bench.sync().assert().success();
    ended.stderr(contains("waiting for process").and(contains("`cargo xtask elt`, since noon")));
    assert!(started.elapsed() > Duration::from_millis(600));
    release.join().unwrap();
}

#[test]
fn many_at_once_make_one_environment() {
    let bench = Bench::with_uv();
    let outputs: Vec<_> = std::thread::scope(|scope| {
        let run = || scope.spawn(|| bench.sync().output().unwrap());
        let running = [run(), run(), run()];
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(outputs.iter().all(|output| output.status.success()));
    let made = |output: &&std::process::Output| {
        String::from_utf8_lossy(&output.stderr).contains("setting up the Python")
    };
    assert_eq!(outputs.iter().filter(made).count(), 1);
}

#[test]
fn an_environment_without_its_python_is_rebuilt() {
    let bench = Bench::with_uv();
    bench.sync().assert().success();
    let python = bench.path(".venv/bin/python");
    fs::remove_file(&python).unwrap();
    symlink("/nowhere/python3.10", &python).unwrap();
    bench.sync().assert().success().stderr(contains(".venv: its Python").and(contains("no longer exists")));
    assert!(python.exists());
}

#[test]
fn a_foreign_venv_is_left_alone() {
    let bench = Bench::with_uv();
    fs::create_dir(bench.path(".venv")).unwrap();
    fs::write(bench.path(".venv/pyvenv.cfg"), "home = /usr/bin\n").unwrap();
    let ended = bench.sync().assert().code(2);
    ended.stderr(contains("did not make").and(contains("mv ")).and(contains("XTASK_VENV")));
    let left = fs::read_dir(bench.path(".venv")).unwrap().count();
    assert_eq!(left, 1, "something was written into it");

    // The remedy in the message works, and leaves .venv as it is.
    let place = bench.path("elsewhere/env");
    bench.sync().env("XTASK_VENV", &place).assert().success();
    assert!(place.join("bin/python").exists());
    bench.sync().env("XTASK_VENV", "relative").assert().code(2).stderr(contains("must be an absolute path"));
}

#[test]
fn no_python_or_the_wrong_one_is_explained() {
    let bench = Bench::bare();
    let remedy = || contains("install").and(contains("XTASK_PYTHON")).and(contains("3.10 to 3.13"));
    bench.sync().assert().code(2).stderr(contains("no Python found").and(remedy()));

    bench.script("python3", "echo 3.9.2; echo /usr/bin/python3.9; echo venv");
    bench.sync().assert().code(2).stderr(contains("3.9.2, too old").and(remedy()));

    bench.script("python3", "echo Python 3.14.1");
    bench.sync().assert().code(2).stderr(contains("3.14.1, too new").and(remedy()));

    bench.script("python3", "echo 3.11.2; echo /usr/bin/python3.11; echo no venv");
    bench
        .sync()
        .assert()
        .code(2)
        .stderr(contains("no venv module").and(contains("apt install python3.11-venv")));

    let ended = bench.sync().env("XTASK_PYTHON", "/nowhere/python3").assert().code(2);
    ended.stderr(contains("XTASK_PYTHON is /nowhere/python3").and(contains("no such program")));
}

#[test]
fn an_unusable_first_python_does_not_hide_a_good_second_one() {
    let bench = Bench::with_uv();
    let version = SHELF.python.file_name().unwrap().to_str().unwrap();
    let second = if version.starts_with("python3.") { version } else { "python" };
    symlink(&SHELF.python, bench.path(&format!("bin/{second}"))).unwrap();
    fs::remove_file(bench.path("bin/python3")).unwrap();
    bench.script("python3", "echo 3.9.2");
    bench.sync().assert().success();
}

#[test]
fn no_network_is_explained_and_passwords_stay_secret() {
    let bench = Bench::with_uv();
    let password = ["hush", "hush"].join("-");
    let index = format!("http://me:{password}@{}/simple", closed_port());
    let output = bench.sync_from(&index).assert().code(2);
    let output =
        output.stderr(contains("cannot be reached").and(contains("PIP_INDEX_URL"))).get_output().clone();
    let log = fs::read_to_string(bench.path(".xtask/python-install.log")).unwrap();
    let said = format!(
        "{}{}{log}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!said.contains(&password), "{said}");
    // A failed installation is marked as unfinished, and repeated.
    bench.sync().assert().success().stderr(contains("did not finish"));
}

#[test]
fn a_package_that_is_not_the_locked_one_is_refused() {
    let bench = Bench::with_uv();
    let text = format!("tiny==1.0 \\\n    --hash=sha256:{}\n", "0".repeat(64));
    fs::write(bench.path("dbt/requirements/local.txt"), text).unwrap();
    bench
        .sync()
        .assert()
        .code(2)
        .stderr(contains("hash mismatch").and(contains("tiny")).and(contains("lock")));
}

#[test]
fn a_repository_without_a_project_needs_no_environment() {
    let bench = Bench::with_uv();
    fs::remove_dir_all(bench.path("dbt/requirements")).unwrap();
    fs::remove_file(bench.path("dbt/dbt_project.yml")).unwrap();
    bench.sync().assert().code(2).stderr(contains("no dbt project"));
}

/// Mounts need a separate namespace, which not every machine grants (containers, hardened kernels).
fn mounted(bench: &Bench, options: &str) -> Option<Command> {
    let inside = format!(
        "mount -t tmpfs -o {options} none {0} && cd {1} && exec {2} python sync",
        bench.path("disk").display(),
        bench.dir.path().display(),
        support::program().display()
    );
    fs::create_dir(bench.path("disk")).unwrap();
    let probe = format!("mount -t tmpfs none {}", bench.path("disk").display());
    let granted = StdCommand::new("unshare").args(["-rm", "sh", "-c", &probe]).output();
    if !granted.is_ok_and(|output| output.status.success()) {
        println!("skipped: this machine grants no mounts");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &inside]).env("XTASK_PYTHON", bench.path("bin/python3"));
    command.env("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", bench.path("bin").display()));
    command.env("UV_CACHE_DIR", bench.path("cache")).env("XTASK_VENV", bench.path("disk/env"));
    command.env("UV_FIND_LINKS", SHELF.folder.path()).env("UV_NO_INDEX", "1");
    Some(command)
}

#[test]
fn a_full_disk_is_named() {
    let bench = Bench::with_uv();
    bench.lock("local", &["big==1.0"]);
    let Some(mut command) = mounted(&bench, "size=2m") else { return };
    command.assert().code(2).stderr(contains("the disk is full").and(contains("free some space")));
}

#[test]
fn a_read_only_folder_is_named() {
    let bench = Bench::with_uv();
    let Some(mut command) = mounted(&bench, "ro") else { return };
    command.assert().code(2).stderr(contains("disk/env").and(contains("set XTASK_VENV")));
}

#[test]
fn locking_keeps_pins_without_upgrade_and_names_no_folder() {
    let bench = Bench::with_uv();
    let folder = bench.path("dbt/requirements");
    fs::remove_file(folder.join("local.txt")).unwrap();
    let begin = contains("nothing to lock").and(contains("\ndbt-core==")).and(contains("\nduckdb-cli=="));
    bench.xtask(&["python", "lock"]).assert().code(2).stderr(begin);

    fs::write(folder.join("local.in"), "# why\ntiny==1.0\n").unwrap();
    fs::write(folder.join("test.in"), "extra\n").unwrap();
    let check = || bench.xtask(&["python", "lock", "--check"]);
    check().assert().code(1).stdout(contains("local.txt does not exist"));
    let locked = bench.xtask(&["python", "lock"]).assert().success().stdout("+ extra 1.0\n+ tiny 1.0\n");
    locked.stderr(contains("builds need packages that local.in does not name: dbt-core==1"));
    check().assert().success().stdout("");
    let lock = fs::read_to_string(folder.join("local.txt")).unwrap();
    assert!(lock.contains(&SHELF.hashes["tiny==1.0"]), "{lock}");
    assert!(!lock.contains(bench.dir.path().to_str().unwrap()) && !lock.contains("together.txt"), "{lock}");

    // A looser requirement that the pin still meets changes no version, but the check demands a new lock.
    fs::write(folder.join("local.in"), "# why\ntiny\n").unwrap();
    check().assert().code(1).stdout(contains("local.txt was made from other .in files"));
    bench.xtask(&["python", "lock"]).assert().success().stdout("");
    bench.xtask(&["python", "lock", "--upgrade"]).assert().success().stdout("- tiny 1.0\n+ tiny 2.0\n");

    // Comments need no new lock.
    fs::write(folder.join("local.in"), "# another reason\n\ntiny # this one\n").unwrap();
    check().assert().success();
}
