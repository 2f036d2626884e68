//! From what dbt left to what the ledger keeps.
//!
//! A run is recorded when it has ended, in one transaction, so the ledger never holds half of one. A
//! run that is killed cannot do that: the next one finds its name on the lock and records it then.

mod nodes;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::Serialize;

use self::nodes::{explain, from_report, from_result, is_inlined, is_run, names_of, rows_of, says_nothing};
use super::Args;
use super::follow::Seen;
use super::removed;
use crate::core::clock;
use crate::core::context::{self, Asking};
use crate::core::environment::Name;
use crate::core::lock::Holder;
use crate::dbt::artifacts::{GenericTest, Manifest, RunResult, RunResults};
use crate::dbt::messages::Redactor;
use crate::dbt::runner::Ended;
use crate::ledger::columns::{self, Columns};
use crate::ledger::{self, Adopt, MeasuredRelation, Need, Node, Origin, Run, State, Status};
use crate::warehouse::duckdb::is_disk_full;
use crate::warehouse::{Relation, Statement, TableSize, Warehouse};

/// All that is known of a run that has ended.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) run: Run,
    pub(super) nodes: Vec<Node>,
    /// What dbt sent for a node: the SQL itself, and the file that holds it below the project.
    pub(super) compiled: BTreeMap<String, Compiled>,
    /// Nodes and tests of earlier runs that still hold.
    pub(super) reused: Vec<Reused>,
}

/// A node that was left as an earlier run built it, or a test whose last result still holds.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Reused {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: String,
    /// Always `reused`: it is not a success of this run.
    pub(super) status: &'static str,
    /// How it ended when it was last built or run, by which run, and when (UTC).
    pub(super) last_status: String,
    pub(super) run_id: String,
    pub(super) at: DateTime,
}

impl Reused {
    pub(super) fn is_test(&self) -> bool {
        matches!(self.kind.as_str(), "test" | "unit_test")
    }
}

#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub(super) sql: Option<String>,
    pub(super) path: Option<String>,
    pub(super) test: Option<GenericTest>,
    pub(super) depends_on: Vec<String>,
}

/// A run as it is known before it has begun: the ledger's row with nothing in it of how it went.
pub(super) fn new_run(args: &Args) -> Run {
    Run {
        run_id: uuid::Uuid::now_v7().to_string(),
        schema_name: args.schema.to_string(),
        started_at: clock::now(),
        finished_at: None,
        status: Status::Success,
        seconds: None,
        dbt_seconds: None,
        dbt_started: false,
        up_to_date: false,
        fingerprint: None,
        selection: args.select.clone(),
        full_refresh: args.full_refresh,
        git_commit: None,
        git_branch: None,
        git_dirty: None,
        triggered_by: context::triggered_by(),
        run_url: context::run_url(),
        dbt_version: None,
        toolkit_version: env!("CARGO_PKG_VERSION").to_owned(),
        message: None,
    }
}

/// Add what git has answered in the meantime.
pub(super) fn add_commit(run: &mut Run, asked: Asking) {
    let commit = asked.answer();
    run.git_commit = commit.id;
    run.git_branch = commit.branch;
    run.git_dirty = commit.dirty;
}

/// What the statements of a run are tagged with.
pub(super) fn query_tag(run: &Run) -> String {
    ledger::query_tag(Some(&run.schema_name), Some(&run.run_id), "elt")
}

