//! The order of the toolkit's modules: each uses only those before it, so that a part can be read without the rest.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::support::root;

/// The modules at the top of `xtask/src`, the lowest first.
const ORDER: &[&str] = &[
    "system",
    "core",
    "warehouse",
    "ledger",
    "dbt",
    "report",
    "secrets",
    "lint",
    "seed",
    "audit",
    "state",
    "target",
    "pipeline",
    "github",
    "metrics",
    "notify",
    "elt",
    "adopt",
    "backtest",
    "completions",
    "conformance",
    "dbt_command",
    "doctor",
    "hooks",
    "python",
    "release",
    "schema",
    "reference",
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Finds the modules that a text names, as `crate::system` or `crate::{system, lint::rule}`.
struct Names {
    tests: Regex,
    one: Regex,
    nested: Regex,
    first: Regex,
}

impl Names {
    fn new() -> Self {
        let pattern = |text| Regex::new(text).expect("a pattern");
        Self {
            tests: pattern(r"(?m)^#\[cfg\(test\)\]\nmod \w+ \{"),
            one: pattern(r"crate::(?:(\w+)|\{([^;]*)\})"),
            nested: pattern(r"\{[^{}]*\}"),
            first: pattern(r"(?:^|,)\s*(\w+)"),
        }
    }

    /// Those of the code before the tests, which may use anything.
    fn of(&self, text: &str) -> BTreeSet<String> {
        let code = self.tests.find(text).map_or(text, |tests| &text[..tests.start()]);
        let mut modules = BTreeSet::new();
        for found in self.one.captures_iter(code) {
            modules.extend(found.get(1).map(|name| name.as_str().to_owned()));
            let list = found.get(2).map_or("", |list| list.as_str());
            let flat = self.nested.replace_all(list, "");
            modules.extend(self.first.captures_iter(&flat).map(|name| name[1].to_owned()));
        }
        modules
    }
}

#[test]
fn no_module_uses_one_above_it() {
    let sources = root().join("xtask/src");
    let level = |module: &str| ORDER.iter().position(|name| *name == module);
    let mut files = Vec::new();
    rust_files(&sources, &mut files);
    let (names, mut faults, mut uses) = (Names::new(), Vec::new(), 0);
    for file in &files {
        let path =
            file.strip_prefix(&sources).expect("below the sources").to_string_lossy().replace('\\', "/");
        let module = path.split('/').next().expect("a name").trim_end_matches(".rs");
        let is_test = ["tests.rs", "testing.rs", "cases.rs", "hostile.rs", "kinds.rs"].iter();
        if ["lib", "main", "testing"].contains(&module) || is_test.clone().any(|name| path.ends_with(name)) {
            continue;
        }
        let own = level(module).unwrap_or_else(|| panic!("{path}: add {module} to the order"));
        let text = fs::read_to_string(file).expect("a source");
        for other in names.of(&text) {
            let Some(other_level) = level(&other) else { continue };
            uses += 1;
            if other_level > own {
                faults.push(format!("{path} uses {other}, which is above {module}"));
            }
        }
    }
    assert!(uses > 500, "only {uses} uses were found: does the pattern still fit?");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
