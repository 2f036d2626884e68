//! One file for all environments becomes a file each: how a database that an earlier version of the toolkit made is
//! brought to the layout of this one.
//!
//! The old file is only read. Each new file is complete before it gets its name, the registry gets its own last, and
//! then the old file is set aside under another name: a split that was cut short begins again. Rows are counted on both
//! sides. A file that also holds schemas of no environment stays as it is: models may read them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::copy::Between;
use super::layout::{Layout, MAIN, has_log, log_of, with_suffix};
use super::look::text;
use super::program::{Access, Open, call};
use super::views::{View, after_name, in_order, mentions, renamed};
use super::{DuckDb, LEDGER};
use crate::core::environment::REGISTRY;
use crate::core::ledger::MARK;
use crate::core::lock::{Holder, Lock};
use crate::system::repo;
use crate::warehouse::{Row, Statement, Warehouse as _, literal, quote};

/// The name by which the new file's engine knows the old one.
const OLD: &str = "xtask_one_file";

/// What the one file of an earlier version turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It does not exist, or was not made by this toolkit.
    Nothing,
    /// It holds these schemas too, which belong to no environment.
    Stays(Vec<String>),
    /// The schemas of each environment.
    Splits(BTreeMap<String, Vec<String>>),
}

/// Look at the one file of an earlier version.
pub(crate) fn found(program: &Path, file: &Path) -> Result<Found> {
    if !file.is_file() {
        return Ok(Found::Nothing);
    }
    let sql = "select schema_name, name from (
                   select database_name, schema_name, table_name as name from duckdb_tables()
                   union all
                   select database_name, schema_name, view_name from duckdb_views() where not internal
               ) where database_name = current_database() order by all";
    let rows = call(program, &Open::file(file, Access::Read), sql)?.pop().unwrap_or_default();
    Ok(sorted(&rows))
}