/// Record a run that was killed before it could do so itself.
pub(super) fn close_killed_run(warehouse: &mut dyn Warehouse, killed: &Holder, blank: &Run) -> Result<()> {
    let (Ok(name), Some(run_id)) = (killed.schema.parse::<Name>(), &killed.run_id) else {
        return Ok(());
    };
    let state = State::read(warehouse, &name)?;
    if state.other.is_some()
        || !state.is_ours(&name)
        || (state.has_ledger() && ledger::has_run(warehouse, &name, run_id)?)
    {
        return Ok(());
    }
    // It may have been killed between the mark and the ledger, or the ledger be an older one.
    let missing =
        ledger::ensure(warehouse, &name, &state, &Origin::default(), Need::Ledger, Adopt::default())?;
    warehouse.apply(&missing).with_context(|| format!("failed to complete the ledger of {name}"))?;
    tracing::info!("an earlier run was killed: {}", killed.describe());
    let run = Run {
        run_id: run_id.clone(),
        schema_name: killed.schema.clone(),
        started_at: clock::utc(killed.since),
        status: Status::Interrupted,
        dbt_started: true,
        message: Some(format!("process {} was killed", killed.pid)),
        selection: None,
        full_refresh: false,
        triggered_by: None,
        run_url: None,
        ..blank.clone()
    };
    keep(warehouse, &run, Vec::new())
}

/// Record a run that found nothing to do.
pub(super) fn up_to_date(
    warehouse: &mut dyn Warehouse,
    mut run: Run,
    same_as: &Run,
    nodes: Vec<Node>,
    begun: Instant,
) -> Result<Built> {
    run.up_to_date = true;
    run.fingerprint.clone_from(&same_as.fingerprint);
    finish(&mut run, begun);
    if !warehouse.record_later(&run.schema_name.parse()?, &ledger::row(&run)?)? {
        keep(warehouse, &run, Vec::new())?;
    }
    Ok(Built { run, nodes, compiled: BTreeMap::new(), reused: Vec::new() })
}

/// Record a run that could not come so far as to start dbt.
pub(super) fn could_not_start(
    warehouse: &mut dyn Warehouse,
    mut run: Run,
    states: Vec<Statement>,
    begun: Instant,
    error: &anyhow::Error,
) -> Result<()> {
    run.status = Status::Error;
    run.message = Some(format!("{error:#}"));
    finish(&mut run, begun);
    keep(warehouse, &run, states)
}

/// What is known of a run of dbt when it has ended, besides its artifacts.
pub(super) struct Heard<'a> {
    pub(super) ended: &'a Ended,
    pub(super) seen: &'a Seen,
    /// What dbt wrote, if it was read already.
    pub(super) manifest: Option<Manifest>,
    /// Tables that were measured since.
    pub(super) sizes: &'a BTreeMap<(String, String), TableSize>,
}

/// All about a run in which dbt has ended, however it did, and the change that records it with the states of nodes.
pub(super) fn ended(
    warehouse: &mut dyn Warehouse,
    mut run: Run,
    target: &Path,
    redactor: &Redactor,
    Heard { ended, seen, manifest, sizes }: Heard<'_>,
    of_nodes: Vec<Statement>,
    begun: Instant,
) -> Result<(Built, Vec<Statement>)> {
    let name: Name = run.schema_name.parse()?;
    let manifest = match manifest {
        Some(manifest) => manifest,
        None => Manifest::read(target)?.unwrap_or_default(),
    };
    let results = RunResults::read(target)?;
    let standing = warehouse.measure_rest(&name, sizes)?;

    let mut nodes: Vec<Node> = if let Some(results) = &results {
        let results = results.results.iter().filter(|result| is_run(&result.unique_id));
        results.map(|result| from_result(&run.run_id, result, &manifest, redactor)).collect()
    } else {
        let reported = seen.reported.iter().filter(|node| is_run(&node.id));
        reported.map(|node| from_report(&run.run_id, node, &manifest)).collect()
    };
    nodes.retain(|node| !is_inlined(node));
    explain(&mut nodes, &seen.problems);
    let rows: HashMap<String, Option<i64>> =
        standing.iter().rev().map(|relation| (relation.name.to_ascii_lowercase(), relation.rows)).collect();
    for node in &mut nodes {
        node.rows = rows_of(node, &manifest, &rows);
    }
    verify(warehouse, &name, &mut nodes, &manifest)?;
    let (mut status, mut message) = verdict(ended, seen, &nodes);
    if let (Status::Success, Some(unseen)) = (status, unseen(ended, &nodes)) {
        (status, message) = (Status::Error, Some(unseen));
    }
    run.status = status;
    run.message = message.or_else(|| unexplained(&nodes, &seen.problems));
    run.dbt_started = true;
    run.dbt_seconds = Some(round(ended.seconds));
    finish(&mut run, begun);

    let columns = columns_of(warehouse, &name, &standing);
    let relations = relations(&run, &nodes, &manifest, &standing, &columns);
    let removed = removed::marks(warehouse, &name, &run, &manifest)?;
    let mut change = of_nodes;
    let all = [nodes.as_slice(), removed.as_slice()].concat();
    change.extend(ledger::record(&warehouse.database(), &run, &all, &relations)?);
    let compiled = results.map(|results| compiled(results, &manifest)).unwrap_or_default();
    Ok((Built { run, nodes, compiled, reused: Vec::new() }, change))
}

