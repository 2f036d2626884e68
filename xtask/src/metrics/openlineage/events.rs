//! OpenLineage events of a run, made from the ledger and dbt's artifacts. Pure.
//!
//! A run of `elt` is one run of the job `<environment>.elt`; each node that dbt executed is a run of a
//! separate job below it, and the tests of a node are one more. Every run starts with START and ends with
//! COMPLETE, FAIL or ABORT. Ids are derived from the run's id, so that events sent twice describe the same
//! run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::civil::DateTime;
use serde_json::{Map, Value, json};
use uuid::{Builder, Uuid};

use crate::dbt::artifacts::{self, Manifest};
use crate::dbt::lineage::{Catalog, Input, Kind};
use crate::ledger::columns::{Column, Columns};
use crate::ledger::{Node, Run, Status};
use crate::metrics::columns;
use crate::metrics::owners::Owners;
use crate::system::digest::Digest;
use crate::warehouse::Dialect;

/// The producer of the events: OpenLineage requires a URI.
const PRODUCER: &str = concat!("urn:xtask:", env!("CARGO_PKG_VERSION"));

const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// A run with all its data.
pub(super) struct Facts<'a> {
    pub(super) run: &'a Run,
    pub(super) nodes: &'a [Node],
    /// Lineage; `None` if dbt's artifacts of this run are not on this machine.
    pub(super) artifacts: Option<&'a Artifacts>,
    /// The columns of each relation in the environment.
    pub(super) columns: &'a Columns,
    /// The relations that SQL can read; `None` without artifacts.
    pub(super) catalog: Option<&'a Catalog>,
    pub(super) names: &'a Names,
}

/// dbt's artifacts of the run.
#[derive(Default)]
pub(super) struct Artifacts {
    pub(super) manifest: Manifest,
    /// The SQL that each node was compiled to.
    pub(super) compiled: BTreeMap<String, String>,
    pub(super) owners: Owners,
}

/// The names of jobs and datasets.
pub(super) struct Names {
    /// Of the jobs.
    pub(super) job_namespace: String,
    /// Of the datasets: the engine and where it is.
    pub(super) dataset_namespace: String,
    pub(super) database: String,
    pub(super) dialect: Dialect,
}

/// How a run ended, in OpenLineage's terms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Fail,
    Abort,
}

impl End {
    fn label(self) -> &'static str {
        match self {
            Self::Complete => "COMPLETE",
            Self::Fail => "FAIL",
            Self::Abort => "ABORT",
        }
    }
}

/// One run of one job, from its start to its end.
struct Span {
    run_id: Uuid,
    job: String,
    kind: &'static str,
    started_at: DateTime,
    ended_at: DateTime,
    end: End,
    message: Option<String>,
    is_child: bool,
    job_facets: Map<String, Value>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
}

/// All events of a run: its own first and last, those of its nodes in the order of time between them.
pub(super) fn events(facts: &Facts<'_>) -> Vec<Value> {
    let executed: Vec<&Node> = facts.nodes.iter().filter(|node| was_executed(node)).collect();
    let mut children: Vec<Span> = executed
        .iter()
        .filter(|node| !is_test(node))
        .map(|node| facts.node(node))
        .chain(facts.tests(&executed))
        .collect();
    children.sort_by(|a, b| (a.started_at, &a.job).cmp(&(b.started_at, &b.job)));
    let whole = facts.whole(&children);

    let mut between: Vec<(DateTime, Value)> =
        children.iter().flat_map(|span| [facts.start(span), facts.end(span)]).collect();
    between.sort_by_key(|(at, _)| *at);
    let mut events = vec![facts.start(&whole).1];
    events.extend(between.into_iter().map(|(_, event)| event));
    events.push(facts.end(&whole).1);
    events
}

/// A node that dbt skipped has neither started nor ended.
fn was_executed(node: &Node) -> bool {
    !matches!(node.status.as_str(), "skipped" | "no-op")
}

fn is_test(node: &Node) -> bool {
    matches!(node.kind.as_str(), "test" | "unit_test")
}

fn has_failed(node: &Node) -> bool {
    matches!(node.status.as_str(), "error" | "fail" | "runtime error" | "partial success")
}

