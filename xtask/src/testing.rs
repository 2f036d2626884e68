//! Doors into the toolkit for what stands outside the crate and looks at one part of it: the fuzz targets in
//! `tests/fuzz` and the benches. Nothing else uses them, and nothing of them is stable.

/// Reads YAML as every command does; whatever the text, the answer is a tree or an error.
pub fn read_yaml(text: &str) {
    drop(crate::yaml::parse(text));
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
