//! Which nodes must be built and which tests must run, and why.
//!
//! A node is built when its definition differs from the one that it was built with, the data of a parent is other
//! data, its relation was changed outside the toolkit, or its last build did not end well. Nothing else. Whether the
//! children of a node that is built follow is known when it has been built: until then they are pending.

mod reasons;

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use self::reasons::changed_inputs;
use self::reasons::{differences, keeps_rows, needs_refresh, other_data, relation_of, unfinished};
use super::define::{Class, Definition, Definitions, short};
use super::record::Record;

/// What exists in the environment now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// By schema and name, both in lower case: a token that changes whenever the relation does; `None` where it
    /// could not be read.
    pub(crate) relations: BTreeMap<(String, String), Option<String>>,
    /// The texts of views, the same in each environment, if the warehouse gives them.
    pub(crate) texts: Option<BTreeMap<(String, String), String>>,
    /// Views of a copy: they read the base until they are rebuilt.
    pub(crate) created: BTreeSet<(String, String)>,
    /// Data versions of sources by identifier; a source that is missing here has other data each time.
    pub(crate) sources: BTreeMap<String, String>,
    /// Nodes and parents of theirs of which they cannot read what has changed since they held the version given here.
    pub(crate) unaffected: BTreeMap<(String, String), String>,
    /// The time of the decision, for nodes that may lag behind their parents.
    pub(crate) now: Option<DateTime>,
    /// Whether relations were looked at: without a look nothing is known to be missing.
    pub(crate) is_known: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Build,
    /// Built or run only if a parent that is built turns out to hold other data.
    Pending,
    Reuse,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) action: Action,
    pub(crate) reasons: Vec<String>,
    /// Whether an incremental model or a seed must be made from nothing.
    pub(crate) refresh: bool,
}

/// The decision about every node and test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decision {
    pub(crate) verdicts: BTreeMap<String, Verdict>,
    /// Data versions as far as they are known before anything is built.
    pub(crate) versions: BTreeMap<String, String>,
    /// Relations that no node makes any more: schema, name, and the record of the node that made them.
    pub(crate) removed: Vec<Record>,
}

/// What has been tried in the present run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    pub(crate) done: BTreeSet<String>,
    pub(crate) failed: BTreeSet<String>,
    /// Everything is built, whatever the ledger says.
    pub(crate) force: bool,
    /// The part of the project that may be built; the rest stays as it is.
    pub(crate) only: Option<BTreeSet<String>>,
}

impl Attempts {
    fn leaves_out(&self, id: &str) -> bool {
        self.only.as_ref().is_some_and(|only| !only.contains(id))
    }
}

pub(crate) fn decide(
    definitions: &Definitions,
    records: &BTreeMap<String, Record>,
    observed: &Observed,
    attempts: &Attempts,
) -> Decision {
    let mut decider = Decider { definitions, records, observed, attempts, decision: Decision::default() };
    for definition in order(definitions) {
        decider.node(definition);
    }
    for definition in definitions.all.values().filter(|definition| definition.is_test()) {
        decider.test(definition);
    }
    decider.decision.removed = removed(definitions, records);
    decider.decision
}

/// Give nodes whose text only computes what they read the parents that dbt found when they were last built.
pub(crate) fn adopt_parents(definitions: &mut Definitions, records: &BTreeMap<String, Record>) {
    let known: BTreeSet<String> = definitions.all.keys().cloned().collect();
    for definition in definitions.all.values_mut().filter(|definition| definition.has_more_parents) {
        let Some(record) = records.get(&definition.id) else { continue };
        let hints = std::mem::take(&mut definition.follows);
        let found = record.built_from().into_keys().filter(|id| known.contains(id) && !hints.contains(id));
        definition.parents.extend(found);
        definition.follows = hints;
    }
}

/// Nodes and sources, parents first.
fn order(definitions: &Definitions) -> Vec<&Definition> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for id in definitions.all.keys() {
        let mut open = vec![(id.as_str(), false)];
        while let Some((id, is_done)) = open.pop() {
            let Some(definition) = definitions.all.get(id).filter(|definition| !definition.is_test()) else {
                continue;
            };
            if is_done {
                found.push(definition);
            } else if seen.insert(id) {
                open.push((id, true));
                open.extend(
                    definition.parents.iter().chain(&definition.follows).map(|id| (id.as_str(), false)),
                );
            }
        }
    }
    found
}

