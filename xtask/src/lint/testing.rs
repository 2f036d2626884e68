//! Entry points of `lint` for the fuzz targets; see [`crate::testing`].

use std::path::Path;
use std::sync::OnceLock;

use super::rule::{Parameters, Source};
use super::{dbt, sql, yaml};
use crate::dbt::graph::Graph;

pub(crate) fn check_yaml(text: &str) {
    static CONFIG: OnceLock<yaml::Config> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        yaml::Config::load("extends: default\n", Path::new(".")).expect("the default settings are right")
    });
    let source = Source { path: "a.yml".to_owned(), text: text.to_owned() };
    drop(yaml::check(&source, config));
    if let Some(fixed) = yaml::fix(&source, config, &|_| false) {
        let read = |text: &str| crate::core::yaml::parse(text).expect("fixed text can be read").roots;
        assert_eq!(read(&fixed), read(text), "a fix changed a value");
        assert_eq!(
            yaml::fix(&Source { text: fixed, ..source }, config, &|_| false),
            None,
            "a fix is not whole"
        );
    }
}

pub(crate) fn trace_template(template: &str, macros: Vec<String>) {
    let inputs = sql::Inputs {
        name: "shop".to_owned(),
        adapter: "snowflake".to_owned(),
        macros,
        ..sql::Inputs::default()
    };
    let project = sql::Project::load(inputs, &Parameters::default()).expect("the defaults are right");
    sql::assert_traced(template, &project);
}

pub(crate) fn check_project(files: Vec<(String, String)>) {
    let sources: Vec<Source> = files.into_iter().map(|(path, text)| Source { path, text }).collect();
    let all: Vec<&Source> = sources.iter().collect();
    let paths: Vec<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    let graph = Graph::build(&all, &paths);
    dbt::check(&graph, &Parameters::default()).expect("the default parameters are right");
}
