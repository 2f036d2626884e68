//! Doors into the toolkit for what stands outside the crate and looks at one part of it: the fuzz targets in
//! `tests/fuzz` and the benches. Nothing else uses them, and nothing of them is stable.
//!
//! Each panics where a promise is broken; whatever the text, none may panic otherwise, hang, or take memory
//! without bound.

/// Parts of a text, so that one input can be several files: a NUL, which no source holds, stands between.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split('\0')
}

/// Reads YAML as every command does, judges it by all rules, and mends it: what was mended reads the same,
/// and is mended no further.
pub fn judge_yaml(text: &str) {
    crate::lint::testing::judge_yaml(text);
}

/// Cuts, marks, renders and traces a template: the first part, with the others as macro files. All output has
/// its origin, and what is said to be text of the template is.
pub fn trace_template(text: &str) {
    let mut parts = parts(text);
    let template = parts.next().unwrap_or_default();
    crate::lint::testing::trace_template(template, parts.map(str::to_owned).collect());
}

/// Builds the graph of a project from the parts as its files, and judges it by all rules of dbt.
pub fn judge_project(text: &str) {
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
    crate::lint::testing::judge_project(files.collect());
}

/// Scans a text as the file `path` with the built-in rules; returns how many secrets it holds.
///
/// # Panics
/// Where a hit lies outside the text: every hit stands in what was scanned.
#[must_use]
pub fn scan_for_secrets(path: &str, bytes: &[u8]) -> usize {
    crate::secrets::testing::scan(path, bytes)
}

/// Builds the search of the built-in rules anew, as each start does; returns how many rules it has.
#[must_use]
pub fn build_secret_engine() -> usize {
    crate::secrets::testing::build()
}

/// Loads a text as a repository's `.gitleaks.toml` and scans a few lines by it; whatever it says, the
/// answer is rules or an error.
pub fn load_secret_rules(text: &str) {
    crate::secrets::testing::load(text);
}
