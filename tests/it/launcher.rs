//! The launcher behind `cargo xtask`: which compiled toolkit it starts, in a small workspace of the same shape.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::{Ended, root};

/// A build script that makes a file of a policy, as the toolkit's does.
const BUILD: &str = "fn main() {
    println!(\"cargo::rerun-if-changed=../policies/a.txt\");
    let made = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap()).join(\"made.txt\");
    std::fs::copy(\"../policies/a.txt\", made).unwrap();
}
";

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
    write("xtask/build.rs", BUILD);
    write("policies/a.txt", "first");
    for file in ["xtask/launcher/src/main.rs", "xtask/launcher/src/release.rs", ".cargo/config.toml"] {
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
fn what_the_build_script_makes_matches_the_sources_too() {
    let folder = workspace();
    let shows = "pub fn main() { println!(include_str!(concat!(env!(\"OUT_DIR\"), \"/made.txt\"))) }\n";
    fs::write(folder.path().join("xtask/src/lib.rs"), shows).unwrap();
    assert_eq!(xtask(folder.path()).expect(0).stdout, "first\n");
    let policy = folder.path().join("policies/a.txt");
    fs::write(&policy, "second").unwrap();
    let past = SystemTime::now() - Duration::from_hours(8760);
    fs::File::options().append(true).open(&policy).unwrap().set_modified(past).unwrap();
    assert_eq!(xtask(folder.path()).expect(0).stdout, "second\n");
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

/// A `gh` of a repository with one release, whose archive it "downloads": what it is asked is in `asked`, and it attests
/// only if there is a file `attested`. No real one can be had without a repository on GitHub.
#[cfg(unix)]
fn github(folder: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let script = "#!/bin/sh\nhere=$(dirname \"$0\")\nprintf '%s\\n' \"$*\" >> \"$here/asked\"\ncase \"$1\" in\n\
                  release) cp \"$here/$7\" . 2>/dev/null || { echo 'no assets match the file pattern' >&2; exit 1; };;\n\
                  attestation) [ -f \"$3\" ] && [ -f \"$here/attested\" ] || { echo '::error::no attestations' >&2; exit 1; };;\n\
                  esac\n";
    fs::write(bin.join("gh"), script).unwrap();
    fs::set_permissions(bin.join("gh"), fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

#[test]
#[cfg(unix)]
fn a_release_is_used_only_for_its_sources_and_with_its_attestation() {
    let folder = workspace();
    let bin = github(folder.path());
    says(folder.path(), "one");
    xtask(folder.path()).expect(3);
    let store = folder.path().join("target/launcher");
    let key = fs::read_dir(&store).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let fetch = |repository: &str| {
        let mut command = Command::new(env!("CARGO"));
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        command.current_dir(folder.path()).env_remove("CARGO_TARGET_DIR").env("PATH", path);
        command.args(["xtask", "release", "fetch", "--repo", repository]);
        Ended::of(command).expect(0).stderr
    };
    let asked = || fs::read_to_string(bin.join("asked")).unwrap_or_default();
    assert!(fetch("octo/lab").contains("already there"));
    assert_eq!(asked(), "", "nothing is asked of GitHub");

    // The release: the program of these sources, under the hash of its sources. It says another text, to be known by.
    let released = store.join(&key).join("xtask");
    fs::write(&released, "#!/bin/sh\necho released\nexit 3\n").unwrap();
    let system = if cfg!(target_os = "macos") { "macOS" } else { "Linux" };
    let machine = if cfg!(target_arch = "aarch64") { "ARM64" } else { "X64" };
    let archive = format!("toolkit-{system}-{machine}-{key}.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(bin.join(&archive)).arg("-C").arg(&store).arg(format!("{key}/xtask"));
    Ended::of(tar).expect(0);
    let forget = || fs::remove_dir_all(&store).unwrap();

    forget();
    let said = fetch("octo/lab");
    assert!(said.contains("not attested") && !said.contains("::error"), "{said}");
    assert!(!store.exists(), "nothing was unpacked");
    fs::write(bin.join("attested"), "").unwrap();
    assert!(fetch("octo/lab; id").contains("OWNER/NAME"), "an invalid name is not asked for");
    assert!(fetch("octo/lab").contains("taken from the release"));
    let verified = asked().lines().last().unwrap().to_owned();
    let expected = format!(
        "attestation verify {archive} --repo octo/lab --signer-workflow octo/lab/.github/workflows/release.yml \
         --source-ref refs/tags/v0.1.0 --deny-self-hosted-runners"
    );
    assert_eq!(verified, expected);
    assert_eq!(xtask(folder.path()).expect(3).stdout, "released\n");
    let left = fs::read_dir(folder.path().join("target")).unwrap().flatten();
    assert!(!left.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("release-")));

    // One changed byte, as in a pull request: the release is not of these sources.
    says(folder.path(), "two");
    assert!(fetch("octo/lab").contains("the next command compiles"));
    assert!(xtask(folder.path()).expect(3).stdout.contains(" two "));
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