/// Relations that we built and no node makes any more. Snapshots hold history that nothing can make again.
fn removed(definitions: &Definitions, records: &BTreeMap<String, Record>) -> Vec<Record> {
    let lower = |schema: &str, name: &str| (schema.to_lowercase(), name.to_lowercase());
    let relations = definitions.all.values().filter(|definition| definition.is_relation());
    let mut made: BTreeSet<(String, String)> = BTreeSet::new();
    let unknown = Record::default();
    for definition in relations {
        let record = records.get(&definition.id).unwrap_or(&unknown);
        // A name that nothing has computed yet may be any of them.
        let Some((schema, name)) = relation_of(definition, record) else { return Vec::new() };
        made.insert(lower(schema, name));
    }
    records
        .values()
        .filter(|record| matches!(record.kind.as_str(), "model" | "seed"))
        .filter(|record| record.materialized.as_deref() != Some("ephemeral"))
        .filter(|record| match (&record.relation_schema, &record.relation_name) {
            (Some(schema), Some(name)) => !made.contains(&lower(schema, name)),
            _ => false,
        })
        .cloned()
        .collect()
}

struct Decider<'a> {
    definitions: &'a Definitions,
    records: &'a BTreeMap<String, Record>,
    observed: &'a Observed,
    attempts: &'a Attempts,
    decision: Decision,
}

