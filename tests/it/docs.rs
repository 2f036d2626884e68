//! The documentation: the generated page is current, and every link leads to a file and a heading that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::support::{Ended, root, schemas, scrubbed};

fn pages() -> Vec<PathBuf> {
    let output = std::process::Command::new("git")
        .arg("-C")
        .arg(root())
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let pages: Vec<PathBuf> =
        text.lines().map(|line| root().join(line)).filter(|path| path.exists()).collect();
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

/// The text without fenced blocks, in which nothing is a link or a heading.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().map(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        if is_code || is_fence { "" } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The anchors of a page, made of its headings as GitHub does.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut anchors, mut seen) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    for line in prose(text).lines().filter(|line| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let anchor: String = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        // GitHub numbers a heading that appears again.
        let number = seen.entry(anchor.clone()).and_modify(|number| *number += 1).or_insert(0);
        anchors.insert(if *number == 0 { anchor } else { format!("{anchor}-{number}") });
    }
    anchors
}

fn broken(page: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { page.to_path_buf() } else { page.parent().unwrap().join(file) };
    if !path.exists() {
        return Some(format!("{}: {target}: no such file", page.display()));
    }
    let anchor = anchor.filter(|_| path.extension().is_some_and(|extension| extension == "md"))?;
    let known = anchors(&fs::read_to_string(&path).unwrap());
    (!known.contains(anchor)).then(|| format!("{}: {target}: no such heading", page.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut faults = Vec::new();
    let mut links = 0;
    for page in pages() {
        let text = prose(&fs::read_to_string(&page).unwrap());
        for found in link.captures_iter(&text) {
            links += 1;
            faults.extend(broken(&page, &found[1]));
        }
    }
    assert!(links > 40, "{links} links");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_broken_link_and_a_missing_heading_are_found() {
    let page = root().join("README.md");
    assert!(broken(&page, "docs/none.md").is_some());
    assert!(broken(&page, "docs/commands.md#none").is_some());
    assert_eq!(broken(&page, "docs/commands.md#commands"), None);
}

#[test]
fn the_reference_is_what_the_command_line_says() {
    let mut command = scrubbed(root());
    command.args(["reference"]);
    let printed = Ended::of(command).expect(0).stdout;
    let page = root().join("docs/reference.md");
    if std::env::var_os("XTASK_BLESS").is_some() {
        fs::write(&page, &printed).unwrap();
    }
    let written = fs::read_to_string(page).unwrap_or_default();
    assert_eq!(written, printed, "run `cargo xtask reference > docs/reference.md`");
}

#[test]
fn the_schemas_are_what_the_types_say() {
    let folder = tempfile::tempdir().unwrap();
    let written = root().join("docs/schemas");
    let to = if std::env::var_os("XTASK_BLESS").is_some() { &written } else { folder.path() };
    let mut command = scrubbed(root());
    command.args(["reference", "--schemas"]).arg(to);
    Ended::of(command).expect(0);
    let advice = "run `cargo xtask reference --schemas docs/schemas`";
    let (now, then) = (texts(to), texts(&written));
    assert_eq!(then.keys().collect::<Vec<_>>(), now.keys().collect::<Vec<_>>(), "{advice}");
    for (path, text) in now {
        assert!(then[&path] == text, "{path} is stale: {advice}");
    }
}

/// The texts of all files below a folder, by their paths in it.
fn texts(folder: &Path) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
                texts.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    texts
}

#[test]
fn every_policy_of_this_repository_fits_its_schema() {
    let mut checked = 0;
    for entry in fs::read_dir(root().join("docs/schemas/policies")).unwrap().flatten() {
        let name = entry.path().file_stem().unwrap().to_string_lossy().into_owned();
        let policy = root().join("policies").join(&name).with_extension("toml");
        let Ok(text) = fs::read_to_string(policy) else { continue };
        let parsed: toml::Value = toml::from_str(&text).unwrap();
        schemas::assert_valid(&format!("policies/{name}"), &schemas::of_toml(parsed));
        checked += 1;
    }
    assert!(checked > 8, "{checked} policies");
    let schema = jsonschema::validator_for(&schemas::read("policies/lint")).unwrap();
    assert!(!schema.is_valid(&serde_json::json!({"rules": {"x": {"severty": "low"}}})), "a misspelt key");
}

#[test]
fn completions_and_manual_pages_are_made() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let mut command = scrubbed(root());
        command.args(["completions", shell, "--name", "xt"]);
        let script = Ended::of(command).expect(0).stdout;
        assert!(script.contains("xt") && script.contains("schema"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = scrubbed(root());
    command.arg("reference").arg("--man").arg(folder.path());
    Ended::of(command).expect(0);
    let pages = fs::read_dir(folder.path()).unwrap().count();
    assert!(pages > 20, "{pages} manual pages");
}
