//! The further schemas of an environment: `ISSUE_42_RAW` of `ISSUE_42`, as dbt names custom schemas.
//!
//! Each carries the comment that marks it as the environment's and has an entry in the registry. A schema counts as
//! a further one only with the name, the mark and the entry: then it is listed, measured, copied and dropped with its
//! environment. The name alone proves nothing, because `BRANCH_X_Y` may be an environment beside `BRANCH_X`. dbt would
//! make such schemas without a mark, so they are made before it starts to write.
//!
//! They are handled by the names that Snowflake keeps: a project that quotes schemas gets `"ISSUE_42_raw"`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use jiff::ToSpan as _;
use serde::{Deserialize, Serialize};

use super::grants::Record;
use super::statements::{Names, literal, marked_for, project_of, stored};
use super::{Snowflake, is_yes, text};
use crate::core::clock;
use crate::core::environment::{Name, REGISTRY, is_named_after};
use crate::warehouse::{Row, Statement, Table, Warehouse as _, records};

/// Hours after which a copy that never became an environment is given up.
const ABANDONED_HOURS: i64 = 24;

/// An entry of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// As Snowflake keeps it.
    schema_name: String,
    environment: String,
    created_at: jiff::civil::DateTime,
}

/// A schema that exists.
#[derive(Debug, Default)]
struct Found {
    comment: Option<String>,
    relations: usize,
}

impl Found {
    fn marked_for(&self) -> Option<String> {
        marked_for(self.comment.as_deref()?)
    }

    fn project(&self) -> Option<String> {
        project_of(self.comment.as_deref()?)
    }

    /// The grants of the policy that its comment records.
    fn record(&self) -> Record {
        self.comment.as_deref().map(Record::of).unwrap_or_default()
    }
}

fn registered() -> Table {
    Table::new(REGISTRY, "schemas")
}

impl Snowflake {
    /// The further schemas of `environments`, each with the environment that it belongs to.
    pub(super) fn further(&mut self, environments: &[&str]) -> Result<BTreeMap<String, String>> {
        let entries = self.entries(environments)?.unwrap_or_default();
        let found = self.found(entries.iter().map(|entry| entry.schema_name.as_str()))?;
        let proven = entries.into_iter().filter(|entry| is_proven(entry, &found));
        Ok(proven.map(|entry| (entry.schema_name, entry.environment)).collect())
    }

    /// What the registry says; `None` if it has no such table yet.
    fn entries(&mut self, environments: &[&str]) -> Result<Option<Vec<Entry>>> {
        let names: Vec<String> = environments.iter().map(|name| literal(name)).collect();
        self.entries_where(&format!("environment in ({})", names.join(", ")))
    }

    fn entries_where(&mut self, condition: &str) -> Result<Option<Vec<Entry>>> {
        let tables = self.relation_names(REGISTRY)?.unwrap_or_default();
        if !tables.iter().any(|table| table == registered().name) {
            return Ok(None);
        }
        let table = self.qualified(&registered());
        records(self, &format!("select * from {table} where {condition} order by schema_name")).map(Some)
    }

