//! Writes the built-in rules for secrets in a form that is read four times faster than TOML: they are read at every start.

use std::path::Path;
use std::{env, fs};

use toml::{Table, Value};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const RULES: &str = "../policies/secrets.toml";

fn main() -> Outcome {
    println!("cargo::rerun-if-changed={RULES}");
    let mut rules: Table = fs::read_to_string(RULES)?.parse()?;
    for list in ["rules", "providers"] {
        // Examples are for the tests.
        for rule in rules.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            rule.as_table_mut().map(|rule| rule.remove("examples"));
        }
    }
    let folder = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&folder).join("secrets.json"), serde_json::to_string(&rules)?)?;
    Ok(())
}