impl Decider<'_> {
    fn node(&mut self, definition: &Definition) {
        let id = definition.id.as_str();
        if definition.kind == "source" {
            if let Some(version) = self.observed.sources.get(id) {
                self.decision.versions.insert(id.to_owned(), version.clone());
            }
            return;
        }
        if definition.materialized == "ephemeral" {
            return;
        }
        let record = self.records.get(id);
        if self.attempts.leaves_out(id) {
            let left =
                record.filter(|record| record.is_finished()).and_then(|record| record.data_version.clone());
            self.decision.versions.extend(left.map(|version| (id.to_owned(), version)));
            self.decision.verdicts.insert(id.to_owned(), REUSED);
            return;
        }
        let mut reasons = self.own_reasons(definition, record);
        let (changed, unknown) = self.parents(definition, record);
        let is_done = self.attempts.done.contains(id);
        let has_news = !changed.is_empty() || !unknown.is_empty();
        if let Some(lag) = definition.lag.filter(|_| has_news && reasons.is_empty() && !is_done)
            && let Some(age) = self.age(definition, record).filter(|age| *age < lag)
        {
            let reasons =
                vec![format!("it lags behind its parents: built {age:#} ago, and {lag:#} is allowed")];
            let left = record.and_then(|record| record.data_version.clone());
            self.decision.versions.extend(left.map(|version| (id.to_owned(), version)));
            self.decision.verdicts.insert(id.to_owned(), Verdict { reasons, ..REUSED });
            return;
        }
        reasons.extend(changed);
        let action = match (reasons.is_empty() || is_done, unknown.is_empty() || is_done) {
            (false, _) => Action::Build,
            (true, false) => {
                reasons = unknown.iter().map(|parent| format!("if the data of {parent} changes")).collect();
                Action::Pending
            }
            (true, true) => Action::Reuse,
        };
        if is_done {
            reasons.clear();
        }
        let mut refresh = action == Action::Build && needs_refresh(definition, record);
        if !is_done && record.is_some_and(|record| self.was_changed(definition, record)) {
            refresh |= keeps_rows(definition, &mut reasons);
        }
        if let Some(version) = self.version(definition, record, action) {
            self.decision.versions.insert(id.to_owned(), version);
        }
        self.decision.verdicts.insert(id.to_owned(), Verdict { action, reasons, refresh });
    }

    /// How long ago a node was built that may be older than its parents: views always show what those hold.
    fn age(&self, definition: &Definition, record: Option<&Record>) -> Option<SignedDuration> {
        let record = record.filter(|record| record.is_finished() && definition.materialized != "view")?;
        let age = self.observed.now?.duration_since(record.recorded_at);
        // Fractions of a second say nothing.
        Some(SignedDuration::from_secs(age.as_secs().max(0)))
    }

    fn own_reasons(&self, definition: &Definition, record: Option<&Record>) -> Vec<String> {
        if self.attempts.force {
            return vec!["everything is built (--force)".to_owned()];
        }
        let Some(record) = record else { return vec!["it was never built here".to_owned()] };
        let mut reasons = Vec::new();
        reasons.extend(unfinished(record));
        reasons.extend(differences(definition, record));
        reasons.extend(self.untouched(definition, record));
        if definition.class == Class::Always {
            reasons.push(format!("it is built every time: {}", definition.reasons.join("; ")));
        }
        reasons
    }

    /// Why the relation is not the one that the last build left.
    fn untouched(&self, definition: &Definition, record: &Record) -> Option<String> {
        let (schema, name) = relation_of(definition, record)?;
        if !definition.is_relation() || !self.observed.is_known {
            return None;
        }
        let key = (schema.to_lowercase(), name.to_lowercase());
        if self.observed.created.contains(&key) {
            return Some(
                "a view of a copy is created again, since the copied one would read the base".to_owned(),
            );
        }
        match self.observed.relations.get(&key) {
            None => Some(format!("{schema}.{name} is missing")),
            Some(None) => Some(format!("{schema}.{name} could not be looked at")),
            Some(Some(witness)) => (record.witness.as_ref() != Some(witness) && record.is_finished())
                .then(|| format!("{schema}.{name} was changed by something else")),
        }
    }

    /// Whether something else has written to the relation since it was built.
    fn was_changed(&self, definition: &Definition, record: &Record) -> bool {
        let Some((schema, name)) = relation_of(definition, record) else { return false };
        let now = self.observed.relations.get(&(schema.to_lowercase(), name.to_lowercase()));
        let (Some(Some(now)), Some(then)) = (now, &record.witness) else { return false };
        record.is_finished() && now != then
    }

    /// Parents that hold other data, and parents of which that is not known yet.
    fn parents(&self, definition: &Definition, record: Option<&Record>) -> (Vec<String>, Vec<String>) {
        let built_from = record.map(Record::built_from).unwrap_or_default();
        let (mut changed, mut unknown) = (Vec::new(), Vec::new());
        let mut parents: BTreeSet<&String> = definition.parents.iter().collect();
        if definition.class != Class::Exact && !definition.is_test() {
            parents.extend(&definition.follows);
        }
        for parent in parents {
            let known = self.definitions.all.get(parent);
            let name = known.map_or(parent.as_str(), |parent| parent.name.as_str());
            let is_source = parent.starts_with("source.");
            match (self.decision.versions.get(parent), built_from.get(parent)) {
                (Some(now), Some(then)) if now == then => {}
                (Some(_), Some(then)) if self.is_unaffected(definition, parent, then) => {}
                // A new parent without a new definition is named in a comment only.
                (Some(_), None) if definition.follows.contains(parent) => {}
                (Some(_), _) => changed.push(other_data(name, known)),
                (None, _) if is_source => {
                    changed.push(format!("whether the data of source {name} changed is unknown"));
                }
                (None, _) => {
                    if self.attempts.leaves_out(parent) {
                        continue;
                    }
                    unknown.push(name.to_owned());
                }
            }
        }
        (changed, unknown)
    }

    fn is_unaffected(&self, definition: &Definition, parent: &str, then: &String) -> bool {
        self.observed.unaffected.get(&(definition.id.clone(), parent.to_owned())) == Some(then)
    }

    /// The version of what a node holds: of a view by what it is made from, of a seed by its file, of a table by
    /// what was read after it was built.
    fn version(&self, definition: &Definition, record: Option<&Record>, action: Action) -> Option<String> {
        if self.attempts.failed.contains(&definition.id) {
            return None;
        }
        match (definition.kind.as_str(), definition.materialized.as_str()) {
            ("model", "view") => {
                let mut text = match &self.observed.texts {
                    Some(texts) if definition.class == Class::Coarse => {
                        // All macros and variables count, but what they make of it is seen when it is built.
                        if action == Action::Build {
                            return None;
                        }
                        let (schema, name) = relation_of(definition, record?)?;
                        texts.get(&(schema.to_lowercase(), name.to_lowercase()))?.clone()
                    }
                    _ => definition.hash(),
                };
                text.push_str(definition.period.as_deref().unwrap_or_default());
                for parent in &definition.parents {
                    text.push_str(self.decision.versions.get(parent)?);
                }
                if definition.class != Class::Exact {
                    for parent in &definition.follows {
                        text.push_str(self.decision.versions.get(parent)?);
                    }
                }
                if !definition.volatile.is_empty() {
                    text.push_str(&uuid::Uuid::now_v7().to_string());
                }
                Some(short(text))
            }
            ("seed", _) => Some(short(definition.hash())),
            _ if action == Action::Reuse => record.and_then(|record| record.data_version.clone()),
            _ => None,
        }
    }

    fn test(&mut self, definition: &Definition) {
        if self.attempts.leaves_out(&definition.id) {
            self.decision.verdicts.insert(definition.id.clone(), REUSED);
            return;
        }
        let record = self.records.get(&definition.id);
        let is_done = self.attempts.done.contains(&definition.id);
        let mut reasons = Vec::new();
        if self.attempts.force {
            reasons.push("everything is tested (--force)".to_owned());
        }
        match record {
            None => reasons.push("it never ran here".to_owned()),
            Some(record) => {
                reasons.extend(unfinished(record));
                if record.status == "warn" {
                    reasons.push("it warned last time".to_owned());
                }
                reasons.extend(differences(definition, record));
            }
        }
        if definition.class == Class::Always {
            reasons.push(format!("it runs every time: {}", definition.reasons.join("; ")));
        }
        // A test guards what it is attached to, or all that it reads if it has a separate file.
        let mut waiting = Vec::new();
        if definition.kind == "test" {
            let guarded: Vec<&String> = match &definition.attached {
                Some(attached) => vec![attached],
                None => definition.parents.iter().collect(),
            };
            for id in guarded {
                if let Some(verdict) = self.decision.verdicts.get(id)
                    && verdict.action == Action::Build
                {
                    let name = self.definitions.all.get(id).map_or(id.as_str(), |node| node.name.as_str());
                    reasons.push(format!("{name} is built"));
                }
            }
            let (changed, unknown) = self.parents(definition, record);
            reasons.extend(changed);
            waiting = unknown;
        }
        reasons.dedup();
        let action = match (reasons.is_empty() || is_done, waiting.is_empty() || is_done) {
            (false, _) => Action::Build,
            (true, false) => {
                reasons = waiting.iter().map(|parent| format!("if the data of {parent} changes")).collect();
                Action::Pending
            }
            (true, true) => Action::Reuse,
        };
        if is_done {
            reasons.clear();
        }
        self.decision.verdicts.insert(definition.id.clone(), Verdict { action, reasons, refresh: false });
    }
}

