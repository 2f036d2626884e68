//! Entry points for code outside the crate that tests one part of the toolkit: the fuzz targets in
//! `tests/fuzz` and the benches. Nothing else uses them, and none of them is stable.
//!
//! Each panics if an invariant is violated; for any text, none may panic otherwise, hang, or use unbounded
//! memory.

/// Parts of a text, so that one input can be several files: they are separated by a NUL, which no source
/// contains.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split('\0')
}

/// Reads YAML as every command does, checks it by all rules, and fixes it: the fixed text has the same
/// meaning, and a second fix changes nothing.
pub fn check_yaml(text: &str) {
    crate::lint::testing::check_yaml(text);
}

/// Cuts, marks, renders and traces a template: the first part, with the others as macro files. All output has
/// its origin, and output that is marked as text of the template is in the template.
pub fn trace_template(text: &str) {
    let mut parts = parts(text);
    let template = parts.next().unwrap_or_default();
    crate::lint::testing::trace_template(template, parts.map(str::to_owned).collect());
}

/// Builds the graph of a project from the parts as its files, and checks it by all rules of dbt.
pub fn check_project(text: &str) {
    const PATHS: [&str; 8] = [
        "dbt_project.yml",
        "models/gold/a.sql",
        "models/gold/a.yml",
        "models/silver/b.sql",
        "models/silver/b.yml",
        "macros/m.sql",
        "packages.yml",
        "snapshots/s.sql",
    ];
    let files = PATHS.into_iter().zip(parts(text)).map(|(path, text)| (path.to_owned(), text.to_owned()));
    crate::lint::testing::check_project(files.collect());
}

/// Scans a text as the file `path` with the built-in rules; returns how many secrets it holds.
///
/// # Panics If a hit is outside the text: every hit must be in the scanned text.
#[must_use]
pub fn scan_for_secrets(path: &str, bytes: &[u8]) -> usize {
    crate::secrets::testing::scan(path, bytes)
}

/// Builds the search of the built-in rules again, as each start does; returns how many rules it has.
#[must_use]
pub fn build_secret_engine() -> usize {
    crate::secrets::testing::build()
}

/// Loads a text as a repository's `.gitleaks.toml` and scans a few lines by it; for any text, the result is
/// rules or an error.
pub fn load_secret_rules(text: &str) {
    crate::secrets::testing::load(text);
}