    /// Those of `schemas` that exist.
    fn found<'a>(&mut self, schemas: impl Iterator<Item = &'a str>) -> Result<BTreeMap<String, Found>> {
        let names: Vec<&str> = schemas.collect();
        let mut all: BTreeMap<String, Found> = BTreeMap::new();
        if names.is_empty() {
            return Ok(all);
        }
        for row in self.query(&self.database.contents(&names, Names::Kept))? {
            let found = all.entry(text(&row, "schema_name").unwrap_or_default()).or_default();
            found.comment = text(&row, "comment");
            found.relations += usize::from(text(&row, "table_name").is_some());
        }
        Ok(all)
    }

    /// The statements that make `schemas` further ones of `name`, or bring their grants up to date. Those of others are
    /// refused. The entry comes first: what it names can be dropped wherever this is cut short.
    pub(super) fn claimed(&mut self, name: &Name, schemas: &BTreeSet<String>) -> Result<Vec<Statement>> {
        let found = self.found(schemas.iter().map(String::as_str))?;
        let entries = self.entries(&[name.as_str()])?;
        let mut change = if entries.is_none() { self.provision_registry() } else { Vec::new() };
        let entries = entries.unwrap_or_default();
        for schema in schemas {
            check_name(schema, name)?;
            let found = found.get(schema);
            self.refuse_others(schema, found, name)?;
            if !entries.iter().any(|entry| entry.schema_name == *schema) {
                change.extend(self.entry(schema, name)?);
            }
            match found {
                None => {
                    let record = Record::announced(&self.declared(name));
                    let made = self.database.create_further(schema, name, &record.granting);
                    change.push(Statement::Sql(made));
                    change.extend(self.converge(schema, name, &record, false));
                }
                Some(found) => {
                    if self.database.project().is_some()
                        && found.project().as_deref() != self.database.project()
                    {
                        // The project has another name now, or the comment is an earlier version's.
                        let comment = self.database.comment_on_further(schema, name, &found.record());
                        change.push(Statement::Sql(comment));
                    }
                    change.extend(self.converge(schema, name, &found.record(), false));
                }
            }
        }
        Ok(change)
    }

    /// Nothing is done to a schema without the mark of the environment, however it is named.
    fn refuse_others(&self, schema: &str, found: Option<&Found>, name: &Name) -> Result<()> {
        let Some(found) = found else { return Ok(()) };
        match found.marked_for() {
            Some(marked) if marked == name.as_str() => match self.other(found) {
                None => Ok(()),
                Some(other) => bail!(
                    "the schema {schema} belongs to the environment {name} of the dbt project {other}, which is half made or \
                     half dropped; build under another name than {name}, or drop that environment there"
                ),
            },
            Some(other) => bail!(
                "the schema {schema} belongs to the environment {other}, and {name} would write to it; change the custom \
                 schema's name (+schema), or build under another name than {name}"
            ),
            None => bail!(
                "the schema {schema} exists, holds {} relations and carries no ownership mark of {name}, so it was not \
                 made by this toolkit. Drop it; or take it over, so that it is dropped together with {name}: comment on \
                 schema {} is {}",
                found.relations,
                self.database.place(schema),
                literal(&self.database.comment(name, &Record::default()))
            ),
        }
    }

    /// The dbt project that a schema belongs to, if that is another one.
    fn other(&self, found: &Found) -> Option<String> {
        found.project().filter(|project| Some(project.as_str()) != self.database.project())
    }

    /// The other dbt project that further schemas of `name` belong to.
    pub(super) fn other_of_further(&mut self, name: &Name) -> Result<Option<String>> {
        let entries = self.entries(&[name.as_str()])?.unwrap_or_default();
        let found = self.found(entries.iter().map(|entry| entry.schema_name.as_str()))?;
        Ok(found.values().find_map(|found| self.other(found)))
    }

    /// The comments that name this project on the further schemas of `name`, which are proven to be the environment's.
    pub(super) fn adopted_further(&mut self, name: &Name) -> Result<Vec<Statement>> {
        let entries = self.entries(&[name.as_str()])?.unwrap_or_default();
        let found = self.found(entries.iter().map(|entry| entry.schema_name.as_str()))?;
        let proven = entries.iter().filter(|entry| is_proven(entry, &found));
        let comment = |entry: &Entry| {
            let record = found.get(&entry.schema_name).map(Found::record).unwrap_or_default();
            Statement::Sql(self.database.comment_on_further(&entry.schema_name, name, &record))
        };
        Ok(proven.map(comment).collect())
    }

    /// Snowflake enforces no primary keys, so an earlier entry is replaced.
    fn entry(&self, schema: &str, name: &Name) -> Result<[Statement; 2]> {
        let entry =
            Entry { schema_name: schema.to_owned(), environment: name.to_string(), created_at: clock::now() };
        let table = self.qualified(&registered());
        let forgotten = format!("delete from {table} where schema_name = {}", literal(schema));
        Ok([Statement::sql(forgotten), Statement::insert(registered(), &[entry])?])
    }

    /// The statements that copy the further schemas of `base`. Those of `name` that a copy which was cut short left are
    /// made again.
    pub(super) fn copied_further(&mut self, base: &Name, name: &Name) -> Result<Vec<Statement>> {
        let further: Vec<String> = self.further(&[base.as_str()])?.into_keys().collect();
        let copies: Vec<String> = further.iter().map(|from| renamed(from, base, name)).collect();
        let left = self.found(copies.iter().map(String::as_str))?;
        let mut change = Vec::new();
        for (from, to) in further.iter().zip(&copies) {
            self.refuse_others(to, left.get(to), name)?;
            change.extend(self.entry(to, name)?);
            if left.contains_key(to) {
                change.push(Statement::Sql(self.database.drop_further(to)));
            }
            let found = self.query(&self.database.contents(&[from], Names::Kept))?;
            change.extend(self.copied_schema((from, to), &found, name)?);
        }
        Ok(change)
    }

    /// `found` is what the schema `from` holds.
    fn copied_schema(&self, (from, to): (&str, &str), found: &[Row], name: &Name) -> Result<Vec<Statement>> {
        let is_transient = self.database.is_transient(name);
        let from_transient = found.first().is_some_and(|row| is_yes(row, "schema_is_transient"));
        // Snowflake clones no transient schema into a permanent one; its tables stay transient there.
        if !self.owns_all(found) || from_transient && !is_transient {
            let record = Record::announced(&self.declared(name));
            let mut change = vec![Statement::Sql(self.database.create_further(to, name, &record.granting))];
            change.extend(self.clone_tables((from, to), is_transient, found, &[])?);
            change.extend(self.converge(to, name, &record, false));
            return Ok(change);
        }
        // A clone's tables carry the grants of the base.
        let comment = found.first().and_then(|row| text(row, "comment"));
        let applied = comment.map(|comment| Record::of(&comment).granted()).unwrap_or_default();
        let record = Record { applied, granting: self.declared(name) };
        let mut change = vec![Statement::Sql(self.database.clone_further((from, to), name, &record))];
        change.extend(self.drop_readers(to, found)?);
        change.extend(self.converge(to, name, &record, false));
        Ok(change)
    }

    /// The statements that drop the further schemas of an environment with their entries. One that lacks a proof is
    /// left alone, and reported.
    pub(super) fn dropped_further(&mut self, name: &Name) -> Result<Vec<Statement>> {
        let entries = self.entries(&[name.as_str()])?.unwrap_or_default();
        let found = self.found(entries.iter().map(|entry| entry.schema_name.as_str()))?;
        let mut change = Vec::new();
        for entry in entries.iter().filter(|entry| found.contains_key(&entry.schema_name)) {
            let is_others = found.get(&entry.schema_name).is_some_and(|found| self.other(found).is_some());
            if name.kind().is_temporary() && is_proven(entry, &found) && !is_others {
                change.push(Statement::Sql(self.database.drop_further(&entry.schema_name)));
            } else {
                tracing::warn!(
                    "{} is registered as a schema of {name}, and is left: it does not carry the ownership mark of an \
                     environment that may be dropped; drop it by hand if it is yours",
                    entry.schema_name
                );
            }
        }
        if !entries.is_empty() {
            let table = self.qualified(&registered());
            let own = literal(name.as_str());
            change.push(Statement::sql(format!("delete from {table} where environment = {own}")));
        }
        Ok(change)
    }

    /// The same of copies that were cut short before they became environments, and that no later command completed.
    pub(super) fn orphaned_further(&mut self) -> Result<Vec<Statement>> {
        let environments = self.qualified(&Table::new(REGISTRY, "environments"));
        let unregistered = format!("environment not in (select schema_name from {environments})");
        let before = clock::now().saturating_sub(ABANDONED_HOURS.hours());
        let entries = self.entries_where(&unregistered)?.unwrap_or_default();
        let old = entries.into_iter().filter(|entry| entry.created_at < before);
        let names: BTreeSet<Name> = old.filter_map(|entry| entry.environment.parse().ok()).collect();
        let mut change = Vec::new();
        for name in names {
            // Those of other projects are theirs to give up.
            if self.relation_names(name.as_str())?.is_none() && self.other_of_further(&name)?.is_none() {
                change.extend(self.dropped_further(&name)?);
            }
        }
        Ok(change)
    }
}

