//! The scanner's parts as fuzz targets and benches see them; see `crate::testing`.

use std::path::Path;
use std::sync::OnceLock;

use super::engine::{Engine, Place};
use super::rules::RuleSet;

/// An engine of the built-in rules, built once.
fn engine() -> Option<&'static Engine> {
    static ENGINE: OnceLock<Option<Engine>> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(RuleSet::built_in().ok()?).ok()).as_ref()
}

pub(crate) fn scan(path: &str, bytes: &[u8]) -> usize {
    let hits = engine().map_or_else(Vec::new, |engine| engine.scan(Place { path, commit: None }, bytes));
    for hit in &hits {
        assert!(hit.range.start < hit.range.end && hit.range.end <= bytes.len(), "a hit outside the text");
    }
    hits.len()
}

/// Builds an engine as every start does; returns how many rules it has.
pub(crate) fn build() -> usize {
    let engine = RuleSet::built_in().and_then(Engine::new);
    engine.map_or(0, |engine| engine.set.rules.len())
}

pub(crate) fn load(text: &str) {
    const LINES: &[u8] = b"token = \"a1-b2\"\nqqq aab a2 key: zq81\n \xFF\n\n{x: 'y'} # end";
    let Ok(set) = RuleSet::parse(text, Path::new(".gitleaks.toml"), 0, true) else { return };
    if let Ok(engine) = Engine::new(set) {
        engine.scan(Place { path: "src/x.txt", commit: None }, LINES);
    }
}