/// Why a run that dbt reports as a success is not known to be one.
fn unseen(ended: &Ended, nodes: &[Node]) -> Option<String> {
    let Some(intended) = &ended.intended else {
        return (!nodes.is_empty()).then(|| "dbt ran without announcing what it writes".to_owned());
    };
    let reported: HashSet<&str> = nodes.iter().map(|node| node.node_id.as_str()).collect();
    let lost = intended.iter().find(|each| !reported.contains(each.id.as_str()))?;
    Some(format!("dbt reported no result for {}", lost.id))
}

/// Materializations that leave a table or view of the node's name.
const LEAVE_A_RELATION: [&str; 8] =
    ["table", "view", "incremental", "snapshot", "seed", "external", "materialized_view", "dynamic_table"];

/// A node counts as built only if its relation is in the database: what dbt reports alone proves nothing.
fn verify(
    warehouse: &mut dyn Warehouse,
    environment: &Name,
    nodes: &mut [Node],
    manifest: &Manifest,
) -> Result<()> {
    let expected: Vec<(usize, &str, &str)> = nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.status == "success")
        .filter(|(_, node)| matches!(node.kind.as_str(), "model" | "seed" | "snapshot"))
        .filter(|(_, node)| node.materialized.as_deref().is_some_and(|how| LEAVE_A_RELATION.contains(&how)))
        .filter_map(|(at, node)| {
            let defined = manifest.node(&node.node_id)?;
            Some((at, defined.schema.as_str(), defined.relation()))
        })
        .collect();
    let mut schemas: Vec<&str> = expected.iter().map(|(_, schema, _)| *schema).collect();
    schemas.sort_unstable();
    schemas.dedup();
    if schemas.is_empty() {
        return Ok(());
    }
    let found = warehouse.built(environment, &schemas).context("failed to look for what dbt built")?;
    let place = warehouse.describe();
    let there: HashSet<(String, String)> = found
        .iter()
        .flat_map(|(schema, contents)| {
            contents.relations.iter().map(|name| (schema.to_ascii_lowercase(), name.to_ascii_lowercase()))
        })
        .collect();
    for (at, schema, relation) in expected {
        if !there.contains(&(schema.to_ascii_lowercase(), relation.to_ascii_lowercase())) {
            "error".clone_into(&mut nodes[at].status);
            nodes[at].rows = None;
            nodes[at].message =
                Some(format!("dbt reported success, but {schema}.{relation} does not exist in {place}"));
        }
    }
    Ok(())
}

/// Record a run that built nothing.
fn keep(warehouse: &mut dyn Warehouse, run: &Run, mut change: Vec<Statement>) -> Result<()> {
    change.extend(ledger::record(&warehouse.database(), run, &[], &[])?);
    write(warehouse, run, &change)
}

/// Write a run with all that belongs to it, whole or not at all.
pub(super) fn write(warehouse: &mut dyn Warehouse, run: &Run, change: &[Statement]) -> Result<()> {
    warehouse.apply(change).with_context(|| format!("failed to record run {} in the ledger", run.run_id))
}

fn finish(run: &mut Run, begun: Instant) {
    run.finished_at = Some(clock::now());
    run.seconds = Some(round(begun.elapsed().as_secs_f64()));
}

