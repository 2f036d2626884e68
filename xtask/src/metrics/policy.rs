//! `policies/metrics.toml`: what is measured in the data itself. The owners of the models own it, so it is data.

use anyhow::{Context as _, Result, ensure};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::system::contract::Contract;
use crate::system::repo::Repo;

const FILE: &str = "metrics.toml";

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Policy {
    pub(super) data_time: Vec<DataTime>,
    pub(super) cost: Cost,
}

/// What a credit costs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cost {
    pub(super) credit_price: Option<f64>,
    /// Such as `EUR`.
    pub(super) currency: Option<String>,
}

/// The column of some tables that says how new their data is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DataTime {
    relations: Vec<String>,
    pub(super) column: String,
}

pub(super) fn contract() -> Contract {
    Contract::policy::<Policy>("policies/metrics", "policies/metrics.toml")
}

impl Policy {
    /// The repository's policy; nothing is named in a repository without the file.
    pub(super) fn load(repo: &Repo) -> Result<Self> {
        let path = repo.policies().join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("failed to understand {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let policy: Self = toml::from_str(text)?;
        for (i, rule) in policy.data_time.iter().enumerate() {
            ensure!(!rule.relations.is_empty(), "data_time[{i}].relations: name at least one table");
            let is_blank = |name: &String| name.trim().is_empty();
            ensure!(!rule.relations.iter().any(is_blank), "data_time[{i}].relations: a name is empty");
            ensure!(
                !is_blank(&rule.column),
                "data_time[{i}].column: it is empty; name a column of the table"
            );
        }
        if let Some(price) = policy.cost.credit_price {
            ensure!(price.is_finite() && price > 0.0, "cost.credit_price: an amount above 0, not {price}");
        }
        Ok(policy)
    }

    /// The column of a table that exists.
    pub(super) fn column_of(&self, relation: &str) -> Option<&str> {
        let rule = self.data_time.iter().find(|rule| rule.relations.iter().any(|name| fits(name, relation)));
        rule.map(|rule| rule.column.as_str())
    }

    /// The tables that are named in full, with their columns.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.data_time.iter().flat_map(|rule| {
            let names = rule.relations.iter().filter(|name| !name.contains('*'));
            names.map(|name| (name.as_str(), rule.column.as_str()))
        })
    }
}

/// Whether a name fits a pattern in which `*` is any text, whatever the case of both.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, name, is_fit) in [
            ("orders", "ORDERS", true),
            ("orders", "orders2", false),
            ("raw_*", "raw_orders", true),
            ("raw_*", "raw_", true),
            ("*_daily", "kpis_daily", true),
            ("*_daily", "daily", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*a", "a", false),
            ("*", "anything", true),
        ] {
            assert_eq!(fits(pattern, name), is_fit, "{pattern} {name}");
        }
    }

    #[test]
    fn a_rule_names_tables_and_a_column() {
        let policy = Policy::parse(
            "[[data_time]]\nrelations = ['orders']\ncolumn = 'ordered_at'\n\
             [[data_time]]\nrelations = ['*']\ncolumn = 'loaded_at'",
        )
        .expect("a policy");
        assert_eq!(
            (policy.column_of("orders"), policy.column_of("other")),
            (Some("ordered_at"), Some("loaded_at"))
        );
        assert_eq!(policy.named().collect::<Vec<_>>(), [("orders", "ordered_at")]);
        for wrong in [
            "[[data_time]]\nrelations = []\ncolumn = 'a'",
            "[[data_time]]\nrelations = ['a']\ncolumn = ' '",
            "columns = 1",
            "[cost]\ncredit_price = -1.0",
        ] {
            assert!(Policy::parse(wrong).is_err(), "{wrong}");
        }
    }
}
