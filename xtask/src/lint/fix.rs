//! `lint --fix`: applies safe fixes before the pass reports the rest.
//!
//! Each group returns the fixed text, and only if its meaning is unchanged; this module writes it atomically,
//! with the permissions that the file had.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use rayon::prelude::*;

use super::inputs::{Input, Inputs};
use super::rule::Source;
use super::settings::Settings;
use super::{common, dbt_v2, project, sql, yaml};
use crate::core::finding::Group;
use crate::system::repo::Repo;

/// Corrects the wanted files of the work tree, for the wanted groups; returns how many.
pub(super) fn run(
    repo: &Repo,
    inputs: &Inputs,
    settings: &Settings,
    groups: &BTreeSet<Group>,
) -> Result<usize> {
    let read = |input: &Input| {
        let mut text = String::new();
        // The pass reports files that are missing or are not text.
        input.open().and_then(|mut file| file.read_to_string(&mut text)).ok()?;
        Some(Source { path: input.path.clone(), text })
    };
    let files: Vec<(&Input, Source)> = inputs
        .files
        .par_iter()
        .filter(|input| common::is_source(&input.path))
        .filter_map(|input| Some((input, read(input)?)))
        .collect();
    let all: Vec<&Source> = files.iter().map(|(_, source)| source).collect();
    // The pass reports invalid settings; the other groups are fixed.
    let config = project::yaml_config(&all, repo.root()).ok();
    let folders = project::folders(&all);
    let roots: Vec<&str> = all.iter().filter_map(|source| project::root_of_project(&source.path)).collect();
    let sql = OnceLock::new();
    let sql = || {
        let load = || {
            sql::Project::load(project::sql_inputs(&all, &folders), &settings.parameters)
                .map_err(|error| format!("{error:#}"))
        };
        sql.get_or_init(load).as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    };
    let fixed: Vec<Option<()>> = files
        .par_iter()
        .filter(|(input, _)| input.wanted)
        .map(|(input, source)| {
            let is_off = |rule: &str| {
                !settings.applies(rule, &source.path) || common::allowed_anywhere(rule, &source.text)
            };
            let styled = |source: &Source| {
                let config = config.as_ref().filter(|_| groups.contains(&Group::Yaml))?;
                yaml::fix(source, config, &is_off)
            };
            let text = if common::is_sql(&source.path) && groups.contains(&Group::Sql) {
                sql().ok().and_then(|project| sql::fix(source, project, &is_off))
            } else if common::is_yaml(&source.path) {
                let is_of_dbt = || roots.iter().any(|root| source.path.starts_with(root));
                let for_v2 = groups.contains(&Group::DbtV2) && is_of_dbt();
                match for_v2.then(|| dbt_v2::fix(source)).flatten() {
                    None => styled(source),
                    Some(text) => {
                        let source = Source { path: source.path.clone(), text };
                        styled(&source).or(Some(source.text))
                    }
                }
            } else {
                None
            };
            let (Some(text), Some(path)) = (text, input.in_tree()) else { return Ok(None) };
            write(path, &text)?;
            tracing::info!("fixed {}", source.path);
            Ok(Some(()))
        })
        .collect::<Result<_>>()?;
    Ok(fixed.into_iter().flatten().count())
}

fn write(path: &Path, text: &str) -> Result<()> {
    let failed = || format!("failed to write {}", path.display());
    let mode = fs::metadata(path).with_context(failed)?.permissions();
    let folder = path.parent().unwrap_or(path);
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    file.as_file().set_permissions(mode).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}