impl Facts<'_> {
    fn whole(&self, children: &[Span]) -> Span {
        let run = self.run;
        let last = children.iter().map(|span| span.ended_at).max();
        let ended_at = run.finished_at.unwrap_or_else(|| after(run.started_at, run.seconds));
        Span {
            run_id: self.run_id(),
            job: self.whole_job(),
            kind: "RUN",
            started_at: run.started_at,
            ended_at: last.map_or(ended_at, |last| last.max(ended_at)),
            end: match run.status {
                Status::Success => End::Complete,
                Status::Fail | Status::Error => End::Fail,
                Status::Interrupted => End::Abort,
            },
            message: run.message.clone(),
            is_child: false,
            job_facets: Map::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// The run of a model, a seed or a snapshot.
    fn node(&self, node: &Node) -> Span {
        let started_at = node.started_at.unwrap_or(self.run.started_at);
        let mut job_facets = Map::new();
        if let Some(description) = self.description(&node.node_id) {
            let said = json!({ "description": description });
            job_facets.insert("documentation".to_owned(), facet("1-1-0/DocumentationJobFacet", said));
        }
        if let Some(sql) = self.artifacts.and_then(|artifacts| artifacts.compiled.get(&node.node_id)) {
            let said = json!({ "query": sql, "dialect": self.names.dialect.name() });
            job_facets.insert("sql".to_owned(), facet("1-1-0/SQLJobFacet", said));
        }
        if let Some(owner) = self.artifacts.and_then(|artifacts| artifacts.owners.of(&node.node_id)) {
            let said = json!({ "owners": [{ "name": owner }] });
            job_facets.insert("ownership".to_owned(), facet("1-0-1/OwnershipJobFacet", said));
        }
        let tags =
            self.manifest().and_then(|manifest| manifest.node(&node.node_id)).map(artifacts::Node::tags);
        if let Some(tags) = tags.filter(|tags| !tags.is_empty()) {
            let tag = |tag: &str| json!({ "key": tag, "value": "true", "source": "dbt" });
            let said = json!({ "tags": tags.into_iter().map(tag).collect::<Vec<_>>() });
            job_facets.insert("tags".to_owned(), facet("1-0-0/TagsJobFacet", said));
        }
        let mut sources = BTreeSet::new();
        self.read_by(&node.node_id, &mut sources);
        let output = self.dataset(&node.node_id, Some(&node.name)).map(|mut dataset| {
            if let Some(lineage) = self.column_lineage(&node.node_id).filter(|_| !has_failed(node)) {
                dataset["facets"]["columnLineage"] = lineage;
            }
            if let Some(rows) = node.rows {
                let said = json!({ "rowCount": rows });
                let said = facet("1-0-2/OutputStatisticsOutputDatasetFacet", said);
                dataset["outputFacets"] = json!({ "outputStatistics": said });
            }
            dataset
        });
        Span {
            run_id: self.child_id(&node.node_id, ""),
            job: self.job(&node.node_id),
            kind: match node.kind.as_str() {
                "seed" => "SEED",
                "snapshot" => "SNAPSHOT",
                _ => "MODEL",
            },
            started_at,
            ended_at: after(started_at, node.seconds),
            end: if has_failed(node) { End::Fail } else { End::Complete },
            message: node.message.clone().filter(|_| has_failed(node)),
            is_child: true,
            job_facets,
            inputs: sources.iter().filter_map(|id| self.dataset(id, None)).collect(),
            outputs: output.into_iter().collect(),
        }
    }

    /// The tests of each dataset that has any, as one run. Unit tests check code, not data.
    fn tests(&self, executed: &[&Node]) -> Vec<Span> {
        let Some(artifacts) = self.artifacts else { return Vec::new() };
        let mut by_dataset: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
        for test in executed.iter().filter(|node| node.kind == "test") {
            for guarded in artifacts.manifest.guarded(&test.node_id) {
                by_dataset.entry(guarded).or_default().push(test);
            }
        }
        by_dataset.into_iter().filter_map(|(id, tests)| self.tests_of(artifacts, id, &tests)).collect()
    }

    fn tests_of(&self, artifacts: &Artifacts, id: &str, tests: &[&Node]) -> Option<Span> {
        let mut dataset = self.dataset(id, None)?;
        let assertions: Vec<Value> =
            tests.iter().flat_map(|test| assertions(&artifacts.manifest, test)).collect();
        let said = facet("1-1-0/DataQualityAssertionsDatasetFacet", json!({ "assertions": assertions }));
        dataset["inputFacets"] = json!({ "dataQualityAssertions": said });
        let begins = |test: &Node| test.started_at.unwrap_or(self.run.started_at);
        let failed: Vec<&&Node> = tests.iter().filter(|test| has_failed(test)).collect();
        let messages = failed.iter().map(|test| match &test.message {
            Some(message) => format!("{}: {message}", test.name),
            None => test.name.clone(),
        });
        Some(Span {
            run_id: self.child_id(id, "tests"),
            job: format!("{}.tests", self.job(id)),
            kind: "TEST",
            started_at: tests.iter().map(|test| begins(test)).min()?,
            ended_at: tests.iter().map(|test| after(begins(test), test.seconds)).max()?,
            end: if failed.is_empty() { End::Complete } else { End::Fail },
            message: (!failed.is_empty()).then(|| messages.collect::<Vec<_>>().join("\n")),
            is_child: true,
            job_facets: Map::new(),
            inputs: vec![dataset],
            outputs: Vec::new(),
        })
    }

    /// The inputs of a node: an ephemeral model is part of its SQL, so the inputs of that model count.
    fn read_by(&self, id: &str, found: &mut BTreeSet<String>) {
        let Some(manifest) = self.manifest() else { return };
        for parent in manifest.parents(id) {
            if manifest.materialized(parent) == Some("ephemeral") {
                self.read_by(parent, found);
            } else {
                found.insert(parent.clone());
            }
        }
    }

    /// Describes the relation of a node or a source; `None` if there is no relation.
    fn dataset(&self, id: &str, named: Option<&str>) -> Option<Value> {
        let manifest = self.manifest();
        if let Some(source) = manifest.and_then(|manifest| manifest.sources.get(id)) {
            let database = source.database.as_deref().unwrap_or(&self.names.database);
            let name = self.dataset_name(database, &source.schema, &source.identifier);
            let documented =
                source.columns.iter().map(|(name, column)| field(name, None, &column.description));
            return Some(self.described(&name, documented.collect(), &source.description, None));
        }
        let node = manifest.and_then(|manifest| manifest.node(id));
        let materialized = manifest.and_then(|manifest| manifest.materialized(id));
        if materialized == Some("ephemeral") {
            return None;
        }
        let relation = node.map(artifacts::Node::relation).or(named)?;
        let documented = |column: &str| {
            let column = node.and_then(|node| {
                node.columns
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(column))
                    .map(|(_, known)| known)
            });
            column.map_or("", |column| column.description.as_str())
        };
        let standing = self.columns_of(id).or_else(|| self.columns.shown(relation));
        let fields = standing
            .unwrap_or_default()
            .iter()
            .map(|column| field(&column.name, Some(&column.data_type), documented(&column.name)))
            .collect();
        let kind = materialized.map(|kind| if kind == "view" { "VIEW" } else { "TABLE" });
        let name = self.dataset_name(&self.names.database, &self.run.schema_name, relation);
        Some(self.described(&name, fields, node.map_or("", |node| &node.description), kind))
    }

    /// Which columns of its inputs each column of a model is made from, as far as that is certain.
    fn column_lineage(&self, id: &str) -> Option<Value> {
        let artifacts = self.artifacts?;
        let sql = artifacts.compiled.get(id)?;
        let own: Vec<String> = self.columns_of(id)?.iter().map(|column| column.name.clone()).collect();
        let lineage = self.catalog?.follow(id, sql, self.names.dialect, &own);
        let mut fields = Map::new();
        for (column, inputs) in &lineage.columns {
            let inputs: Vec<Value> =
                inputs.iter().filter_map(|(input, kind)| self.input_field(input, *kind)).collect();
            if !inputs.is_empty() {
                fields.insert(column.clone(), json!({ "inputFields": inputs }));
            }
        }
        (!fields.is_empty()).then(|| facet("1-2-0/ColumnLineageDatasetFacet", json!({ "fields": fields })))
    }

    fn input_field(&self, input: &Input, kind: Kind) -> Option<Value> {
        let dataset = self.dataset(&input.id, None)?;
        let (direction, subtype) = match kind {
            Kind::Identity => ("DIRECT", "IDENTITY"),
            Kind::Transformation => ("DIRECT", "TRANSFORMATION"),
            Kind::Aggregation => ("DIRECT", "AGGREGATION"),
            Kind::Conditional => ("INDIRECT", "CONDITIONAL"),
            Kind::Window => ("INDIRECT", "WINDOW"),
        };
        Some(json!({
            "namespace": dataset["namespace"],
            "name": dataset["name"],
            "field": input.column,
            "transformations": [{ "type": direction, "subtype": subtype }],
        }))
    }

    /// The columns of the relation of a node in this environment.
    fn columns_of(&self, id: &str) -> Option<&[Column]> {
        columns::of(self.columns, self.manifest()?, id)
    }

    fn described(&self, name: &str, mut fields: Vec<Value>, description: &str, kind: Option<&str>) -> Value {
        let mut facets = Map::new();
        for (field, position) in fields.iter_mut().zip(1..) {
            field["ordinal_position"] = json!(position);
        }
        if !fields.is_empty() {
            let said = facet("1-2-0/SchemaDatasetFacet", json!({ "fields": fields }));
            facets.insert("schema".to_owned(), said);
        }
        if !description.trim().is_empty() {
            let said = json!({ "description": description.trim() });
            facets.insert("documentation".to_owned(), facet("1-1-0/DocumentationDatasetFacet", said));
        }
        if let Some(kind) = kind {
            let said = facet("1-0-1/DatasetTypeDatasetFacet", json!({ "datasetType": kind }));
            facets.insert("datasetType".to_owned(), said);
        }
        json!({ "namespace": self.names.dataset_namespace, "name": name, "facets": facets })
    }

    /// Snowflake keeps names that were written without quotes in capitals, and dbt writes them so.
    fn dataset_name(&self, database: &str, schema: &str, relation: &str) -> String {
        let name = format!("{database}.{schema}.{relation}");
        match self.names.dialect {
            Dialect::DuckDb => name,
            Dialect::Snowflake => name.to_uppercase(),
        }
    }

    fn manifest(&self) -> Option<&Manifest> {
        self.artifacts.map(|artifacts| &artifacts.manifest)
    }

    fn description(&self, id: &str) -> Option<&str> {
        let node = self.manifest()?.node(id)?;
        Some(node.description.trim()).filter(|text| !text.is_empty())
    }

    fn whole_job(&self) -> String {
        format!("{}.elt", self.run.schema_name)
    }

    fn job(&self, id: &str) -> String {
        format!("{}.{id}", self.run.schema_name)
    }

    /// OpenLineage accepts only UUIDs, and this toolkit uses them: an id that is not one comes from
    /// elsewhere.
    fn run_id(&self) -> Uuid {
        self.run.run_id.parse().unwrap_or_else(|_| uuid_of(&[&self.run.run_id]))
    }

    fn child_id(&self, node_id: &str, part: &str) -> Uuid {
        uuid_of(&[&self.run.run_id, node_id, part])
    }

    fn start(&self, span: &Span) -> (DateTime, Value) {
        let facets = self.run_facets(span, None);
        (span.started_at, self.event("START", span.started_at, span, &facets))
    }

    fn end(&self, span: &Span) -> (DateTime, Value) {
        let facets = self.run_facets(span, span.message.as_deref().filter(|_| span.end != End::Complete));
        (span.ended_at, self.event(span.end.label(), span.ended_at, span, &facets))
    }

    fn run_facets(&self, span: &Span, message: Option<&str>) -> Map<String, Value> {
        let mut facets = Map::new();
        if span.is_child {
            let said = json!({
                "run": { "runId": self.run_id().to_string() },
                "job": { "namespace": self.names.job_namespace, "name": self.whole_job() },
            });
            facets.insert("parent".to_owned(), facet("1-2-0/ParentRunFacet", said));
        }
        if let Some(version) = &self.run.dbt_version {
            let said = json!({
                "name": "dbt",
                "version": version,
                "openlineageAdapterVersion": env!("CARGO_PKG_VERSION"),
            });
            facets.insert("processing_engine".to_owned(), facet("1-1-1/ProcessingEngineRunFacet", said));
        }
        if let Some(message) = message {
            let said = json!({ "message": message, "programmingLanguage": "SQL" });
            facets.insert("errorMessage".to_owned(), facet("1-0-1/ErrorMessageRunFacet", said));
        }
        facets
    }

    fn event(&self, kind: &str, at: DateTime, span: &Span, run_facets: &Map<String, Value>) -> Value {
        let mut job_facets = span.job_facets.clone();
        let said = json!({ "processingType": "BATCH", "integration": "DBT", "jobType": span.kind });
        job_facets.insert("jobType".to_owned(), facet("2-0-4/JobTypeJobFacet", said));
        json!({
            "eventType": kind,
            "eventTime": at.strftime("%FT%T%.6fZ").to_string(),
            "run": { "runId": span.run_id.to_string(), "facets": run_facets },
            "job": { "namespace": self.names.job_namespace, "name": span.job, "facets": job_facets },
            "inputs": span.inputs,
            "outputs": span.outputs,
            "producer": PRODUCER,
            "schemaURL": SCHEMA,
        })
    }
}