const REUSED: Verdict = Verdict { action: Action::Reuse, reasons: Vec::new(), refresh: false };

impl Decision {
    pub(crate) fn action(&self, id: &str) -> Action {
        self.verdicts.get(id).map_or(Action::Reuse, |verdict| verdict.action)
    }

    /// Whether there is nothing to build, test or remove.
    pub(crate) fn is_idle(&self) -> bool {
        self.removed.is_empty() && self.verdicts.values().all(|verdict| verdict.action == Action::Reuse)
    }

    /// What one start of dbt can build: nodes that are certain and follow nothing that is pending, with their tests
    /// and with the tests that wait for nothing. The flag says whether it is built from nothing.
    pub(crate) fn wave(&self, definitions: &Definitions, attempts: &Attempts) -> (BTreeSet<String>, bool) {
        let mut blocked: BTreeSet<&str> = BTreeSet::new();
        let mut refreshing: BTreeSet<&str> = BTreeSet::new();
        let mut certain: Vec<&str> = Vec::new();
        let mut refreshed: Vec<&str> = Vec::new();
        for definition in order(definitions) {
            let id = definition.id.as_str();
            let parents = || definition.parents.iter().chain(&definition.follows);
            let action = self.action(id);
            if action == Action::Pending || parents().any(|parent| blocked.contains(parent.as_str())) {
                blocked.insert(id);
                continue;
            }
            if action != Action::Build || attempts.done.contains(id) {
                continue;
            }
            let refresh = self.verdicts.get(id).is_some_and(|verdict| verdict.refresh);
            if refresh {
                refreshing.insert(id);
                if !parents().any(|parent| certain.contains(&parent.as_str())) {
                    refreshed.push(id);
                }
            } else if parents().any(|parent| refreshing.contains(parent.as_str())) {
                refreshing.insert(id);
            } else {
                certain.push(id);
            }
        }
        // What is made from nothing goes first, for others may read it, unless it reads what is built as usual.
        let is_refresh = !refreshed.is_empty();
        let nodes: BTreeSet<&str> = if is_refresh { refreshed } else { certain }.into_iter().collect();
        let mut wave: BTreeSet<String> = nodes.iter().map(|id| (*id).to_owned()).collect();
        for definition in definitions.all.values().filter(|definition| definition.is_test()) {
            if self.action(&definition.id) != Action::Build || attempts.done.contains(&definition.id) {
                continue;
            }
            let waits = |id: &String| {
                !nodes.contains(id.as_str())
                    && !attempts.done.contains(id)
                    && matches!(self.action(id), Action::Build | Action::Pending)
            };
            let mut read = definition.parents.iter().chain(definition.attached.iter());
            if !read.any(waits) {
                wave.insert(definition.id.clone());
            }
        }
        (wave, is_refresh)
    }

    /// Nodes and tests that cannot be built any more, because something that they follow failed.
    pub(crate) fn stopped(&self, definitions: &Definitions, attempts: &Attempts) -> BTreeSet<String> {
        let mut stopped = BTreeSet::new();
        for definition in order(definitions) {
            let id = definition.id.as_str();
            let mut parents = definition.parents.iter().chain(&definition.follows);
            let follows = parents.any(|parent| attempts.failed.contains(parent) || stopped.contains(parent));
            if follows && !attempts.done.contains(id) && self.action(id) != Action::Reuse {
                stopped.insert(id.to_owned());
            }
        }
        for definition in definitions.all.values().filter(|definition| definition.kind == "test") {
            let follows = definition
                .parents
                .iter()
                .any(|parent| attempts.failed.contains(parent) || stopped.contains(parent));
            let id = &definition.id;
            if follows && !attempts.done.contains(id) && self.action(id) != Action::Reuse {
                stopped.insert(id.clone());
            }
        }
        stopped
    }
}
