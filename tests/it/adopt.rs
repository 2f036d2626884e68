//! `init` and `upgrade` in a repository that was not written for the toolkit.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::projects::{PROJECT, Small};
use crate::support::Ended;
use crate::workflows::yaml;

const TOOLKIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn shop() -> Small {
    Small::new(&[
        ("dbt_project.yml", PROJECT),
        ("models/one.sql", "select 1 as one\n"),
        (".github/workflows/own.yml", "name: own\n"),
        (".github/workflows/pages.yml", "name: pages of the shop\n"),
        (".cargo/config.toml", "[build]\njobs = 2\n"),
        ("Cargo.toml", "[workspace]\nresolver = \"2\"\nmembers = [\"tools/*\"]\n"),
        ("tools/one/Cargo.toml", "[package]\nname = \"one\"\nedition = \"2021\"\n"),
        ("tools/one/src/lib.rs", ""),
    ])
}

fn call(shop: &Small, command: &str, more: &[&str]) -> Ended {
    let into = shop.root().to_string_lossy().into_owned();
    shop.run(&[&[command, "--into", &into, "--toolkit", TOOLKIT], more].concat())
}

/// All files below `folder` with their text, git's own aside.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().expect("a name").to_string_lossy().into_owned();
        if entry.is_dir() && name != ".git" {
            found.extend(files(&entry).into_iter().map(|(path, text)| (format!("{name}/{path}"), text)));
        } else if entry.is_file() {
            found.insert(name, fs::read_to_string(&entry).expect("text"));
        }
    }
    found
}

#[test]
fn init_shows_then_writes_and_changes_nothing_the_second_time() {
    let shop = shop();
    let before = files(shop.root());
    let shown = call(&shop, "init", &[]).expect(0);
    assert!(shown.stdout.contains("+++ b/policies/environments.toml"), "{}", shown.stdout);
    assert_eq!(files(shop.root()), before, "nothing is written without --yes");

    let written = call(&shop, "init", &["--yes"]).expect(0);
    assert!(written.stderr.contains(".github/workflows/pages.yml was here before"), "{}", written.stderr);
    let after = files(shop.root());
    for (path, text) in &before {
        let edited = ["Cargo.toml", ".cargo/config.toml"].contains(&path.as_str());
        assert_eq!(&after[path] == text, !edited, "{path}");
    }
    assert!(after[".cargo/config.toml"].starts_with(&before[".cargo/config.toml"]));
    // cargo agrees with what was written; the toolkit's own packages are not compiled here.
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(shop.root())
        .output()
        .expect("cargo starts");
    let packages = String::from_utf8_lossy(&metadata.stdout).into_owned();
    assert!(
        packages.contains("\"name\":\"xtask-shim\"") && packages.contains("\"name\":\"one\""),
        "{packages}"
    );

    let workflow = ".github/workflows/toolkit.yml";
    let linted = shop.run(&["lint", "--no-cache", "--only", "workflow", workflow]).expect(0);
    assert!(linted.stdout.contains("no findings"), "{}", linted.stdout);
    let orchestrator = &after[".github/workflows/orchestrator.yml"];
    for action in after[workflow].lines().filter(|line| line.contains("uses:")) {
        assert!(orchestrator.contains(action.trim()), "another version than elsewhere: {action}");
    }

    for command in ["init", "upgrade"] {
        let again = call(&shop, command, &["--yes"]).expect(0);
        assert!(again.stdout.contains("is current: nothing to write"), "{command}: {}", again.stdout);
    }
    assert_eq!(files(shop.root()), after);
}

/// What the workflows and actions of a repository call in it, with the file that calls.
fn calls(root: &Path) -> Vec<(String, String)> {
    fn found(node: &Value, into: &mut Vec<String>) {
        let local = node["uses"].as_str().and_then(|uses| uses.strip_prefix("./"));
        into.extend(local.map(str::to_owned));
        node.as_object().into_iter().flat_map(|map| map.values()).for_each(|value| found(value, into));
        node.as_array().into_iter().flatten().for_each(|value| found(value, into));
    }
    let is_yaml = |path: &str| Path::new(path).extension().is_some_and(|ending| ending == "yml");
    files(root)
        .into_keys()
        .filter(|path| path.starts_with(".github/") && is_yaml(path))
        .flat_map(|path| {
            let mut called = Vec::new();
            found(&yaml::read(&root.join(&path)), &mut called);
            called.into_iter().map(move |called| (path.clone(), called))
        })
        .collect()
}

#[test]
fn every_workflow_and_action_that_is_called_is_copied() {
    let shop = shop();
    fs::remove_file(shop.path(".github/workflows/pages.yml")).expect("a file of the shop");
    call(&shop, "init", &["--yes"]).expect(0);
    let calls = calls(shop.root());
    for (caller, called) in &calls {
        let path = shop.path(called);
        assert!(path.is_file() || path.join("action.yml").is_file(), "{caller} calls {called}");
    }
    for called in [".github/workflows/pages.yml", ".github/actions/setup"] {
        assert!(calls.iter().any(|(_, path)| path == called), "{called} is not called: {calls:?}");
    }
}

#[test]
fn upgrade_keeps_local_edits_and_shows_conflicts() {
    let shop = shop();
    let early = call(&shop, "upgrade", &["--yes"]).expect(2);
    assert!(early.stderr.contains("cargo xtask init"), "{}", early.stderr);
    call(&shop, "init", &["--yes"]).expect(0);

    // What an older toolkit wrote: another line in each of two files, and another local edit in the second one.
    let older = |path: &str, from: &str, to: &str| {
        let text = fs::read_to_string(shop.path(path)).expect("text");
        assert!(text.contains(from), "{path}: {from}");
        shop.write(path, text.replacen(from, to, 1));
        let record = fs::read_to_string(shop.path("policies/toolkit.json")).expect("text");
        let mut record: Value = serde_json::from_str(&record).expect("JSON");
        record["files"][path] = text.replacen(from, to, 1).into();
        shop.write("policies/toolkit.json", record.to_string());
    };
    let (merged, contested) = (".github/labels.toml", ".github/ISSUE_TEMPLATE/cleanup.yml");
    let first =
        fs::read_to_string(shop.path(merged)).expect("text").lines().next().expect("a line").to_owned();
    older(merged, &first, "# an older first line");
    let local = fs::read_to_string(shop.path(merged)).expect("text") + "\n# a local line\n";
    shop.write(merged, &local);
    older(contested, "name: Clean-up", "name: Old name");
    let text = fs::read_to_string(shop.path(contested)).expect("text");
    shop.write(contested, text.replacen("name: Old name", "name: Our name", 1));

    let conflict = call(&shop, "upgrade", &["--yes"]).expect(1);
    assert!(conflict.stdout.contains(&format!("conflict in {contested}")), "{}", conflict.stdout);
    let now = files(shop.root());
    assert!(now[merged].starts_with(&first) && now[merged].ends_with("# a local line\n"), "{}", now[merged]);
    assert!(now[contested].contains("name: Our name") && !now[contested].contains("<<<<"));
    call(&shop, "upgrade", &["--yes"]).expect(1);
    call(&shop, "upgrade", &["--yes", "--keep", contested]).expect(0);
    let again = call(&shop, "upgrade", &["--yes"]).expect(0);
    assert!(again.stdout.contains("is current: nothing to write"), "{}", again.stdout);
    assert!(files(shop.root())[contested].contains("name: Our name"));
}
