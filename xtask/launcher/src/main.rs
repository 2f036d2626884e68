//! The program behind `cargo xtask`: it starts the toolkit that was compiled from exactly these sources, and compiles
//! it first if it does not exist yet.
//!
//! Before every command cargo looks at 380 packages, which takes longer than most commands; and on GitHub every job of
//! every event would recompile the toolkit. So compiled toolkits are kept under the hash of the content of all their
//! sources. File times are ignored: a program whose sources differ in one byte has another key,
//! so a stale one cannot be started. The folder can be copied to another machine of the same kind, as the workflows do.

mod release;

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::Hasher as _;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::SystemTime;

/// All that the toolkit is compiled from, relative to the root. What cargo reports to have read is checked against it.
const SOURCES: [&str; 7] =
    ["Cargo.toml", "Cargo.lock", ".cargo", "rust-toolchain.toml", "xtask", "sql", "policies"];

/// Variables that change what cargo compiles.
const VARIABLES: [&str; 3] = ["RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "RUSTUP_TOOLCHAIN"];

/// Programs that are kept: those of a few branches. Each has some 80 MB.
const KEPT: usize = 4;

/// The toolkit's exit code for "could not run".
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

/// Nothing can be done about an error stream that is closed.
fn say(text: &str) {
    use std::io::Write as _;
    drop(writeln!(std::io::stderr(), "{text}"));
}

fn start() -> Result<ExitCode, String> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).ok_or("the launcher has lost its root")?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let places = Places::of(root)?;
    if let Some(repository) = release::wanted(&arguments) {
        return Ok(fetch(repository, &places));
    }
    let program = program(root, &places)?;
    let mut command = Command::new(&program);
    command.args(arguments);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        // Signals, standard streams and the exit code are then the toolkit's own.
        Err(format!("failed to start {}: {}", program.display(), command.exec()))
    }
    #[cfg(not(unix))]
    {
        let status =
            command.status().map_err(|error| format!("failed to start {}: {error}", program.display()))?;
        Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(COULD_NOT_RUN)))
    }
}

/// Where the program of these sources is kept.
struct Places {
    target: PathBuf,
    store: PathBuf,
    key: String,
    program: PathBuf,
}

impl Places {
    fn of(root: &Path) -> Result<Self, String> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let (store, key) = (target.join("launcher"), key(root)?);
        let program = store.join(&key).join(format!("xtask{}", std::env::consts::EXE_SUFFIX));
        Ok(Self { target, store, key, program })
    }
}

/// Takes the program from a release. Without one it is compiled by the next command, so that is not a failure.
fn fetch(repository: &str, places: &Places) -> ExitCode {
    if places.program.is_file() {
        say("the toolkit of these sources is already there");
        return ExitCode::SUCCESS;
    }
    match release::fetch(repository, &places.key, &places.program, &places.target) {
        Ok(()) => say("the toolkit of these sources was taken from the release"),
        Err(why) => say(&format!("{why}; the next command compiles the toolkit")),
    }
    ExitCode::SUCCESS
}

/// The program of these sources, compiled now if it is not there.
fn program(root: &Path, places: &Places) -> Result<PathBuf, String> {
    let Places { store, key, program: kept, .. } = places;
    if kept.is_file() {
        executable(kept)?;
        return Ok(kept.clone());
    }
    let built = build(root)?;
    // Sources that changed while they were compiled have another key: what was built belongs to neither.
    if self::key(root)? != *key {
        return Ok(built);
    }
    let folder = store.join(key);
    let partial = folder.join(format!("partial-{}", std::process::id()));
    let keep = || -> std::io::Result<()> {
        fs::create_dir_all(&folder)?;
        fs::copy(&built, &partial)?;
        fs::rename(&partial, kept)
    };
    keep().map_err(|error| format!("failed to keep the toolkit in {}: {error}", folder.display()))?;
    forget(store, key);
    Ok(kept.clone())
}