/// To the millisecond: more digits would only look like knowledge.
fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// What dbt says of a selection that selects nothing.
const NO_MATCH: &str = "does not match any enabled nodes";

/// How the run went, and the one line that says why it did not go well.
fn verdict(ended: &Ended, seen: &Seen, nodes: &[Node]) -> (Status, Option<String>) {
    let problem = || seen.problems.first().cloned().or_else(|| ended.stray.lines().last().map(str::to_owned));
    if ended.interrupted {
        return (Status::Interrupted, Some("stopped by the user".to_owned()));
    }
    let messages = nodes.iter().filter_map(|node| node.message.as_deref());
    if messages.chain(seen.problems.iter().map(String::as_str)).any(is_disk_full) {
        return (Status::Error, Some("the disk is full; free some space and run this again".to_owned()));
    }
    if nodes.iter().any(|node| matches!(node.status.as_str(), "error" | "fail")) {
        return (Status::Fail, None);
    }
    match ended.status.code() {
        Some(0) => (Status::Success, None),
        // Asking for what is not there is a mistake in the call, not in the project.
        Some(_) if problem().is_some_and(|text| text.contains(NO_MATCH)) => (Status::Error, problem()),
        // dbt says itself what is wrong with the project: that is a gate, and it failed.
        Some(_) if !seen.problems.is_empty() => (Status::Fail, problem()),
        Some(code) => {
            let why = problem().unwrap_or_else(|| "it gave no reason".to_owned());
            (Status::Error, Some(format!("dbt ended with exit code {code}: {why}")))
        }
        None => (Status::Error, Some(format!("dbt was killed ({}); run this again", ended.status))),
    }
}

/// What is wrong with all of them, if no node says it: the warehouse cannot be reached, say.
fn unexplained(nodes: &[Node], problems: &[String]) -> Option<String> {
    nodes.iter().any(says_nothing).then(|| problems.first().cloned()).flatten()
}

/// The columns of what is there. A run that cannot read them is recorded without.
fn columns_of(warehouse: &mut dyn Warehouse, name: &Name, standing: &[Relation]) -> Columns {
    let further = standing.iter().filter_map(|relation| Some(relation.name.split_once('.')?.0));
    columns::read(warehouse, name, further).unwrap_or_else(|error| {
        tracing::warn!("the columns of the relations are not recorded: {error:#}");
        Columns::default()
    })
}

fn relations(
    run: &Run,
    nodes: &[Node],
    manifest: &Manifest,
    standing: &[Relation],
    columns: &Columns,
) -> Vec<MeasuredRelation> {
    let measured_at = run.finished_at.unwrap_or(run.started_at);
    let mut layers: HashMap<String, Option<&str>> = HashMap::new();
    for node in nodes {
        for name in names_of(node, manifest) {
            layers.entry(name.to_ascii_lowercase()).or_insert(node.layer.as_deref());
        }
    }
    let of_project = standing.iter().filter(|relation| !ledger::is_ledger(&relation.name));
    of_project
        .map(|relation| MeasuredRelation {
            run_id: run.run_id.clone(),
            relation_name: relation.name.clone(),
            relation_type: if relation.is_view { "view" } else { "table" }.to_owned(),
            layer: layers.get(&relation.name.to_ascii_lowercase()).copied().flatten().map(str::to_owned),
            row_count: relation.rows,
            bytes: relation.bytes,
            measured_at,
            column_types: columns.recorded(&relation.name),
        })
        .collect()
}

fn compiled(results: RunResults, manifest: &Manifest) -> BTreeMap<String, Compiled> {
    let of = |result: RunResult| {
        let id = result.unique_id.as_str();
        let compiled = Compiled {
            // dbt v2 has it in the manifest alone.
            sql: result.compiled_code.or_else(|| manifest.node(id)?.compiled_code.clone()),
            path: manifest.node(id).and_then(|node| node.compiled_path.clone()),
            test: manifest.generic_test(id),
            depends_on: manifest.depends_on(id).to_vec(),
        };
        (result.unique_id, compiled)
    };
    results.results.into_iter().map(of).collect()
}
