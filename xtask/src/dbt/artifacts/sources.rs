//! The sources of a manifest, and when each counts as late.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Column;

#[derive(Debug, Deserialize)]
pub(crate) struct Source {
    pub(crate) database: Option<String>,
    pub(crate) schema: String,
    pub(crate) identifier: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) columns: BTreeMap<String, Column>,
    /// The name of the table as dbt writes it in SQL.
    #[serde(default)]
    pub(crate) relation_name: Option<String>,
    #[serde(default)]
    loaded_at_field: Option<String>,
    #[serde(default)]
    loaded_at_query: Option<String>,
    #[serde(default)]
    freshness: Option<Criteria>,
    #[serde(default)]
    config: Option<SourceConfig>,
}

/// Newer versions of dbt have the same keys here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SourceConfig {
    enabled: Option<bool>,
    loaded_at_field: Option<String>,
    loaded_at_query: Option<String>,
    freshness: Option<Criteria>,
}

/// When a source counts as late: dbt's `freshness`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Criteria {
    warn_after: Option<Period>,
    error_after: Option<Period>,
    pub(crate) filter: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Period {
    count: Option<i64>,
    period: Option<String>,
}

impl Period {
    fn seconds(&self) -> Option<i64> {
        let unit = match self.period.as_deref()? {
            "minute" => 60,
            "hour" => 3600,
            "day" => 86_400,
            _ => return None,
        };
        self.count?.checked_mul(unit)
    }
}

impl Criteria {
    pub(crate) fn warn_after_seconds(&self) -> Option<i64> {
        self.warn_after.as_ref()?.seconds()
    }

    pub(crate) fn error_after_seconds(&self) -> Option<i64> {
        self.error_after.as_ref()?.seconds()
    }
}

impl Source {
    fn configured<'a, T>(&'a self, of: impl Fn(&'a SourceConfig) -> Option<T>) -> Option<T> {
        self.config.as_ref().and_then(of)
    }

    /// The expression for the time at which a row was loaded.
    pub(crate) fn loaded_at_field(&self) -> Option<&str> {
        given(self.configured(|config| config.loaded_at_field.as_deref()))
            .or_else(|| given(self.loaded_at_field.as_deref()))
    }

    /// The query for the time at which the newest row was loaded.
    pub(crate) fn loaded_at_query(&self) -> Option<&str> {
        given(self.configured(|config| config.loaded_at_query.as_deref()))
            .or_else(|| given(self.loaded_at_query.as_deref()))
    }

    /// Its `freshness`, if that says when it is late.
    pub(crate) fn criteria(&self) -> Option<&Criteria> {
        let says =
            |criteria: &&Criteria| criteria.warn_after_seconds().or(criteria.error_after_seconds()).is_some();
        self.configured(|config| config.freshness.as_ref())
            .filter(says)
            .or_else(|| self.freshness.as_ref().filter(says))
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.configured(|config| config.enabled) != Some(false)
    }
}

fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}