/// Whose each schema of the old file is.
fn sorted(rows: &[Row]) -> Found {
    let holds = |table: &str| -> Vec<&str> {
        let of = rows.iter().filter(|row| text(row, "name") == table);
        of.map(|row| text(row, "schema_name")).collect()
    };
    if !holds("environments").contains(&REGISTRY) {
        return Found::Nothing;
    }
    let marked = holds(MARK);
    let mut split: BTreeMap<String, Vec<String>> =
        marked.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
    let mut strange = Vec::new();
    let mut schemas: Vec<&str> = rows.iter().map(|row| text(row, "schema_name")).collect();
    schemas.dedup();
    for schema in schemas.into_iter().filter(|schema| *schema != REGISTRY) {
        let fits = |name: &&&str| {
            schema.strip_prefix(**name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        match marked.iter().filter(fits).max_by_key(|name| name.len()) {
            Some(name) => split.entry((*name).to_owned()).or_default().push(schema.to_owned()),
            None => strange.push(schema.to_owned()),
        }
    }
    if strange.is_empty() { Found::Splits(split) } else { Found::Stays(strange) }
}

/// Split the old `file` into those of `layout`. Others wait.
pub(crate) fn split(program: &Path, file: &Path, layout: &Layout) -> Result<()> {
    let _lock = Lock::take(file, &Holder::of_all("the split"), Duration::from_mins(10))?;
    // Another command may have done it meanwhile.
    let Found::Splits(environments) = found(program, file)? else { return Ok(()) };
    let kept = free_name(file);
    if layout.file(REGISTRY).exists() {
        let lacks = |name: &&String| !layout.file(name).exists();
        let lost: Vec<&str> = environments.keys().filter(lacks).map(String::as_str).collect();
        if !lost.is_empty() {
            tracing::warn!(
                "{} was written after it became a file for each environment, and holds {}; set DBT_DUCKDB_PATH to it to \
                 use that, or move it away",
                file.display(),
                lost.join(", ")
            );
            return Ok(());
        }
        // Only this was left to be done.
    } else {
        tracing::info!(
            "{} becomes a file for each environment, in {}: {} environment(s)",
            file.display(),
            layout.path().display(),
            environments.len()
        );
        let make = || fs::create_dir_all(layout.path()).and_then(|()| repo::keep_from_git(layout.path()));
        make().with_context(|| format!("failed to create {}", layout.path().display()))?;
        for (name, schemas) in &environments {
            database(program, file, &layout.file(name), name, schemas, LEDGER)?;
        }
        let registry = [REGISTRY.to_owned()];
        database(program, file, &layout.file(REGISTRY), REGISTRY, &registry, super::REGISTRY_TABLES)?;
    }
    fs::rename(file, &kept).with_context(|| format!("failed to set {} aside", file.display()))?;
    if has_log(file) {
        let log = log_of(file);
        fs::rename(&log, log_of(&kept)).with_context(|| format!("failed to set {} aside", log.display()))?;
    }
    tracing::info!("the old file is kept as {}; delete it once you need it no longer", kept.display());
    Ok(())
}

/// The name under which the old file is kept: one that no other file has.
fn free_name(file: &Path) -> PathBuf {
    let names = (1..).map(|number| match number {
        1 => with_suffix(file, ".before-split"),
        number => with_suffix(file, &format!(".before-split-{number}")),
    });
    let mut free = names.filter(|path| !path.exists());
    free.next().unwrap_or_else(|| with_suffix(file, ".before-split"))
}

/// Make one new file: the `schemas` of `name` in the old one become `main` and `main_*`.
fn database(
    program: &Path,
    old: &Path,
    file: &Path,
    name: &str,
    schemas: &[String],
    tables: &str,
) -> Result<()> {
    let new = with_suffix(file, ".new");
    for path in [&new, &log_of(&new)] {
        if path.exists() {
            fs::remove_file(path).with_context(|| format!("failed to remove {}", path.display()))?;
        }
    }
    let mut source = DuckDb::new(program, old);
    let known = |table: &str| tables.contains(&format!("exists {table} ("));
    let mut script = format!("use {}.{MAIN};\nbegin;\n{tables}\n", quote(name));
    let mut counts = Vec::new();
    for schema in schemas {
        let to = moved_schema(schema, name);
        let from = [OLD, schema].map(quote).join(".");
        let _ = writeln!(script, "create schema if not exists {};", quote(&to));
        let between = Between { from: schema, source: &from, to: &to };
        let exist = |table: &str| to == MAIN && known(table);
        for statement in source.copied_between(&between, exist)? {
            if let Statement::Sql(sql) = statement {
                let _ = writeln!(script, "{sql};");
            }
        }
        for row in source.query(&format!(
            "select table_name as name from duckdb_tables()
             where database_name = current_database() and schema_name = {}",
            literal(schema)
        ))? {
            let table = text(&row, "name");
            counts.push((format!("{from}.{}", quote(table)), [name, &to, table].map(quote).join(".")));
        }
    }
    script.push_str("commit;\n");
    let open = Open::writing(name, &new);
    let attach_old = format!("attach {} as {} (read_only);\n", literal(&old.to_string_lossy()), quote(OLD));
    call(program, &open, &format!("{attach_old}{script}"))?;
    check(program, &open, &attach_old, name, &counts)?;
    views(program, &open, &mut source, name, schemas)?;
    call(program, &open, &format!("checkpoint {};\n", quote(name)))?;
    fs::rename(&new, file).with_context(|| format!("failed to create {}", file.display()))
}

/// The schema of the new file that a schema of the old one becomes.
fn moved_schema(schema: &str, name: &str) -> String {
    format!("{MAIN}{}", schema.strip_prefix(name).unwrap_or_default())
}

/// Every table has as many rows as in the old file: `tables` are the old and the new name of each.
fn check(
    program: &Path,
    open: &Open,
    attach_old: &str,
    name: &str,
    tables: &[(String, String)],
) -> Result<()> {
    let count = |(before, after): &(String, String)| {
        let name = literal(after);
        format!(
            "select {name} as name, (select count(*) from {before}) = (select count(*) from {after}) as is_same"
        )
    };
    let questions: Vec<String> = tables.iter().map(count).collect();
    if questions.is_empty() {
        return Ok(());
    }
    let sql = format!("{attach_old}{}", questions.join("\nunion all\n"));
    for row in call(program, open, &sql)?.pop().unwrap_or_default() {
        ensure!(
            row.get("is_same").and_then(serde_json::Value::as_bool) == Some(true),
            "failed to split the database: the copy {} of {name} has not as many rows as the original. Nothing was \
             changed; set DBT_DUCKDB_PATH to the old file to go on using it",
            text(&row, "name")
        );
    }
    Ok(())
}

/// The views of the environment, with the names of the new file.
fn views(program: &Path, open: &Open, source: &mut DuckDb, name: &str, schemas: &[String]) -> Result<()> {
    let old = source.database();
    let rows = source.query(
        "select schema_name, view_name as name, sql from duckdb_views()
         where database_name = current_database() and not internal order by view_oid",
    )?;
    let to = |schema: &str| {
        let is_own = schemas.iter().any(|own| own == schema);
        is_own.then(|| (name.to_owned(), moved_schema(schema, name)))
    };
    let views = rows.iter().filter(|row| schemas.iter().any(|own| own == text(row, "schema_name")));
    let views = views.filter_map(|row| {
        let definition = text(row, "sql").trim_end().trim_end_matches(';');
        let rest = renamed(after_name(definition.strip_prefix("CREATE VIEW ")?), &old, &to);
        let schema = moved_schema(text(row, "schema_name"), name);
        let place = [name, &schema, text(row, "name")].map(quote).join(".");
        (!mentions(&rest, &old)).then(|| View { place, name: text(row, "name").to_owned(), rest })
    });
    let mut script = format!("use {}.{MAIN};\nbegin;\n", quote(name));
    for view in in_order(views.collect()) {
        let _ = writeln!(script, "create view {}{};", view.place, view.rest);
    }
    if let Err(error) = call(program, open, &format!("{script}commit;\n")) {
        tracing::warn!("the views of {name} could not be taken over, so its next run builds them: {error:#}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(relations: &[(&str, &str)]) -> Vec<Row> {
        let row = |(schema, name): &(&str, &str)| {
            serde_json::from_value(json!({"schema_name": schema, "name": name})).expect("a row")
        };
        relations.iter().map(row).collect()
    }

    #[test]
    fn an_environment_takes_its_schemas_along() {
        let own = [
            ("branch_a", MARK),
            ("branch_a_b", MARK),
            ("branch_a_b", "t"),
            ("branch_a_b_raw", "s"),
            ("branch_a_raw", "s"),
            (REGISTRY, "environments"),
        ];
        let Found::Splits(split) = sorted(&rows(&own)) else { panic!("it is ours") };
        assert_eq!(split["branch_a"], ["branch_a", "branch_a_raw"]);
        assert_eq!(split["branch_a_b"], ["branch_a_b", "branch_a_b_raw"]);
        assert_eq!(moved_schema("branch_a_b_raw", "branch_a_b"), "main_raw");
        let strange = [own.as_slice(), &[("raw", "orders")]].concat();
        assert_eq!(sorted(&rows(&strange)), Found::Stays(vec!["raw".to_owned()]));
        assert_eq!(sorted(&rows(&own[..5])), Found::Nothing);
    }
}
