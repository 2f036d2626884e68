//! What is known of a project before its SQL files are checked.

use std::collections::BTreeSet;

use anyhow::Result;

use super::jinja::{Renderer, Settings};
use super::macros::Library;
use super::policy::{File, Objection};
use super::styles::Styles;
use super::{
    Text, average_of_averages, engine_clock, hard_coded_relation, order_by_without_limit, semicolon_in_model,
    star_in_final_query, statement_in_model, unguarded_destruction,
};
use crate::lint::rule::{Parameters, Rule};

/// The use of a SQL file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Model,
    Snapshot,
    Test,
    Analysis,
    Macro,
    /// Of an installed package: read, but never checked.
    Package,
    /// SQL that something other than dbt runs.
    Script,
}

impl Role {
    /// Whether dbt wraps the file's query into another statement.
    pub(super) fn is_built(self) -> bool {
        matches!(self, Self::Model | Self::Snapshot | Self::Test)
    }
}

/// The facts about a project that are needed to check its files. Paths are relative to the repository's
/// root, with slashes.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// `name` of `dbt_project.yml`.
    pub(crate) name: String,
    /// `vars` of `dbt_project.yml`.
    pub(crate) vars: serde_json::Map<String, serde_json::Value>,
    /// The adapter that the profile names, such as `snowflake`; empty if none is known.
    pub(crate) adapter: String,
    /// The folders of the project, such as `dbt/models`; the nearest above a file counts.
    pub(crate) folders: Vec<(String, Role)>,
    /// The texts of the macro files: of macros with the same name the last one wins.
    pub(crate) macros: Vec<String>,
    /// The texts of the macro files of installed packages, by the name of the package.
    pub(crate) packages: Vec<(String, Vec<String>)>,
    /// The dbt projects of the repository by their folder; each has its own macros and variables. The fields above
    /// apply to files outside of all of them.
    pub(crate) projects: Vec<(String, Self)>,
    /// The texts of the files that may contain sqlfluff's settings, and of `.sqlfluffignore` files, by their paths.
    pub(crate) styles: Vec<(String, String)>,
}

/// A project, ready to check its files from any thread.
pub(crate) struct Project {
    pub(super) renderer: Renderer,
    /// Of each dbt project, by its folder with a slash at its end; the deepest first.
    renderers: Vec<(String, Renderer)>,
    pub(super) styles: Styles,
    folders: Vec<(String, Role)>,
    averages: average_of_averages::Settings,
    relations: hard_coded_relation::Settings,
}

impl Project {
    /// Cheap: [`Self::ready`] makes the linters. Fails on invalid parameters.
    pub(crate) fn load(inputs: Inputs, parameters: &Parameters) -> Result<Self> {
        let mut inputs = inputs;
        let styles = inputs.styles();
        let mut renderers: Vec<(String, Renderer)> = std::mem::take(&mut inputs.projects)
            .into_iter()
            .map(|(root, mut project)| {
                let renderer = renderer(&mut project, &styles, &root);
                (root, renderer)
            })
            .collect();
        renderers.sort_by_key(|(root, _)| std::cmp::Reverse(root.len()));
        Ok(Self {
            renderer: renderer(&mut inputs, &styles, ""),
            renderers,
            styles,
            folders: inputs.folders,
            averages: parameters.of(&average_of_averages::RULE)?,
            relations: parameters.of(&hard_coded_relation::RULE)?,
        })
    }

    /// The renderer of the project that the file at `path` belongs to.
    pub(super) fn renderer(&self, path: &str) -> &Renderer {
        let of_project = self.renderers.iter().find(|(root, _)| path.starts_with(root.as_str()));
        of_project.map_or(&self.renderer, |(_, renderer)| renderer)
    }

    /// The role of the file at `path`.
    pub(crate) fn role(&self, path: &str) -> Role {
        let above = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let nearest =
            self.folders.iter().filter(|(folder, _)| above(folder)).max_by_key(|(folder, _)| folder.len());
        nearest.map_or(Role::Script, |(_, role)| *role)
    }

    pub(super) fn objections(&self, file: &File<'_>) -> Vec<(&'static Rule, Objection)> {
        let found = [
            (&average_of_averages::RULE, average_of_averages::check(file, &self.averages)),
            (&engine_clock::RULE, engine_clock::check(file)),
            (&hard_coded_relation::RULE, hard_coded_relation::check(file, &self.relations)),
            (&order_by_without_limit::RULE, order_by_without_limit::check(file)),
            (&semicolon_in_model::RULE, semicolon_in_model::check(file)),
            (&star_in_final_query::RULE, star_in_final_query::check(file)),
            (&statement_in_model::RULE, statement_in_model::check(file)),
            (&unguarded_destruction::RULE, unguarded_destruction::check(file)),
        ];
        found
            .into_iter()
            .flat_map(|(rule, objections)| objections.into_iter().map(move |objection| (rule, objection)))
            .collect()
    }
}

impl Inputs {
    fn styles(&self) -> Styles {
        let mut dialects: Vec<(String, String)> =
            self.projects.iter().map(|(root, project)| (root.clone(), project.adapter.clone())).collect();
        dialects.push((String::new(), self.adapter.clone()));
        Styles::new(self.styles.clone(), &dialects)
    }

    /// The settings of these files that have no effect, and the dialects that are assumed.
    pub(crate) fn notes<'p>(&self, paths: impl IntoIterator<Item = &'p str>) -> BTreeSet<String> {
        self.styles().notes(paths)
    }
}

pub(super) fn renderer(inputs: &mut Inputs, styles: &Styles, root: &str) -> Renderer {
    let mut library = Library::default();
    for (package, texts) in &inputs.packages {
        let bodies: Vec<String> = texts.iter().map(|text| Text::of(text).body.into_owned()).collect();
        library.add_package(package, &bodies);
    }
    for text in &inputs.macros {
        library.add(&Text::of(text).body);
    }
    let (config, dialect) = styles.config_of(&format!("{root}any.sql")).unzip();
    for text in config.iter().flat_map(|config| &config.macros) {
        library.add(text);
    }
    let settings = Settings {
        name: std::mem::take(&mut inputs.name),
        vars: std::mem::take(&mut inputs.vars),
        adapter: dialect.unwrap_or(&inputs.adapter).to_owned(),
        context: config.map(|config| config.context.clone()).unwrap_or_default(),
        packages: inputs.packages.iter().map(|(package, _)| package.clone()).collect(),
    };
    Renderer::new(settings, library)
}
