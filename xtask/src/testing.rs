//! Doors into the toolkit for what stands outside the crate and looks at one part of it: the fuzz targets in
//! `tests/fuzz` and the benches. Nothing else uses them, and nothing of them is stable.

/// Reads YAML as every command does; whatever the text, the answer is a tree or an error.
pub fn read_yaml(text: &str) {
    drop(crate::yaml::parse(text));
}
