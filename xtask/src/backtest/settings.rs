//! The settings of the policy: the variables of the dbt project, so that a backtest replays what the models
//! recommend.

use anyhow::{Context as _, Result, bail};
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::core::yaml;
use crate::dbt::project::Project;

/// Variables of `dbt_project.yml`, by their names there.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    pub(super) as_of: Option<String>,
    pub(super) backorder_channels: Vec<String>,
    pub(super) backorder_days: i32,
    pub(super) smoothing: f64,
    pub(super) demand_window_days: usize,
    pub(super) review_days: i32,
    pub(super) order_cycle_days: f64,
    pub(super) risk_per_cost: f64,
    pub(super) service_level_min: f64,
    pub(super) service_level_max: f64,
    pub(super) safety_factor: f64,
    pub(super) lead_time_min_lines: usize,
    pub(super) holding_rate: f64,
    pub(super) price_break_days: f64,
}

impl Settings {
    /// The project's variables, with those of `--vars` in their place.
    pub(super) fn read(project: &Project, given: Option<&str>) -> Result<Self> {
        let mut all = project.variables();
        if let Some(given) = given {
            all.extend(parse(given)?);
        }
        let settings: Self = serde_json::from_value(Value::Object(all))
            .context("failed to read the variables of dbt_project.yml and --vars")?;
        settings.check()?;
        Ok(settings)
    }

    /// The last day that counts, if one is given.
    pub(super) fn last_day(&self) -> Result<Option<Date>> {
        let text = self.as_of.as_deref().map(str::trim).filter(|text| !text.is_empty());
        text.map(|text| {
            text.parse().with_context(|| format!("variable as_of: '{text}' is not a date, write YYYY-MM-DD"))
        })
        .transpose()
    }

    fn check(&self) -> Result<()> {
        let rules = [
            ("smoothing", self.smoothing > 0.0 && self.smoothing < 1.0, "above 0 and below 1"),
            ("demand_window_days", self.demand_window_days > 1, "at least 2"),
            ("review_days", self.review_days > 0, "at least 1"),
            ("backorder_days", self.backorder_days >= 0, "at least 0"),
            ("order_cycle_days", self.order_cycle_days >= 0.0, "at least 0"),
            ("risk_per_cost", self.risk_per_cost >= 0.0, "at least 0"),
            ("safety_factor", self.safety_factor >= 0.0, "at least 0"),
            ("service_level_min", (0.5..1.0).contains(&self.service_level_min), "0.5 to below 1"),
            ("service_level_max", (0.5..1.0).contains(&self.service_level_max), "0.5 to below 1"),
        ];
        match rules.iter().find(|(_, holds, _)| !holds) {
            Some((name, _, range)) => {
                bail!("variable {name} must be {range}; correct dbt_project.yml or --vars")
            }
            None => Ok(()),
        }
    }
}

fn parse(given: &str) -> Result<Map<String, Value>> {
    let node = yaml::parse_one(given).context("--vars is not YAML")?;
    match node.map(|node| node.json()) {
        Some(Value::Object(map)) => Ok(map),
        _ => bail!("--vars must be a mapping such as '{{order_cycle_days: 14}}'"),
    }
}
