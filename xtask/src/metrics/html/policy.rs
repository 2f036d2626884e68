//! `policies/report.toml`: the business panels of the page. They are data, owned by the repository's authors;
//! the toolkit knows none of the models that they name.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use schemars::JsonSchema;
use serde::Deserialize;

use super::grid::Unit;
use crate::system::contract::Contract;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) title: String,
    #[serde(default)]
    pub(super) lead: String,
    pub(super) currency: Option<String>,
    #[serde(default, rename = "panel")]
    pub(super) panels: Vec<Panel>,
}

/// One query of the environment's tables, and how its result is shown.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Panel {
    /// Names the panel on the page: lower-case words joined by `-`.
    pub(super) id: String,
    pub(super) title: String,
    #[serde(default)]
    pub(super) note: String,
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) wide: bool,
    pub(super) better: Option<Better>,
    /// How many rows back a figure is compared with.
    #[serde(default = "week")]
    pub(super) compare_rows: usize,
    /// The column whose values become series.
    pub(super) series: Option<String>,
    #[serde(default)]
    pub(super) needs: Vec<String>,
    /// The text that is shown if the result has no rows.
    pub(super) empty: Option<String>,
    pub(super) columns: Vec<Column>,
    pub(super) sql: String,
}

fn week() -> usize {
    7
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Figure,
    Lines,
    Columns,
    Bars,
    Table,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Better {
    Higher,
    Lower,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) label: String,
    #[serde(default)]
    pub(super) unit: Unit,
}

pub(in crate::metrics) fn contract() -> Contract {
    Contract::policy::<Policy>("policies/report", "policies/report.toml")
}

impl Policy {
    /// `None` if the repository has no such policy.
    pub(super) fn load(policies: &Path) -> Result<Option<Self>> {
        let path = policies.join("report.toml");
        if !path.exists() {
            return Ok(None);
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        Self::parse(&text).map(Some).with_context(|| format!("failed to understand {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let policy: Self = toml::from_str(text)?;
        let mut seen = std::collections::BTreeSet::new();
        for panel in &policy.panels {
            panel.check().with_context(|| format!("the panel {:?}", panel.id))?;
            ensure!(seen.insert(&panel.id), "two panels have the id {:?}; give each its own", panel.id);
        }
        Ok(policy)
    }
}

impl Panel {
    fn check(&self) -> Result<()> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            self.id.starts_with(|c: char| c.is_ascii_lowercase()) && self.id.chars().all(plain),
            "an id is lower-case letters, digits and `-`, and starts with a letter"
        );
        let least = match (self.kind, &self.series) {
            (Kind::Table, _) => 1,
            (_, None) => 2,
            (_, Some(_)) => 3,
        };
        ensure!(self.columns.len() >= least, "this kind needs at least {least} columns");
        if let Some(series) = &self.series {
            ensure!(
                matches!(self.kind, Kind::Lines | Kind::Columns),
                "only lines and columns have series; remove `series`"
            );
            ensure!(
                self.columns.len() == 3 && &self.columns[1].name == series,
                "with `series` there are three columns: the axis, {series}, and the value"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANEL: &str = "title = 'T'\n[[panel]]\nid = 'a'\ntitle = 'A'\nsql = 'select 1'\n";

    fn refusal(text: &str) -> String {
        format!("{:#}", Policy::parse(text).expect_err("a refusal"))
    }

    #[test]
    fn a_mistake_names_the_panel() {
        let columns = "columns = [{name = 'x', label = 'X'}]\n";
        for (rest, part) in [
            ("kind = 'figure'\n".to_owned() + columns, "at least 2 columns"),
            ("kind = 'table'\nseries = 'x'\n".to_owned() + columns, "only lines and columns"),
            ("kind = 'lines'\nseries = 'x'\n".to_owned() + columns, "at least 3 columns"),
            ("kind = 'pie'\n".to_owned() + columns, "pie"),
        ] {
            let said = refusal(&(PANEL.to_owned() + &rest));
            assert!(said.contains(part), "{said}");
        }
        let table = "kind = 'table'\n".to_owned() + columns;
        let twice = format!("{PANEL}{table}{}{table}", PANEL.trim_start_matches("title = 'T'\n"));
        assert!(refusal(&twice).contains("two panels"));
        assert!(Policy::parse(&(PANEL.to_owned() + &table)).is_ok());
    }
}
