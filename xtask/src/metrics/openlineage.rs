//! `cargo xtask metrics --openlineage FILE|URL`: the latest dbt run of each environment as OpenLineage events.
//!
//! The result of the run comes from the ledger; lineage and SQL come from dbt's artifacts, which are on the
//! machine that built. If they belong to another run they are not used, and a warning says so.

mod events;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, Url};
use serde_json::Value;

use self::events::{Artifacts, Facts, Names};
use super::columns;
use super::html::is_of_run;
use super::model::Report;
use super::owners::Owners;
use crate::core::context::variable;
use crate::core::environment::Name;
use crate::dbt::artifacts::{Manifest, RunResults};
use crate::ledger::{self, Node};
use crate::system::actions;
use crate::system::http::{self, Http, Patience};
use crate::system::repo::Repo;
use crate::target::Place;
use crate::warehouse::Warehouse;

/// The key that authenticates the sender; some services require none.
const API_KEY: &str = "OPENLINEAGE_API_KEY";

/// The namespace of the jobs, under the name that every OpenLineage client reads.
const NAMESPACE: &str = "OPENLINEAGE_NAMESPACE";

/// Where every OpenLineage service takes events, unless the address says otherwise.
const ENDPOINT: &str = "/api/v1/lineage";

/// The limit for all events of a run: a large project has thousands.
const PATIENCE_SECONDS: u64 = 300;

/// Where events go.
#[derive(Debug)]
pub(super) enum Sink {
    /// One event per line.
    File(PathBuf),
    /// One request per event.
    Service(Url),
}

impl Sink {
    /// Parses the value of `--openlineage`. The address may hold a secret, so no error repeats it.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            bail!("--openlineage is empty: it takes a file, or the https address of an OpenLineage service");
        }
        if !text.contains("://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let mut url = http::address(text).context(
            "failed to use the address of --openlineage: it takes https://… (http only to this machine), or a file",
        )?;
        if url.path() == "/" {
            url.set_path(ENDPOINT);
        }
        Ok(Self::Service(url))
    }
}

/// Sends the latest dbt run of each environment in `report` to `sink`.
pub(super) fn send(
    repo: &Repo,
    place: &Place,
    warehouse: &mut dyn Warehouse,
    report: &Report,
    sink: &Sink,
) -> Result<()> {
    let mut events = Vec::new();
    for environment in &report.environments {
        events.extend(of_environment(repo, place, warehouse, &environment.parse()?)?);
    }
    if events.is_empty() {
        bail!("there is no dbt run to send to OpenLineage; `cargo xtask elt --schema NAME` makes one");
    }
    match sink {
        Sink::File(path) => {
            let lines: Vec<String> = events.iter().map(Value::to_string).collect();
            super::replace(path, &lines.join("\n"))
                .with_context(|| format!("failed to write {}", path.display()))?;
        }
        Sink::Service(url) => post(url, &events)?,
    }
    tracing::info!("{} OpenLineage events sent", events.len());
    Ok(())
}

fn of_environment(
    repo: &Repo,
    place: &Place,
    warehouse: &mut dyn Warehouse,
    name: &Name,
) -> Result<Vec<Value>> {
    // An environment that was never built may have no ledger of runs yet.
    let existing = warehouse.relation_names(name.as_str())?.unwrap_or_default();
    if !ledger::holds_ledger(&existing) {
        return Ok(Vec::new());
    }
    let Some(run) = ledger::last_build(warehouse, name)? else { return Ok(Vec::new()) };
    let nodes = ledger::nodes_of(warehouse, name, &run.run_id)?;
    let artifacts = artifacts(repo, name, &nodes)?;
    let columns = columns::read(warehouse, name, artifacts.as_ref().map(|artifacts| &artifacts.manifest))?;
    let catalog = artifacts.as_ref().map(|of| columns::catalog(&columns, &of.manifest));
    if artifacts.is_none() {
        tracing::warn!(
            "dbt's artifacts of the latest run of {name} are not on this machine, so the events have no \
             lineage, tests or SQL; run this where `cargo xtask elt --schema {name}` ran"
        );
    }
    let names = Names {
        job_namespace: variable(NAMESPACE).unwrap_or_else(|| "dbt".to_owned()),
        dataset_namespace: dataset_namespace(place),
        database: warehouse.database(),
        dialect: warehouse.dialect(),
    };
    let facts = Facts {
        run: &run,
        nodes: &nodes,
        artifacts: artifacts.as_ref(),
        columns: &columns,
        catalog: catalog.as_ref(),
        names: &names,
    };
    Ok(events::events(&facts))
}

