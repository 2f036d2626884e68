//! Checks the texts that were read, each by the groups that it belongs to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;

use anyhow::Result;

use super::findings::{by_path, evaluated};
use super::{Pass, Read};
use crate::core::finding::{Finding, Group};
use crate::dbt::graph::Graph;
use crate::lint::cache::Evaluated;
use crate::lint::inputs::Inputs;
use crate::lint::rule::{Checked, Source};
use crate::lint::{common, dbt, dbt_v2, project, sql, workflow, yaml};
use crate::system::digest::Digest;

/// Checks sources by group, with the facts about the repository as a whole that the groups need. Costly
/// parts are built on first use, so that a run without changes builds none of them.
pub(super) struct Evaluator<'a> {
    pass: &'a Pass<'a>,
    texts: &'a Texts,
    all: Vec<&'a Source>,
    paths: Vec<&'a str>,
    yaml: Result<yaml::Config, String>,
    workflow: workflow::Context<'a>,
    folders: Vec<(String, sql::Role)>,
    sql: OnceLock<Result<sql::Project, String>>,
    /// What the results of each group depend on besides the file.
    keys: BTreeMap<Group, Digest>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(pass: &'a Pass<'a>, texts: &'a Texts, inputs: &'a Inputs) -> Self {
        let all: Vec<&Source> = texts.sources.iter().collect();
        let paths: Vec<&str> = inputs.files.iter().map(|file| file.path.as_str()).collect();
        let folders = project::folders(&all);
        let yaml = project::yaml_config(&all, pass.repo.root()).map_err(|error| format!("{error:#}"));
        let workflow = workflow::Context::new(paths.iter().copied()).reading(all.iter().copied());
        let (sql, keys) = (OnceLock::new(), BTreeMap::new());
        let mut evaluator = Self { pass, texts, all, paths, yaml, workflow, folders, sql, keys };
        evaluator.keys = evaluator.keys();
        evaluator
    }

    pub(super) fn keys(&self) -> BTreeMap<Group, Digest> {
        let common = |group: Group| {
            Digest::default()
                .with(group.name())
                .with(&self.pass.settings.text)
                .with(format!("{:?}", self.folders))
        };
        let macros = project::macro_folders(&self.folders);
        let mut keys = BTreeMap::from(
            [Group::Sql, Group::Yaml, Group::Dbt, Group::Workflow].map(|group| (group, common(group))),
        );
        for (source, digest) in self.all.iter().zip(&self.texts.digests) {
            let mut add = |group: Group| {
                if let Some(key) = keys.get_mut(&group) {
                    key.add(&source.path);
                    key.add(digest);
                }
            };
            if project::decides_sql(&source.path, &macros) {
                add(Group::Sql);
            }
            // A call is checked against the workflow or action that it calls.
            if workflow::decides(&source.path) || workflow::concerns(&source.path) {
                add(Group::Workflow);
            }
            add(Group::Dbt);
        }
        if let (Some(key), Ok(config)) = (keys.get_mut(&Group::Yaml), &self.yaml) {
            // With all files that the settings name: those they extend, and lists of ignored files.
            config.inputs().iter().for_each(|input| key.add(input));
        }
        for group in [Group::Dbt, Group::Workflow] {
            if let Some(key) = keys.get_mut(&group) {
                self.paths.iter().for_each(|path| key.add(path));
            }
        }
        keys
    }

    /// Records settings for SQL that have no effect. Every run reports them, also if all results are cached.
    pub(super) fn note_settings(&self) {
        let wanted = self.texts.wanted.iter().map(|at| self.all[*at].path.as_str());
        let wanted: Vec<&str> = wanted.filter(|path| common::is_sql(path)).collect();
        if wanted.is_empty() || !self.pass.groups.contains(&Group::Sql) {
            return;
        }
        let notes = project::sql_inputs(&self.all, &self.folders).notes(wanted);
        if let Ok(mut known) = self.pass.notes.lock() {
            known.extend(notes);
        }
    }

    /// The groups whose findings in unchanged files may differ, because something that these files are rendered, checked
    /// or run with changed.
    pub(super) fn affected(&self, inputs: &Inputs) -> Vec<Group> {
        let Some(changed) = &inputs.changed else { return Vec::new() };
        let macros = project::macro_folders(&self.folders);
        let any = |decides: &dyn Fn(&str) -> bool| changed.iter().any(|change| decides(&change.path));
        let here: HashSet<&str> = self.paths.iter().copied().collect();
        let comes_or_goes =
            changed.iter().any(|change| change.before.is_none() || !here.contains(change.path.as_str()));
        let mut groups = Vec::new();
        if any(&|path| project::decides_sql(path, &macros)) {
            groups.push(Group::Sql);
        }
        if any(&|path| self.yaml.as_ref().is_ok_and(|config| config.reads(path))) {
            groups.push(Group::Yaml);
        }
        if comes_or_goes || any(&workflow::decides) {
            groups.push(Group::Workflow);
        }
        groups
    }

    /// All files that are not wanted themselves, each with the groups.
    pub(super) fn unchanged(&self, groups: &[Group]) -> Vec<(usize, Group)> {
        let wanted: HashSet<usize> = self.texts.wanted.iter().copied().collect();
        (0..self.all.len())
            .filter(|at| !wanted.contains(at) && !project::is_package(&self.all[*at].path, &self.folders))
            .flat_map(|at| groups.iter().map(move |group| (at, *group)))
            .collect()
    }

    /// The findings of a single-file group in one file.
    pub(super) fn file(&self, source: &Source, digest: &[u8; 32], group: Group) -> Vec<Finding> {
        let is_yaml = common::is_yaml(&source.path) || common::is_yamllint(&source.path);
        let concerns = match group {
            Group::Sql => common::is_sql(&source.path),
            Group::Yaml => is_yaml,
            Group::Workflow => is_yaml && workflow::concerns(&source.path),
            Group::Secrets | Group::Dbt | Group::DbtV2 | Group::Prose | Group::Supply | Group::Policy => {
                false
            }
        };
        if !concerns || !self.pass.groups.contains(&group) {
            return Vec::new();
        }
        let key = self.keys[&group].clone().with(&source.path).with(digest);
        let found = self.pass.cached_of(key, &source.path, || {
            let Checked { offences, warnings, unknown } = self.offences(group, source)?;
            Ok(Evaluated { unknown, warnings, ..evaluated(offences, &source.text) })
        });
        found.unwrap_or_else(|error| {
            // Invalid settings of one group do not keep the others from reporting.
            self.pass.fail(group, &error);
            Vec::new()
        })
    }

    pub(super) fn offences(&self, group: Group, source: &Source) -> Result<Checked> {
        let offences = match group {
            Group::Sql => return sql::check(source, self.sql()?),
            Group::Yaml => {
                let config = self.yaml.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
                return Ok(yaml::check(source, config));
            }
            Group::Workflow => workflow::check(source, &self.workflow, &self.pass.settings.parameters),
            Group::Secrets | Group::Dbt | Group::DbtV2 | Group::Prose | Group::Supply | Group::Policy => {
                Ok(Vec::new())
            }
        };
        Ok(Checked { offences: offences?, ..Checked::default() })
    }

    pub(super) fn sql(&self) -> Result<&sql::Project> {
        let load = || {
            let inputs = project::sql_inputs(&self.all, &self.folders);
            sql::Project::load(inputs, &self.pass.settings.parameters).map_err(|error| format!("{error:#}"))
        };
        self.sql.get_or_init(load).as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Findings about whole dbt projects: all of them if any file of a project is wanted, since a change in
    /// one file can cause a finding in another. A deleted file counts as changed.
    pub(super) fn projects(&self, inputs: &Inputs, group: Group) -> Vec<Finding> {
        let roots: Vec<&str> =
            self.all.iter().filter_map(|source| project::root_of_project(&source.path)).collect();
        let wanted = self.texts.wanted.iter().map(|at| self.all[*at].path.as_str());
        let changed = inputs.changed.iter().flatten().map(|change| change.path.as_str());
        let concerned = wanted.chain(changed).any(|path| roots.iter().any(|root| path.starts_with(root)));
        if !concerned {
            return Vec::new();
        }
        let found = self.pass.cached(self.keys[&Group::Dbt].clone().with(group.name()), || {
            let graph = Graph::build(&self.all, &self.paths);
            let offences = if group == Group::DbtV2 {
                let own = self.all.iter().filter(|source| !project::is_package(&source.path, &self.folders));
                dbt_v2::check(&graph, &own.copied().collect::<Vec<_>>())
            } else {
                dbt::check(&graph, &self.pass.settings.parameters)?
            };
            let texts: HashMap<&str, &str> =
                self.all.iter().map(|source| (source.path.as_str(), source.text.as_str())).collect();
            let mut all = Evaluated::default();
            for (path, offences) in by_path(offences) {
                let found = evaluated(offences, texts.get(path.as_str()).copied().unwrap_or_default());
                all.findings.extend(found.findings);
                all.allowed_inline += found.allowed_inline;
            }
            Ok(all)
        });
        found.unwrap_or_else(|error| {
            self.pass.fail(group, &error);
            Vec::new()
        })
    }
}

/// The texts of sources, with their digests for the cache.
pub(super) struct Texts {
    pub(super) sources: Vec<Source>,
    pub(super) digests: Vec<[u8; 32]>,
    /// Those whose findings are wanted.
    pub(super) wanted: Vec<usize>,
}

impl Texts {
    pub(super) fn of(read: Vec<Read<'_>>) -> Self {
        let mut texts = Self { sources: Vec::new(), digests: Vec::new(), wanted: Vec::new() };
        for read in read {
            let Some(text) = read.text else { continue };
            if read.input.wanted {
                texts.wanted.push(texts.sources.len());
            }
            texts.sources.push(Source { path: read.input.path.clone(), text });
            texts.digests.push(read.digest);
        }
        texts
    }
}
