//! The launcher behind `cargo xtask`: which compiled toolkit it starts, in a small workspace of the same shape.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::{Ended, root};

/// A workspace whose toolkit prints `text`, with the real launcher and alias.
fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let package = "version = \"0.1.0\"\nedition = \"2024\"\n";
    write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"xtask\", \"xtask/launcher\"]\n");
    write("xtask/Cargo.toml", &format!("[package]\nname = \"xtask\"\n{package}"));
    write("xtask/launcher/Cargo.toml", &format!("[package]\nname = \"xtask-launcher\"\n{package}"));
    write("xtask/src/main.rs", "fn main() { xtask::main() }\n");
    for file in ["xtask/launcher/src/main.rs", ".cargo/config.toml"] {
        write(file, &fs::read_to_string(root().join(file)).unwrap());
    }
    folder
}

fn says(folder: &Path, text: &str) {
    let source = "pub fn main() { println!(\"{} TEXT {:?}\", include_str!(\"../../sql/a.sql\"), \
                  std::env::args().skip(1).collect::<Vec<_>>()); std::process::exit(3) }\n";
    fs::create_dir_all(folder.join("sql")).unwrap();
    if !folder.join("sql/a.sql").exists() {
        fs::write(folder.join("sql/a.sql"), "select").unwrap();
    }
    fs::write(folder.join("xtask/src/lib.rs"), source.replace("TEXT", text)).unwrap();
}

fn xtask(folder: &Path) -> Ended {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(folder).env_remove("CARGO_TARGET_DIR").args(["xtask", "a b", "--flag"]);
    Ended::of(command)
}

#[test]
fn the_toolkit_matches_the_sources_whatever_their_times() {
    let folder = workspace();
    let kept = || fs::read_dir(folder.path().join("target/launcher")).unwrap().count();
    says(folder.path(), "one");
    assert_eq!(xtask(folder.path()).expect(3).stdout, "select one [\"a b\", \"--flag\"]\n");
    // Changed content with an old time, which cargo alone treats as already compiled.
    says(folder.path(), "two");
    let past = SystemTime::now() - Duration::from_hours(8760);
    let file = fs::File::options().append(true).open(folder.path().join("xtask/src/lib.rs")).unwrap();
    file.set_modified(past).unwrap();
    assert!(xtask(folder.path()).expect(3).stdout.contains(" two "));
    fs::write(folder.path().join("sql/a.sql"), "insert").unwrap();
    assert!(xtask(folder.path()).expect(3).stdout.starts_with("insert two "), "a file that is compiled in");
    assert_eq!(kept(), 3);
    // Back to the first: it is kept, and starts without cargo compiling anything.
    fs::write(folder.path().join("sql/a.sql"), "select").unwrap();
    says(folder.path(), "one");
    fs::remove_dir_all(folder.path().join("target/debug/incremental")).unwrap();
    fs::remove_file(folder.path().join("target/debug/xtask")).unwrap();
    assert!(xtask(folder.path()).expect(3).stdout.contains(" one "));
    assert!(!folder.path().join("target/debug/xtask").exists(), "nothing was compiled");
    // Sources that are not part of the key are refused instead of trusted.
    fs::write(folder.path().join("other.txt"), "x").unwrap();
    let outside = "pub fn main() { println!(include_str!(\"../../other.txt\")) }\n";
    fs::write(folder.path().join("xtask/src/lib.rs"), outside).unwrap();
    assert!(xtask(folder.path()).expect(2).stderr.contains("other.txt"));
}

#[test]
fn a_toolkit_that_does_not_compile_starts_no_older_one() {
    let folder = workspace();
    says(folder.path(), "one");
    xtask(folder.path()).expect(3);
    fs::write(folder.path().join("xtask/src/lib.rs"), "pub fn main() { nonsense }\n").unwrap();
    let said = xtask(folder.path()).expect(2);
    assert!(said.stdout.is_empty() && said.stderr.contains("does not compile"), "{}", said.stderr);
}

/// `name version [features]` of every package in what cargo would compile.
fn packages(arguments: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new("cargo")
        .current_dir(root())
        .args(["tree", "--locked", "--offline", "--no-dedupe", "--prefix", "none", "--format", "{p} [{f}]"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        if let Some((package, features)) = line.trim_end_matches(" (*)").split_once(" [") {
            packages.entry(package.to_owned()).or_default().insert(features.to_owned());
        }
    }
    packages
}

/// A feature that only a dependency of the tests asks for makes cargo compile the package a second time, and all that
/// use it: once for `cargo xtask`, once for `cargo test`.
#[test]
fn program_and_tests_share_one_compilation_of_their_dependencies() {
    let program = packages(&["--package", "xtask", "--edges", "normal,build"]);
    let tests = packages(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(program.len() > 100, "{} packages", program.len());
    let differ: Vec<_> =
        program.iter().filter(|(name, features)| tests.get(*name) != Some(features)).collect();
    assert!(differ.is_empty(), "name the features in xtask/Cargo.toml: {differ:?}");
}