/// dbt's artifacts, if they are on this machine and belong to the run of `nodes`.
fn artifacts(repo: &Repo, name: &Name, nodes: &[Node]) -> Result<Option<Artifacts>> {
    let Ok(project) = repo.dbt_project() else { return Ok(None) };
    let target = project.join("target").join(name.as_str());
    let (Some(manifest), Some(results)) = (Manifest::read(&target)?, RunResults::read(&target)?) else {
        return Ok(None);
    };
    let began = nodes.iter().filter_map(|node| Some((node.node_id.as_str(), node.started_at?)));
    if !is_of_run(&results, began) {
        return Ok(None);
    }
    let compiled = results.results.into_iter().filter_map(|result| {
        // dbt v2 has it in the manifest alone.
        let in_manifest = || manifest.node(&result.unique_id)?.compiled_code.clone();
        let sql = result.compiled_code.or_else(in_manifest)?;
        Some((result.unique_id, sql))
    });
    let compiled = compiled.collect();
    Ok(Some(Artifacts { manifest, compiled, owners: Owners::read(&target)? }))
}

/// The engine and where it is, as OpenLineage names data sources.
fn dataset_namespace(place: &Place) -> String {
    match place {
        Place::Local { layout, .. } => {
            let path = std::path::absolute(layout.path()).unwrap_or_else(|_| layout.path().to_path_buf());
            format!("duckdb://{}", forward(&path))
        }
        Place::Snowflake { login, .. } => format!("snowflake://{}", account(&login.account)),
    }
}

fn forward(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// An account identifier of organisation and name is used as it is; a locator needs region and cloud, and
/// those that Snowflake lets its users omit are added, so that every tool uses the same name.
fn account(identifier: &str) -> String {
    let mut parts = identifier.split('.');
    let first = parts.next().unwrap_or_default();
    match (parts.next(), parts.next()) {
        _ if first.contains('-') => first.to_owned(),
        (None, _) => format!("{first}.us-west-1.aws"),
        (Some(region), None) => format!("{first}.{region}.aws"),
        (Some(_), Some(_)) => identifier.to_owned(),
    }
}

fn post(url: &Url, events: &[Value]) -> Result<()> {
    let key = variable(API_KEY);
    key.as_deref().into_iter().for_each(actions::mask);
    let total = std::time::Duration::from_secs(PATIENCE_SECONDS);
    let http = Http::new(Patience { total, ..Patience::default() })?;
    for (event, number) in events.iter().zip(1..) {
        let request = http.request(Method::POST, url.clone()).json(event);
        let request = match &key {
            Some(key) => request.bearer_auth(key.trim()),
            None => request,
        };
        let which = || format!("failed to send event {number} of {} to OpenLineage", events.len());
        let answer = http.send(request).with_context(which)?;
        if !answer.is_success() {
            let hint = match answer.status {
                401 | 403 => format!("; {API_KEY} holds the key that it requires"),
                404 | 405 => format!("; services take events at {ENDPOINT}"),
                _ => String::new(),
            };
            bail!("{}: the service answered {}{hint}", which(), answer.status);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_a_scheme_is_an_address_and_never_repeated() {
        let address = |text: &str| match Sink::parse(text) {
            Ok(Sink::Service(url)) => url.to_string(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(address("https://lineage.example.com"), "https://lineage.example.com/api/v1/lineage");
        assert_eq!(address("http://localhost:5000/events?a=b"), "http://localhost:5000/events?a=b");
        assert!(matches!(Sink::parse("out/events.ndjson"), Ok(Sink::File(_))));
        for text in
            ["", " ", "http://lineage.example.com/hidden", "ftp://hidden.example.com", "s3://hidden/x"]
        {
            let error = format!("{:#}", Sink::parse(text).expect_err(text));
            assert!(error.contains("--openlineage") && !error.contains("hidden"), "{error}");
        }
    }

    #[test]
    fn accounts_are_named_as_other_tools_name_them() {
        for (identifier, named) in [
            ("MYORG-MYACCOUNT", "MYORG-MYACCOUNT"),
            ("xy12345", "xy12345.us-west-1.aws"),
            ("xy12345.us-east-1", "xy12345.us-east-1.aws"),
            ("xy12345.east-us-2.azure", "xy12345.east-us-2.azure"),
        ] {
            assert_eq!(account(identifier), named);
        }
    }
}
