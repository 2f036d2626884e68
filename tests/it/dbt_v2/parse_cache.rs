//! dbt's cache of the parsed project saves time and never hides a change.

use std::fs::{self, File};
use std::path::Path;

use tempfile::TempDir;

use super::installed;
use crate::support::{Ended, scratch, scrubbed, sql_in};

const READ: &str = "the parse cache of dbt is read";
const MADE: &str = "the parse cache of dbt is made again";

/// A project of two models, one of which calls a macro.
struct Project {
    folder: TempDir,
    dbt: &'static Path,
}

impl Project {
    fn new(dbt: &'static Path) -> Self {
        let project = Self { folder: scratch(), dbt };
        project.write("dbt_project.yml", "name: small\nprofile: small\nmodels: {+materialized: table}\n");
        project.write("models/base.sql", "select 1 as a");
        project.write("models/leaf.sql", "select a + {{ more() }} as b from {{ ref('base') }}");
        project.write("macros/more.sql", "{% macro more() %}10{% endmacro %}");
        project
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join("dbt").join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn run(&self, setting: &str) -> Ended {
        let mut command = scrubbed(self.folder.path());
        command.args(["-vv", "elt", "--schema", "dev"]).env("XTASK_DBT_DIR", self.dbt);
        command.env("XTASK_DBT_ENGINE", "v2").env("DBT_PARTIAL_PARSE", setting);
        Ended::of(command)
    }

    fn elt(&self, setting: &str) -> String {
        self.run(setting).expect(0).stderr
    }

    fn value(&self, relation: &str) -> i64 {
        let database = self.folder.path().join(".xtask/warehouse/dev.duckdb");
        let rows = sql_in(&database, &format!("select b from dev.{relation}"));
        rows[0]["b"].as_i64().expect("a number")
    }
}

#[test]
fn an_edit_is_built_however_its_file_came_there() {
    let Some(dbt) = installed() else { return };
    let project = Project::new(dbt);
    project.elt("true");
    assert_eq!(project.value("leaf"), 11);

    project.write("models/leaf.sql", "select a + {{ more() }} + 100 as b from {{ ref('base') }}");
    let said = project.elt("true");
    assert!(said.contains(READ), "{said}");
    assert_eq!(project.value("leaf"), 111);

    project.write("macros/more.sql", "{% macro more() %}20{% endmacro %}");
    project.elt("true");
    assert_eq!(project.value("leaf"), 121);

    // As `cp -p` and `tar` put a file in place: dbt alone would take it for the one that it has parsed.
    let path = project.folder.path().join("dbt/models/leaf.sql");
    let old = fs::metadata(&path).and_then(|meta| meta.modified()).expect("its time");
    project.write("models/leaf.sql", "select a + {{ more() }} + 200 as b from {{ ref('base') }}");
    File::options().write(true).open(&path).and_then(|file| file.set_modified(old)).expect("set");
    let said = project.elt("true");
    assert!(said.contains(MADE) && !said.contains(READ), "{said}");
    assert_eq!(project.value("leaf"), 221);

    // It may have another name now, so dbt is asked, and what it then parsed is used for the build.
    project.write("models/leaf.sql", "{{ config(alias='end') }} select a + 300 as b from {{ ref('base') }}");
    let said = project.elt("true");
    assert!(said.contains(MADE) && said.contains(READ), "{said}");
    assert_eq!(project.value("\"end\""), 301);

    project.write("models/leaf.sql", "{{ config(alias='end') }} select a + 400 as b from {{ ref('base') }}");
    let said = project.elt("false");
    assert!(!said.contains(MADE) && !said.contains(READ), "{said}");
    assert_eq!(project.value("\"end\""), 401);
}

#[test]
fn an_error_of_the_project_is_reported_as_long_as_it_is_there() {
    let Some(dbt) = installed() else { return };
    let project = Project::new(dbt);
    project.elt("true");
    project.write("dbt_project.yml", "name: small\nprofile: small\nmodels: {materialized: table}\n");
    for number in 0..2 {
        project.write("models/leaf.sql", &format!("select a + {number} as b from {{{{ ref('base') }}}}"));
        assert!(project.run("true").expect(1).stdout.contains("cargo xtask lint --only dbt-v2"));
    }
}
