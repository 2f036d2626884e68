//! The stages of a pipeline: the parts that a plan turns on or off.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// In the order in which they run: each is a gate for those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Security,
    Elt,
    Observability,
}

impl Stage {
    pub(crate) const ALL: [Self; 3] = [Self::Security, Self::Elt, Self::Observability];

    /// As plans, workflows and messages call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Elt => "elt",
            Self::Observability => "observability",
        }
    }

    /// What follows `#run_` and `#skip_` in commit messages; messages name the first.
    pub(crate) fn tags(self) -> &'static [&'static str] {
        match self {
            Self::Security => &["security"],
            Self::Elt => &["elt", "pipeline", "pipelines"],
            Self::Observability => &["obs", "observability"],
        }
    }
}

/// Some of the stages. In JSON each stage is a field, true or false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stages(u8);

impl Stages {
    pub(crate) const ALL: Self = Self((1 << Stage::ALL.len()) - 1);

    pub(crate) fn has(self, stage: Stage) -> bool {
        self.0 & Self::bit(stage) != 0
    }

    pub(crate) fn insert(&mut self, stage: Stage) {
        self.0 |= Self::bit(stage);
    }

    pub(crate) fn remove(&mut self, stage: Stage) {
        self.0 &= !Self::bit(stage);
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn any(self) -> bool {
        self != Self::default()
    }

    /// In the order in which they run.
    pub(crate) fn each(self) -> impl Iterator<Item = Stage> {
        Stage::ALL.into_iter().filter(move |stage| self.has(*stage))
    }

    pub(crate) fn names(self) -> Vec<&'static str> {
        self.each().map(Stage::label).collect()
    }

    const fn bit(stage: Stage) -> u8 {
        1 << stage as u8
    }
}

impl FromIterator<Stage> for Stages {
    fn from_iter<I: IntoIterator<Item = Stage>>(stages: I) -> Self {
        stages.into_iter().fold(Self::default(), |mut all, stage| {
            all.insert(stage);
            all
        })
    }
}

impl Serialize for Stages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Stage::ALL.map(|stage| (stage.label(), self.has(stage))))
    }
}

impl JsonSchema for Stages {
    fn schema_name() -> Cow<'static, str> {
        "Stages".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = Stage::ALL.map(Stage::label);
        let properties: Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), json!({ "type": "boolean" }))).collect();
        json_schema!({ "type": "object", "properties": properties, "required": names })
    }
}
