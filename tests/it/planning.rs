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
    assert!(said.contains("23 kinds of damage found, 8 legal sets passed"), "{said}");
}
