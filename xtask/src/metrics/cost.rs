//! Credits as money, and what attribution leaves out.
//!
//! Snowflake bills the time that warehouses are on, and attributes to queries what they used of it. The difference is
//! idle time, queries under about 100 ms, other programs on the warehouse, and warehouses whose use is not attributed
//! (adaptive ones, serverless features). It is a separate figure, so that a sum over models is never taken for the bill.

use super::figures::{From, round};
use super::model::{Figure, Report, Span, Status, Unit, Value};
use super::policy;

const NO_PRICE: &str = "no price of a credit: [cost] credit_price of policies/metrics.toml";
const LEFT_OUT: &str = "idle time, queries under about 100 ms, other programs on the warehouse, and what Snowflake does not \
                        attribute (adaptive warehouses, serverless features)";

/// Add amounts of money to the credits of a report, and the figures about both.
pub(super) fn complete(report: &mut Report, policy: &policy::Cost) {
    let money = |credits: Option<f64>| Some(round(credits? * policy.credit_price?));
    report.currency.clone_from(&policy.currency);
    for row in &mut report.cost.rows {
        row.money = money(row.credits);
    }
    for row in &mut report.cost_by_node.rows {
        row.money = money(row.credits);
    }
    let left_out = unattributed(report);
    let bill = billed(report, policy);
    report.figures.extend([left_out, bill]);
}

fn find<'a>(report: &'a Report, name: &str) -> Option<&'a Figure> {
    report.figures.iter().find(|figure| figure.name == name)
}

/// What the warehouse used and no query of ours did.
fn unattributed(report: &Report) -> Figure {
    let number = |name: &str| find(report, name).and_then(|figure| figure.value.as_ref()?.number());
    let (attributed, metered) = (number("credits"), number("warehouse_credits"));
    let from = From { source: "credits, warehouse_credits", span: Span::Window };
    let difference = attributed.zip(metered).map(|(attributed, metered)| (metered - attributed).max(0.0));
    let mut figure = from.real(
        "unattributed_credits",
        Unit::Credits,
        difference,
        "credits or warehouse_credits are not known",
    );
    match find(report, "warehouse_credits") {
        // Each lags behind by its own time.
        Some(_) if difference.is_some() => {
            (figure.status, figure.reason) = (Status::Delayed, Some(LEFT_OUT.to_owned()));
        }
        Some(metered) => (figure.status, figure.reason) = (metered.status, metered.reason.clone()),
        None => {}
    }
    figure
}

/// The money for what the warehouse used, idle time too.
fn billed(report: &Report, policy: &policy::Cost) -> Figure {
    let metered = find(report, "warehouse_credits");
    let from = From { source: "warehouse_credits", span: Span::Window };
    let credits = metered.and_then(|figure| figure.value.as_ref()?.number());
    let value = credits.zip(policy.credit_price).map(|(credits, price)| Value::Real(round(credits * price)));
    let mut figure = from.figure("warehouse_cost", Unit::Money, value, NO_PRICE);
    if let Some(metered) = metered
        && (metered.value.is_none() || figure.value.is_some())
    {
        (figure.status, figure.reason) = (metered.status, metered.reason.clone());
    }
    figure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(credits: Option<f64>, metered: Option<f64>) -> Report {
        let mut report = super::super::html::tests::nothing();
        let from = From { source: "ACCOUNT_USAGE", span: Span::Window };
        report.figures = vec![
            from.real("credits", Unit::Credits, credits, "the role may not read it"),
            from.real("warehouse_credits", Unit::Credits, metered, "the role may not read it"),
        ];
        report
    }

    fn completed(
        credits: Option<f64>,
        metered: Option<f64>,
        price: Option<f64>,
    ) -> [(Option<Value>, Option<String>); 2] {
        let mut report = report(credits, metered);
        complete(&mut report, &policy::Cost { credit_price: price, currency: None });
        ["unattributed_credits", "warehouse_cost"].map(|name| {
            let figure = find(&report, name).expect("a figure");
            (figure.value.clone(), figure.reason.clone())
        })
    }

    #[test]
    fn the_bill_is_what_was_metered_and_the_rest_is_named() {
        let [rest, bill] = completed(Some(1.75), Some(4.5), Some(2.0));
        assert_eq!((rest.0, bill.0), (Some(Value::Real(2.75)), Some(Value::Real(9.0))));
        assert!(rest.1.is_some_and(|said| said.contains("idle time") && said.contains("adaptive")));
    }

    #[test]
    fn without_a_price_or_a_privilege_nothing_is_zero() {
        let [rest, bill] = completed(Some(1.75), Some(4.5), None);
        assert_eq!((rest.0, bill.0), (Some(Value::Real(2.75)), None));
        assert!(bill.1.is_some_and(|said| said.contains("credit_price")));
        let [rest, bill] = completed(Some(1.75), None, Some(2.0));
        assert_eq!((rest.0, bill.0), (None, None));
        assert!(bill.1.is_some_and(|said| said.contains("may not read")));
    }
}
