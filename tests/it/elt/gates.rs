//! A corrupted seed ends in a failed gate that names it, and gold stays as it was.

use serde_json::Value;

use super::{elt, gold};
use crate::support::{BUILT, Checkout};

const MOVEMENTS: &str = "dbt/seeds/raw_inventory_movements.csv";
const PRODUCTS: &str = "dbt/seeds/raw_products.csv";
const ORDERS: &str = "dbt/seeds/raw_customer_orders.csv";

/// Corrupt, build, and check what must hold of every corruption.
#[track_caller]
fn corrupted(corrupt: impl FnOnce(&Checkout), named: &[&str]) -> Value {
    let checkout = Checkout::built();
    let before = gold(&checkout, BUILT);
    corrupt(&checkout);
    let ended = checkout.run(&elt(BUILT, &[])).expect(1);
    for name in named {
        assert!(ended.stdout.contains(name), "{name} is not named in\n{}", ended.stdout);
    }
    assert_eq!(gold(&checkout, BUILT), before, "gold was rebuilt from corrupted seeds");
    let runs = checkout.sql(&format!("select * from {BUILT}.ledger_runs order by started_at desc limit 1"));
    assert_eq!(runs[0]["status"], "fail");
    assert!(!checkout.run(&elt(BUILT, &["--dry-run"])).expect(0).stdout.contains("up to date"));
    runs[0].clone()
}

fn line(text: &str, number: usize) -> String {
    text.lines().nth(number).expect("a line").to_owned()
}

#[test]
fn a_duplicate_key() {
    let twice = |text: String| format!("{text}{}\n", line(&text, 3));
    corrupted(|checkout| checkout.edit(PRODUCTS, twice), &["FAIL", "first failing rows", "PRD-00003"]);
}

#[test]
fn a_negative_balance() {
    // The first shipment takes a thousand times what was there.
    let too_much = |text: String| {
        let shipment = text.lines().find(|line| line.contains(",shipment,")).expect("a shipment").to_owned();
        let quantity = shipment.split(',').nth(5).expect("a quantity");
        text.replacen(&shipment, &shipment.replacen(&format!(",{quantity},"), ",-99999,", 1), 1)
    };
    corrupted(|checkout| checkout.edit(MOVEMENTS, too_much), &["FAIL", "first failing rows", "-99999"]);
}

#[test]
fn an_unknown_product() {
    let unknown = |text: String| text.replacen(",PRD-00001,", ",PRD-99999,", 1);
    corrupted(|checkout| checkout.edit(ORDERS, unknown), &["FAIL", "PRD-99999"]);
}

#[test]
fn a_wrong_type() {
    let wrong = |text: String| {
        let row = line(&text, 2);
        let broken: Vec<&str> =
            row.split(',').enumerate().map(|(i, cell)| if i == 5 { "many" } else { cell }).collect();
        text.replacen(&row, &broken.join(","), 1)
    };
    corrupted(
        |checkout| checkout.edit(MOVEMENTS, wrong),
        &["ERROR seed", "raw_inventory_movements", "many", "quantity"],
    );
}

#[test]
fn a_missing_file() {
    let run = corrupted(
        |checkout| std::fs::remove_file(checkout.path(PRODUCTS)).expect("removed"),
        &["raw_products", "was not found"],
    );
    assert!(run["message"].as_str().expect("a message").contains("raw_products"));
}