/// The three proofs: the name, the mark, and the entry itself.
fn is_proven(entry: &Entry, found: &BTreeMap<String, Found>) -> bool {
    let marked = found.get(&entry.schema_name).and_then(Found::marked_for);
    is_named_after(&entry.schema_name, &entry.environment) && marked.as_ref() == Some(&entry.environment)
}

/// The name of a schema of `base` in the environment `name`, in the same case.
fn renamed(from: &str, base: &Name, name: &Name) -> String {
    let rest = from.get(base.as_str().len()..).unwrap_or_default();
    let is_lower = from.starts_with(base.as_str());
    format!("{}{rest}", if is_lower { name.to_string() } else { stored(name) })
}

/// Whether a schema that dbt is going to write can belong to `name`.
fn check_name(schema: &str, name: &Name) -> Result<()> {
    let is_plain = schema.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$');
    if is_plain && is_named_after(schema, name.as_str()) {
        return Ok(());
    }
    if schema.eq_ignore_ascii_case(name.as_str()) {
        bail!(
            "the project would write to the schema \"{schema}\", which is another one than {}, the environment's: it \
             quotes schemas and changes the case of target.schema; leave target.schema as it is in generate_schema_name",
            stored(name)
        );
    }
    bail!(
        "the project would write to the schema {schema:?}; the name of a further schema of {name} is {}_ and letters, \
         digits, _ or $: change +schema",
        stored(name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn a_copy_keeps_the_case_of_names() {
        for (from, expected) in
            [("DEV_RAW", "ISSUE_7_RAW"), ("DEV_raw", "ISSUE_7_raw"), ("dev_raw", "issue_7_raw")]
        {
            assert_eq!(renamed(from, &name("dev"), &name("issue_7")), expected);
        }
    }

    #[test]
    fn names_that_cannot_be_a_part_of_the_environment_are_refused() {
        for (schema, expected) in [
            ("ISSUE_7_RAW", None),
            ("ISSUE_7_raw$1", None),
            ("issue_7", Some("changes the case of target.schema")),
            ("ISSUE_7_", Some("change +schema")),
            ("ISSUE_7_raw data", Some("change +schema")),
            ("ISSUE_7_a\"b", Some("change +schema")),
            ("ISSUE_71_RAW", Some("change +schema")),
        ] {
            let refused = check_name(schema, &name("issue_7")).err().map(|why| why.to_string());
            match (refused, expected) {
                (None, None) => {}
                (Some(why), Some(part)) if why.contains(part) => {}
                (refused, _) => panic!("{schema}: {refused:?}"),
            }
        }
    }
}