/// A facet by the version and name of its schema.
fn facet(schema: &str, mut fields: Value) -> Value {
    let name = schema.rsplit('/').next().unwrap_or_default();
    fields["_producer"] = json!(PRODUCER);
    fields["_schemaURL"] = json!(format!("https://openlineage.io/spec/facets/{schema}.json#/$defs/{name}"));
    fields
}

fn field(name: &str, data_type: Option<&str>, description: &str) -> Value {
    let mut field = json!({ "name": name });
    if let Some(data_type) = data_type {
        field["type"] = json!(data_type);
    }
    if !description.trim().is_empty() {
        field["description"] = json!(description.trim());
    }
    field
}

/// The assertions of a test, the whole of it first. A test that warns has found something too: OpenLineage separates
/// the result from its severity. One that checks several things at once shows which of them hold only if all do.
fn assertions(manifest: &Manifest, test: &Node) -> Vec<Value> {
    let generic = manifest.generic_test(&test.node_id);
    let whole = generic.as_ref().map_or(test.name.as_str(), |generic| generic.name.as_str());
    let success = matches!(test.status.as_str(), "pass" | "success");
    let severity = manifest.severity(&test.node_id).map(str::to_lowercase);
    let said = |assertion: &str, name: &str, column: Option<&str>| {
        let mut said = json!({ "assertion": assertion, "name": name, "success": success });
        if let Some(column) = column {
            said["column"] = json!(column);
        }
        if let Some(severity) = &severity {
            said["severity"] = json!(severity);
        }
        said
    };
    let mut all =
        vec![said(whole, &test.name, generic.as_ref().and_then(|generic| generic.column.as_deref()))];
    if success {
        all.extend(manifest.checks(&test.node_id).iter().map(|check| {
            let of = check.column.as_ref().or(check.rule.as_ref());
            let name = of.map_or_else(|| test.name.clone(), |of| format!("{}: {of}", test.name));
            said(check.test, &name, check.column.as_deref())
        }));
    }
    all
}

fn after(start: DateTime, seconds: Option<f64>) -> DateTime {
    let length = SignedDuration::try_from_secs_f64(seconds.unwrap_or_default().max(0.0)).unwrap_or_default();
    start.checked_add(length).unwrap_or(start)
}

fn uuid_of(parts: &[&str]) -> Uuid {
    let digest = parts.iter().fold(Digest::default(), Digest::with);
    let bytes = u128::from_str_radix(&digest.short(), 16).unwrap_or_default().to_be_bytes();
    Builder::from_custom_bytes(bytes).into_uuid()
}
