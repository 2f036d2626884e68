//! What a node is made from, and what that depends on beside the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::state::profile::Settings;
use crate::system::digest::Digest;
use crate::warehouse::Dialect;

/// What a build depends on beside the files.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// As dbt's `target.name` says.
    pub(crate) target: String,
    /// As dbt's `target.type` says.
    pub(crate) adapter: String,
    pub(crate) dialect: Dialect,
    /// As `dbt_project.yml` names it.
    pub(crate) profile_name: String,
    pub(crate) profile: Settings,
    pub(crate) database: String,
    pub(crate) schema: String,
    /// `--vars`.
    pub(crate) vars: Option<String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// `--seeds`.
    pub(crate) seeds: Option<PathBuf>,
    /// dbt and adapter, without the last part of their versions.
    pub(crate) engine: String,
    /// The version of DuckDB without its last part; empty if it is unknown or the warehouse is another.
    pub(crate) warehouse: String,
    /// The period of the clock, such as the day.
    pub(crate) period: String,
    /// The key under which values of `DBT_ENV_SECRET_` variables are hashed.
    pub(crate) key: String,
}

impl Facts {
    /// Whether values are hashed with a key that is beside the data: the first run's random number.
    pub(crate) fn has_secrets(&self) -> bool {
        self.environment.keys().any(|name| name.starts_with("DBT_ENV_SECRET"))
    }

    /// Whether the second generation of dbt builds.
    pub(in crate::state) fn is_v2(&self) -> bool {
        self.engine.split('.').next() == Some("2")
    }
}

/// How exactly it is known what a node is made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    #[default]
    Exact,
    /// It asks the warehouse about its parents while it is compiled.
    Data,
    /// It cannot be known which inputs it reads: all of their kind count.
    Coarse,
    /// It reads something without a version: it is built every time.
    Always,
}

impl Class {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Data => "data",
            Self::Coarse => "coarse",
            Self::Always => "always",
        }
    }
}

/// What a node is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact about the node")]
pub(crate) struct Definition {
    /// As dbt names it; of a generic test without the hash at the end.
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) package: String,
    /// Folders and name, as dbt selects it.
    pub(crate) fqn: Vec<String>,
    pub(crate) path: String,
    pub(crate) tags: Vec<String>,
    pub(crate) materialized: String,
    /// Schema and name of what it builds.
    pub(crate) relation: Option<(String, String)>,
    pub(crate) class: Class,
    /// Why it is not exact.
    pub(crate) reasons: Vec<String>,
    /// A short hash per input, by what it is called in messages.
    pub(crate) parts: BTreeMap<String, String>,
    /// The file that an input is in, if it has one.
    pub(crate) places: BTreeMap<String, String>,
    /// Nodes and sources whose data it reads.
    pub(crate) parents: BTreeSet<String>,
    /// Nodes that it must follow without reading them.
    pub(crate) follows: BTreeSet<String>,
    /// The node that a generic test or unit test is about.
    pub(crate) attached: Option<String>,
    /// The period of the clock that it reads, if it reads one.
    pub(crate) period: Option<String>,
    /// Why two builds of it may differ.
    pub(crate) random: Vec<String>,
    /// Of a view: why what it shows may change without any of its inputs.
    pub(crate) volatile: Vec<String>,
    pub(crate) full_refresh: Option<bool>,
    /// Whether it may have parents that only dbt knows.
    pub(crate) has_more_parents: bool,
    /// Whether it is not known how it is configured, so that it may be a table although it reads like a view.
    pub(crate) may_be_table: bool,
    pub(crate) is_python: bool,
    /// How long it may be older than the data of its parents.
    pub(crate) lag: Option<SignedDuration>,
    /// What a template reads of that which property files say about it, while that is being counted.
    #[serde(skip)]
    pub(crate) reads_properties: BTreeSet<&'static str>,
    /// Names in its SQL that may be tables, and those that `with` gives.
    pub(crate) tables: BTreeSet<String>,
    pub(crate) ctes: BTreeSet<String>,
    pub(crate) computes_ctes: bool,
    /// The hash of all inputs, once they are complete.
    pub(crate) hash: Option<String>,
}

impl Definition {
    /// What it is made from, as one hash.
    pub(crate) fn hash(&self) -> String {
        self.hash.clone().unwrap_or_else(|| self.hashed())
    }

    pub(in crate::state) fn hashed(&self) -> String {
        let mut digest = Digest::default();
        for (name, hash) in &self.parts {
            digest.add(name);
            digest.add(hash);
        }
        if let (Some(period), true) = (&self.period, self.materialized != "view" || self.may_be_table) {
            digest.add("clock");
            digest.add(period);
        }
        digest.short()
    }

    /// Count an input, and remember the file that it is in.
    pub(in crate::state) fn add(&mut self, label: impl Into<String>, hash: impl Into<String>, path: &str) {
        let label = label.into();
        if !path.is_empty() {
            self.places.insert(label.clone(), path.to_owned());
        }
        self.parts.insert(label, hash.into());
    }

    pub(crate) fn is_test(&self) -> bool {
        matches!(self.kind.as_str(), "test" | "unit_test")
    }

    /// Whether it leaves a relation that dbt writes.
    pub(crate) fn is_relation(&self) -> bool {
        matches!(self.kind.as_str(), "model" | "seed" | "snapshot") && self.materialized != "ephemeral"
    }
}

/// All definitions of a project by identifier.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) all: BTreeMap<String, Definition>,
    /// The environment's schema as the warehouse spells it.
    pub(crate) schema: String,
    /// Files that could not be understood: then nothing is known.
    pub(crate) faults: Vec<String>,
    /// Whether they depend on files that are not those of the project, such as tables of Parquet.
    pub(crate) reads_files: bool,
}

impl Definitions {
    pub(crate) fn is_incremental(&self, id: &str) -> bool {
        let definition = self.all.get(id);
        definition.is_some_and(|each| each.kind == "model" && each.materialized == "incremental")
    }
}

/// A short hash of an input.
pub(crate) fn short(content: impl AsRef<[u8]>) -> String {
    Digest::default().with(content).short()[..12].to_owned()
}

/// A materialization that only dbt can compute.
pub(crate) const UNKNOWN: &str = "unknown";

/// Each reason once; and a table of what has no version is built every time.
pub(in crate::state) fn settle(definition: &mut Definition) {
    if !definition.computes_ctes {
        let tables = definition.tables.difference(&definition.ctes);
        definition
            .volatile
            .extend(tables.map(|table| format!("reads {table} by name, which is not a `ref`")));
    }
    for list in [&mut definition.reasons, &mut definition.volatile, &mut definition.random] {
        list.sort();
        list.dedup();
    }
    if !definition.volatile.is_empty()
        && definition.materialized != "view"
        && definition.materialized != "ephemeral"
    {
        definition.class = Class::Always;
    }
    if definition.class == Class::Always {
        let volatile = definition.volatile.clone();
        definition.reasons.extend(
            volatile.into_iter().filter(|reason| !definition.reasons.contains(reason)).collect::<Vec<_>>(),
        );
    }
}
