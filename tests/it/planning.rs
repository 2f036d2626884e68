//! The planning models against independent computations: gold from its formulas in Python, and damaged data.

use std::path::Path;

use crate::support::{BUILT, Checkout, Ended, environment, root, scrubbed_program};

fn python(script: &str, args: &[&Path]) -> Ended {
    let mut command = scrubbed_program(&environment().join("bin/python"), root());
    command.arg(root().join("tests/planning").join(script)).args(args);
    Ended::of(command)
}

/// Every gold table in `schema` of the database file, cell by cell.
#[track_caller]
pub(crate) fn assert_gold_follows_from_its_formulas(checkout: &Checkout, database: &Path, schema: &str) {
    let project = checkout.path("dbt/dbt_project.yml");
    let said = python("gold.py", &[database, Path::new(schema), &project]).expect(0).stdout;
    assert!(said.contains("cells of 9 tables are the same"), "{said}");
}

#[test]
fn gold_follows_from_its_formulas() {
    let checkout = Checkout::built();
    assert_gold_follows_from_its_formulas(&checkout, &checkout.database(BUILT), "main");
    // and a cell that does not is found
    checkout.sql(&format!(
        "update {BUILT}.reorder_recommendations set suggested_units = suggested_units + 1 \
         where suggested_units = (select max(suggested_units) from {BUILT}.reorder_recommendations)"
    ));
    let project = checkout.path("dbt/dbt_project.yml");
    let said = python("gold.py", &[&checkout.database(BUILT), Path::new("main"), &project]).expect(1).stdout;
    assert!(said.contains("suggested_units"), "{said}");
}

#[test]
fn damaged_data_is_found_and_legal_data_passes() {
    let checkout = Checkout::built();
    let compiled = checkout.path("dbt/target").join(BUILT).join("compiled/logistics/models");
    let said =
        python("gates.py", &[&checkout.database(BUILT), Path::new("main"), &compiled]).expect(0).stdout;
    assert!(said.contains("26 kinds of damage found, 8 legal sets passed"), "{said}");
}

/// Another value for a variable of the project: a looser limit, a longer window, a greater weight.
fn another(name: &str, value: &str) -> String {
    match name {
        "as_of" => "2026-09-15".to_owned(),
        "backorder_channels" => "[online]".to_owned(),
        "suspicious_data" => "report".to_owned(),
        _ => {
            let number: f64 = value.parse().unwrap_or_else(|_| panic!("{name}: {value} is not a number"));
            let other = if number < 1.0 { f64::midpoint(1.0, number) } else { number * 2.0 };
            other.to_string()
        }
    }
}

#[test]
fn every_variable_can_be_changed() {
    let checkout = Checkout::new();
    let project = std::fs::read_to_string(checkout.path("dbt/dbt_project.yml")).expect("a project");
    let (_, variables) = project.split_once("\nvars:\n").expect("variables");
    let is_entry = |line: &&str| line.starts_with("  ") && !line.trim_start().starts_with('#');
    let changed: Vec<String> = variables
        .lines()
        .filter(is_entry)
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(name, value)| format!("{name}: {}", another(name, value)))
        .collect();
    assert!(changed.len() > 40, "{changed:?}");
    let variables = format!("{{{}}}", changed.join(", "));
    let mut command = checkout.command(&["elt", "--schema", BUILT, "--vars", &variables, "--format", "json"]);
    if let Some(folder) = crate::dbt_v2::folder() {
        command.env("XTASK_DBT_DIR", folder).env("XTASK_DBT_ENGINE", "v2");
    }
    // Its tests are of the models, and not of the values that the project comes with.
    let report = Ended::of(command).expect(0).json();
    let tests = report["nodes"].as_array().expect("nodes").iter().filter(|node| node["kind"] == "unit_test");
    assert!(tests.clone().count() > 15 && tests.clone().all(|node| node["status"] == "pass"), "{report}");
}