/// Has cargo compile the toolkit, and returns the program.
fn build(root: &Path) -> Result<PathBuf, String> {
    // cargo compares file times. Sources that were put in place with old times would be treated as already compiled.
    for entry in ["xtask/src/lib.rs", "xtask/build.rs"] {
        let entry = root.join(entry);
        File::options()
            .append(true)
            .open(&entry)
            .and_then(|file| file.set_modified(SystemTime::now()))
            .map_err(|error| format!("failed to mark {} as changed: {error}", entry.display()))?;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--package", "xtask", "--bin", "xtask"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("failed to start cargo: {error}"))?;
    if !output.status.success() {
        return Err("the toolkit does not compile; cargo says why above".to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let built =
        text.lines().rev().find_map(executable_of).ok_or("cargo does not say where the toolkit is")?;
    covered(root, &built)?;
    Ok(built)
}

/// The `executable` of one of cargo's messages.
fn executable_of(message: &str) -> Option<PathBuf> {
    let (_, rest) = message.split_once("\"executable\":\"")?;
    let (path, _) = rest.split_once('"')?;
    Some(PathBuf::from(path.replace("\\\\", "\\")))
}

/// Checks that all files which cargo read are part of the key: it lists them beside the program.
fn covered(root: &Path, built: &Path) -> Result<(), String> {
    let list = built.with_extension("d");
    let text =
        fs::read_to_string(&list).map_err(|error| format!("failed to read {}: {error}", list.display()))?;
    let Some((_, files)) = text.split_once(": ") else { return Ok(()) };
    // What the build script makes there is made of files that are listed too.
    let generated = built.with_file_name("build");
    for file in files.split_whitespace() {
        // `include_str!` is listed with the `..` that it is written with.
        let file = plain(Path::new(file));
        if file.starts_with(&generated) {
            continue;
        }
        let Ok(inside) = file.strip_prefix(root) else { continue };
        if !SOURCES.iter().any(|source| inside.starts_with(source)) {
            return Err(format!(
                "the toolkit is compiled from {}, which SOURCES in xtask/launcher/src/main.rs leaves out",
                inside.display()
            ));
        }
    }
    Ok(())
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// The hash of all that decides what is compiled.
fn key(root: &Path) -> Result<String, String> {
    // Two of 64 bits each, which differ in what they begin with.
    let mut hashers = [DefaultHasher::new(), DefaultHasher::new()];
    hashers[1].write(b"second");
    let mut add = |bytes: &[u8]| {
        for hasher in &mut hashers {
            hasher.write(&(bytes.len() as u64).to_le_bytes());
            hasher.write(bytes);
        }
    };
    add(std::env::consts::ARCH.as_bytes());
    add(std::env::consts::OS.as_bytes());
    for name in VARIABLES {
        add(std::env::var_os(name).unwrap_or_default().as_encoded_bytes());
    }
    let mut profile: Vec<(OsString, OsString)> = std::env::vars_os()
        .filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PROFILE_"))
        .collect();
    profile.sort();
    for (name, value) in &profile {
        add(name.as_encoded_bytes());
        add(value.as_encoded_bytes());
    }
    let mut files = Vec::new();
    for source in SOURCES {
        list(&root.join(source), &mut files)?;
    }
    files.sort();
    let mut bytes = Vec::new();
    for file in &files {
        bytes.clear();
        let read = File::open(file).and_then(|mut open| open.read_to_end(&mut bytes));
        read.map_err(|error| format!("failed to read {}: {error}", file.display()))?;
        add(file.strip_prefix(root).unwrap_or(file).as_os_str().as_encoded_bytes());
        add(&bytes);
    }
    Ok(hashers.map(|hasher| format!("{:016x}", hasher.finish())).concat())
}

/// The files of a file or folder; none for what does not exist.
fn list(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if path.is_file() {
        files.push(path.to_owned());
    } else if path.is_dir() {
        let entries =
            fs::read_dir(path).map_err(|error| format!("failed to list {}: {error}", path.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("failed to list {}: {error}", path.display()))?;
            list(&entry.path(), files)?;
        }
    }
    Ok(())
}

/// An artifact of GitHub keeps no permissions.
fn executable(program: &Path) -> Result<(), String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let allow = || -> std::io::Result<()> {
            let mut permissions = fs::metadata(program)?.permissions();
            if permissions.mode() & 0o100 == 0 {
                permissions.set_mode(0o755);
                fs::set_permissions(program, permissions)?;
            }
            Ok(())
        };
        allow().map_err(|error| format!("failed to make {} executable: {error}", program.display()))?;
    }
    #[cfg(not(unix))]
    let _ = program;
    Ok(())
}

/// Removes all but the newest programs. What cannot be removed is in use, and removed another time.
fn forget(store: &Path, newest: &str) {
    let Ok(entries) = fs::read_dir(store) else { return };
    let mut others: Vec<(SystemTime, PathBuf)> = entries
        .flatten()
        .filter(|entry| entry.file_name() != newest)
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    others.sort();
    others.reverse();
    for (_, folder) in others.into_iter().skip(KEPT - 1) {
        drop(fs::remove_dir_all(folder));
    }
}
