//! What `elt --explain` prints: for each node what would be done to it, and why.

use schemars::JsonSchema;
use serde::Serialize;

use super::Keeper;
use super::ahead::ahead_text;
use crate::state::decide::Action;
use crate::system::contract::Contract;

impl Keeper {
    /// What would be done to each node, and why.
    pub(in crate::elt) fn explained(&self) -> Explained<'_> {
        let nodes = self.decision.verdicts.iter().filter_map(|(id, verdict)| {
            let definition = self.definitions.all.get(id)?;
            let record = self.records.get(id);
            Some(ExplainedNode {
                id,
                kind: &definition.kind,
                name: &definition.name,
                path: &definition.path,
                class: definition.class.label(),
                action: verdict.action,
                base_is_ahead: self.ahead.contains(id),
                lags: verdict.action == Action::Reuse && !verdict.reasons.is_empty(),
                full_refresh: verdict.refresh,
                reasons: &verdict.reasons,
                because: &definition.reasons,
                not_reproducible: &definition.random,
                last_status: record.map(|record| record.status.as_str()),
                last_run: record.map(|record| record.run_id.as_str()),
            })
        });
        let removed = self.decision.removed.iter().map(|record| {
            let part = |text: &Option<String>| text.clone().unwrap_or_default();
            format!("{}.{}", part(&record.relation_schema), part(&record.relation_name))
        });
        Explained {
            schema: self.schema.as_str(),
            base: self.copied.as_ref().map(|copied| copied.base.as_str()),
            nodes: nodes.collect(),
            removed: removed.collect(),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::elt) struct Explained<'a> {
    schema: &'a str,
    /// What the environment is going to be copied from.
    base: Option<&'a str>,
    nodes: Vec<ExplainedNode<'a>>,
    removed: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ExplainedNode<'a> {
    id: &'a str,
    kind: &'a str,
    name: &'a str,
    path: &'a str,
    class: &'static str,
    action: Action,
    full_refresh: bool,
    /// The base was built from another version of it, which nothing here has touched.
    base_is_ahead: bool,
    /// It is left as it is although a parent has other data, as its `lag_tolerance` allows.
    lags: bool,
    reasons: &'a [String],
    /// Why the class is not `exact`.
    because: &'a [String],
    not_reproducible: &'a [String],
    last_status: Option<&'a str>,
    last_run: Option<&'a str>,
}

pub(in crate::elt) fn contract() -> Contract {
    Contract::output::<Explained<'_>>("elt-explain", "cargo xtask elt --explain --format json")
}

impl Explained<'_> {
    pub(in crate::elt) fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        for relation in &self.removed {
            line(format!("remove  {relation}: no node makes it any more"));
        }
        for (action, word) in [(Action::Build, "build"), (Action::Pending, "maybe")] {
            for node in self.nodes.iter().filter(|node| node.action == action) {
                let word = if action == Action::Build && matches!(node.kind, "test" | "unit_test") {
                    "run"
                } else {
                    word
                };
                line(format!("{word:<7} {} {} ({}, {})", node.kind, node.name, node.path, node.class));
                if node.base_is_ahead {
                    line("          the base is ahead: this branch did not touch it".to_owned());
                }
                for reason in node.reasons {
                    line(format!("          {reason}"));
                }
                if node.full_refresh {
                    line(
                        "          from nothing: adding to what is there would not give the same".to_owned(),
                    );
                }
                for reason in node.not_reproducible {
                    line(format!("          not reproducible: it uses {reason}"));
                }
            }
        }
        for node in self.nodes.iter().filter(|node| node.lags) {
            line(format!("lag     {} {} ({}): {}", node.kind, node.name, node.path, node.reasons.join("; ")));
        }
        let ahead = self.nodes.iter().filter(|node| node.base_is_ahead).count();
        if let Some(base) = self.base.filter(|_| ahead > 0) {
            line(format!("ahead   {}", ahead_text(base, ahead)));
        }
        let reused = self.nodes.iter().filter(|node| node.action == Action::Reuse).count();
        line(format!("reuse   {reused} of {} nodes and tests of {}", self.nodes.len(), self.schema));
        out
    }
}
