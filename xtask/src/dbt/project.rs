//! What can be told of a dbt project from its files alone, in milliseconds and without dbt.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::system::digest::{self, Digest};

/// Folders that dbt writes, by their default names: never part of what a build is made from.
const WRITTEN_BY_DBT: [&str; 3] = ["target", "logs", ".git"];

/// The project's own name, from its `dbt_project.yml`; `None` if that cannot be read, which dbt reports.
pub(crate) fn name(project: &Path) -> Option<String> {
    let text = fs::read_to_string(project.join("dbt_project.yml")).ok()?;
    // A key of the first level; dbt allows letters, digits and underscores in it.
    let value = text.lines().find_map(|line| line.strip_prefix("name:"))?;
    let value = value.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    let is_name = !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| value.to_owned())
}

/// Every file that a build of the project can depend on, sorted, so that two machines agree.
pub(crate) fn files(project: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![project.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("failed to read {}", folder.display()))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                if !WRITTEN_BY_DBT.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A hash that changes whenever something a build is made from changes: files, and `facts` such as
/// options and variables. Names and lengths go in too, so that no two sets of inputs run together.
pub(crate) fn fingerprint(project: &Path, seeds: Option<&Path>, facts: &[String]) -> Result<String> {
    let mut digest = facts.iter().fold(Digest::default(), Digest::with);
    for root in std::iter::once(project).chain(seeds) {
        for file in files(root)? {
            digest.add(file.strip_prefix(root).unwrap_or(&file).to_string_lossy().as_bytes());
            let content = fs::File::open(&file).and_then(digest::of_content);
            digest.add(content.with_context(|| format!("failed to read {}", file.display()))?);
        }
    }
    Ok(digest.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_the_name_that_its_file_says() {
        for (text, expected) in [
            ("name: shop\n", Some("shop")),
            ("version: 2\nname: 'my_shop' # ours\n", Some("my_shop")),
            ("models:\n  name: x\n", None),
            ("name: \"{{ x }}\"\n", None),
        ] {
            let folder = project(&[("dbt_project.yml", text)]);
            assert_eq!(name(folder.path()).as_deref(), expected, "{text}");
        }
        assert_eq!(name(Path::new("/nowhere")), None);
    }

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        folder
    }

    #[test]
    fn a_fingerprint_follows_content_names_and_facts_and_nothing_else() {
        let of = |files: &[(&str, &str)], facts: &[&str]| {
            let facts: Vec<String> = facts.iter().map(|&fact| fact.to_owned()).collect();
            fingerprint(project(files).path(), None, &facts).expect("a fingerprint")
        };
        let base = of(&[("models/a.sql", "1"), ("b.yml", "2")], &["x"]);
        assert_eq!(base, of(&[("b.yml", "2"), ("models/a.sql", "1"), ("target/t", "9")], &["x"]));
        for other in [
            of(&[("models/a.sql", "1 "), ("b.yml", "2")], &["x"]),
            of(&[("models/c.sql", "1"), ("b.yml", "2")], &["x"]),
            of(&[("models/a.sql", "1"), ("b.yml", "2")], &["y"]),
            of(&[("models/a.sql", "1"), ("b.yml", "2")], &["x", ""]),
            of(&[("models/a.sql", "12"), ("b.yml", "")], &["x"]),
        ] {
            assert_ne!(base, other);
        }
    }
}
