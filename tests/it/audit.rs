//! `cargo xtask audit`, with cargo-deny and pip-audit as they are: a planted advisory is found, and a database that cannot
//! be reached is never reported as clean. Only the databases are replaced, by a git repository and a web service here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::server::{Reply, Server};
use crate::support::{Ended, environment, root, scrubbed};

/// A RustSec database with one advisory, if `krate` is given, as a git repository in `folder`.
pub(crate) fn rustsec(folder: &Path, krate: Option<&str>) -> PathBuf {
    let database = folder.join("advisory-db");
    let crates = database.join("crates").join(krate.unwrap_or("unknown-to-all"));
    fs::create_dir_all(&crates).unwrap();
    let name = krate.unwrap_or("unknown-to-all");
    let advisory = format!(
        "```toml\n[advisory]\nid = \"RUSTSEC-2026-9999\"\npackage = \"{name}\"\ndate = \"2026-11-01\"\n\n[versions]\npatched = \
         [\">= 9999.0.0\"]\n```\n\n# A planted fault\n\nFor a test.\n"
    );
    fs::write(crates.join("RUSTSEC-2026-9999.md"), advisory).unwrap();
    for args in [
        &["init", "-q", "-b", "main"][..],
        &["add", "."],
        &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "advisories"],
    ] {
        let status = Command::new("git").arg("-C").arg(&database).args(args).status().unwrap();
        assert!(status.success(), "git {args:?}");
    }
    database
}

/// OSV, with a vulnerability of `package` in every version, if one is given.
pub(crate) fn osv(package: Option<&'static str>) -> Server {
    Server::start(move |request| {
        let asked = request.json();
        let (name, version) = (&asked["package"]["name"], &asked["version"]);
        let is_planted = package.is_some_and(|package| name == package);
        let vulnerability = json!({
            "id": "PYSEC-2026-9999", "summary": "A planted fault", "details": "A planted fault",
            "published": "2026-11-01T00:00:00Z", "modified": "2026-11-01T00:00:00Z",
            "affected": [{"package": {"name": name, "ecosystem": "PyPI"}, "versions": [version],
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9999.0"}]}]}],
        });
        let known: Vec<Value> = is_planted.then_some(vulnerability).into_iter().collect();
        Reply::json(200, &json!({"vulns": known}))
    })
}

/// Have git and the toolkit ask `database` and `service` instead of those on the internet. The database is kept in
/// `folder`, away from the user's. The downloaded crates are the user's, and so are the locks on them: with locks of
/// its own, each test would unpack the same crates at once.
pub(crate) fn redirect(command: &mut Command, folder: &Path, database: &Path, service: &str) {
    let home = folder.join("cargo");
    if !home.exists() {
        fs::create_dir(&home).unwrap();
        let real = std::env::var_os("CARGO_HOME")
            .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo"), PathBuf::from);
        for shared in ["registry", ".package-cache", ".package-cache-mutate", "config.toml"] {
            std::os::unix::fs::symlink(real.join(shared), home.join(shared)).unwrap();
        }
    }
    command.env("CARGO_HOME", home).env("XTASK_OSV_URL", service).env("GIT_CONFIG_COUNT", "1");
    command.env("GIT_CONFIG_KEY_0", format!("url.file://{}.insteadOf", database.display()));
    command.env("GIT_CONFIG_VALUE_0", "https://github.com/RustSec/advisory-db");
}

fn audit(folder: &Path, database: &Path, service: &str) -> Ended {
    let mut command = scrubbed(root());
    redirect(&mut command, folder, database, service);
    command.env("XTASK_VENV", environment()).env("CI", "true").args(["audit", "--format", "json"]);
    Ended::of(command)
}

fn rules(ended: &Ended) -> Vec<(String, String)> {
    let report = ended.json_of("findings");
    let findings = report["findings"].as_array().unwrap().iter();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings.map(|finding| (text(finding, "rule"), text(finding, "path"))).collect()
}

#[test]
fn the_locks_of_this_commit_are_clean_with_empty_databases() {
    let folder = tempfile::tempdir().unwrap();
    let database = rustsec(folder.path(), None);
    let ended = audit(folder.path(), &database, &osv(None).url).expect(0);
    let summary = &ended.json()["summary"];
    assert!(summary["crates"].as_u64() > Some(100) && summary["packages"].as_u64() > Some(50), "{summary}");
}

#[test]
fn a_planted_advisory_fails_the_check_for_crates_and_for_packages() {
    let folder = tempfile::tempdir().unwrap();
    let database = rustsec(folder.path(), Some("anyhow"));
    let ended = audit(folder.path(), &database, &osv(Some("jinja2")).url).expect(1);
    let found = rules(&ended);
    assert!(found.contains(&("crate-vulnerability".to_owned(), "Cargo.lock".to_owned())), "{found:?}");
    let package = ("package-vulnerability".to_owned(), "dbt/requirements/local.txt".to_owned());
    assert!(found.contains(&package), "{found:?}");
    assert!(ended.stdout.contains("RUSTSEC-2026-9999") && ended.stdout.contains("PYSEC-2026-9999"));
}

#[test]
fn an_unreachable_database_is_not_clean() {
    let folder = tempfile::tempdir().unwrap();
    let ended = audit(folder.path(), &folder.path().join("missing"), &osv(None).url).expect(2);
    assert!(ended.stderr.contains("cargo-deny could not check the crates"), "{}", ended.stderr);
    let database = rustsec(folder.path(), None);
    let ended = audit(folder.path(), &database, "http://127.0.0.1:1/v1/query").expect(2);
    assert!(ended.stderr.contains("pip-audit could not check dbt/requirements/"), "{}", ended.stderr);
}
