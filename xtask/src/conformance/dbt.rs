//! What the table assumes of dbt: a small project with a seed, a model with a contract and a unit test, and one
//! whose contract does not hold, built into a scratch schema.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::json;

use super::table::{Observed, Scratch};
use crate::core::environment::Name;
use crate::core::policy::Environments;
use crate::dbt::profile::Profile;
use crate::dbt::project::Project;
use crate::dbt::runner::Invocation;
use crate::ledger;
use crate::system::repo::Repo;
use crate::target::Opened;
#[cfg(unix)]
use crate::warehouse::snowflake::Broker;

/// The project, by path. The macro of the seeds is dbt's own.
const FILES: [(&str, &str); 5] = [
    (
        "dbt_project.yml",
        "name: xtask_conformance
version: '1.0'
profile: xtask_conformance
seeds:
  xtask_conformance:
    numbers:
      +column_types: {id: integer, amount: 'number(10, 2)', label: varchar}
",
    ),
    ("seeds/numbers.csv", "id,amount,label\n1,0.10,\"it's \"\"quoted\"\", with a comma\"\n2,,plain\n"),
    (
        "models/doubled.sql",
        "{{ config(materialized='table', contract={'enforced': true}) }}
select id, cast(amount * 2 as number(38, 2)) as twice from {{ ref('numbers') }}
",
    ),
    (
        "models/broken.sql",
        "{{ config(materialized='table', contract={'enforced': true}) }}
select 'text' as id from {{ ref('doubled') }}
",
    ),
    (
        "models/models.yml",
        "version: 2
models:
  - name: doubled
    columns:
      - {name: id, data_type: number, constraints: [{type: not_null}]}
      - {name: twice, data_type: 'number(38, 2)'}
  - name: broken
    columns:
      - {name: id, data_type: number}
unit_tests:
  - name: twice_is_the_double
    model: doubled
    given:
      - input: ref('numbers')
        rows: [{id: 1, amount: 1.5}, {id: 2, amount: null}]
    expect:
      rows: [{id: 1, twice: 3}, {id: 2, twice: null}]
",
    ),
];

/// How each node of the project ended, by the end of its identifier.
pub(super) struct Built(BTreeMap<String, (String, String)>);

#[derive(Deserialize)]
struct Results {
    results: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    unique_id: String,
    status: String,
    message: Option<String>,
}

impl Built {
    /// The answer of the assumption about `node`: its status, such as `success`, `pass` or `error`.
    pub(super) fn of(&self, node: &str) -> Observed {
        match self.0.get(node) {
            Some((status, message)) if status == "error" => {
                Observed::Rows(vec![row(&json!({"status": status, "message": first_line(message)}))])
            }
            Some((status, _)) => Observed::Rows(vec![row(&json!({ "status": status }))]),
            None => Observed::error(format!("dbt did not report {node}")),
        }
    }
}

fn row(value: &serde_json::Value) -> crate::warehouse::Row {
    value.as_object().cloned().unwrap_or_default()
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}

/// Build the project into the scratch schema that {dbt} names.
pub(super) fn build(repo: &Repo, opened: &Opened, scratch: &Scratch) -> Result<Built> {
    let folder = tempfile::tempdir().context("failed to create a folder for the dbt project")?;
    for (path, text) in FILES {
        let path = folder.path().join(path);
        let parent = path.parent().unwrap_or(folder.path());
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text))
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    let project = Project::read(folder.path())?;
    let settings = Environments::load(repo)?.snowflake.profile;
    let profile = Profile::decide(folder.path(), &project, opened.place.adapter(), &settings, 2)?;
    profile.write()?;
    let schema: Name = scratch.dbt_schema().parse()?;
    let tag = ledger::query_tag(None, None, "conformance");
    let mut environment = opened.place.dbt_variables(&schema, &tag);
    #[cfg(unix)]
    let broker = opened.place.broker()?;
    #[cfg(unix)]
    environment.extend(broker.as_ref().map(Broker::variable));
    let args = std::iter::once("build".to_owned()).chain(profile.build_options()).collect();
    let invocation = Invocation {
        project: folder.path().to_path_buf(),
        args,
        environment,
        secrets: opened.place.dbt_secrets()?,
    };
    let ended = invocation.run(opened.dbt()?, |_| Ok(()), |_| {})?;
    read(&folder.path().join("target/run_results.json"))
        .with_context(|| format!("dbt reported no results ({}): {}", ended.status, ended.stray.trim()))
}

fn read(path: &Path) -> Result<Built> {
    let text = std::fs::read_to_string(path).context("failed to read run_results.json")?;
    let results: Results = serde_json::from_str(&text).context("failed to understand run_results.json")?;
    if results.results.is_empty() {
        bail!("run_results.json lists no node");
    }
    let ended = results.results.into_iter().map(|one| {
        let kind = one.unique_id.split('.').next().unwrap_or_default();
        let name = one.unique_id.rsplit('.').next().unwrap_or_default();
        (format!("{kind}.{name}"), (one.status, one.message.unwrap_or_default()))
    });
    Ok(Built(ended.collect()))
}
