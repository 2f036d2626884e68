//! Snowflake, through an ADBC driver: a shared library, no Python is started.
//!
//! The driver is loaded and logs in only at the first statement. One session serves a command; what it may
//! repeat after a broken connection depends on the kind of statement, see [`classify`].

#[cfg(unix)]
mod broker;
mod classify;
mod copy;
mod driver;
mod failure;
mod family;
mod glance;
mod grants;
mod lease;
mod login;
mod oidc;
mod probe;
mod reach;
mod relation;
mod rows;
mod send;
mod session;
mod statements;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use self::failure::Failure;
use self::grants::{Applied, Record};
use self::session::Session;
use self::statements::{Database, Names};
use self::steps::Step;
use super::{
    Columns, Contents, Dialect, Glance, Relation, Row, Statement, Surveyed, Table, Warehouse, as_comments,
    columns,
};
use crate::core::environment::{Droppable, Name, REGISTRY, Refusal};
use crate::core::ledger::{Ours, tables};
use crate::core::policy::Grant;
use crate::system::interrupt;

#[cfg(unix)]
pub(crate) use self::broker::Broker;
pub(crate) use self::driver::Driver;
pub(crate) use self::lease::Lease;
pub(crate) use self::login::{Login, Secret, Way};
pub(crate) use self::probe::{dbt_secrets, identity, probe};
pub(crate) use self::statements::{marked_for, project_of};

/// All that is needed to talk to Snowflake, before anything is said.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) login: Login,
    pub(crate) driver: Driver,
    pub(crate) grants: Vec<Grant>,
    /// What every statement is tagged with: JSON.
    pub(crate) tag: String,
    /// The dbt project whose environments these are; its name is part of the tag.
    pub(crate) ours: Ours,
    pub(crate) patience: Patience,
}

/// How long to wait, and how often to try again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Seconds that one statement may take; a login gets at most half a minute of them.
    pub(crate) statement_seconds: u64,
    /// Sends of what is safe to repeat.
    pub(crate) attempts: u32,
    /// Seconds that a killed runner's lock keeps others waiting.
    pub(crate) lease_seconds: u64,
}

impl Default for Patience {
    fn default() -> Self {
        // A clone of a large schema takes minutes.
        Self { statement_seconds: 600, attempts: 4, lease_seconds: 300 }
    }
}

/// A handle on the one session of a command; clones share it.
#[derive(Clone)]
pub(crate) struct Snowflake {
    settings: Arc<Settings>,
    database: Database,
    session: Arc<Mutex<Option<Session>>>,
}

impl Snowflake {
    /// Nothing is loaded or sent yet.
    pub(crate) fn new(settings: Settings) -> Self {
        let project = settings.ours.owner.project.as_deref();
        let database = Database::new(&settings.login.database).of(project);
        Self { settings: Arc::new(settings), database, session: Arc::default() }
    }

    /// The same with a separate session, for what must not wait for a long statement.
    fn apart(&self) -> Self {
        Self { session: Arc::default(), ..self.clone() }
    }

    /// What the policy grants in the environment `name`.
    fn declared(&self, name: &Name) -> Applied {
        grants::declared(&self.settings.grants, name)
    }

    /// Bring the grants of the policy on a schema of the environment `name` from what is recorded to what is declared
    /// now; all of them `again`, also what was revoked by hand.
    fn converge(&self, stored: &str, name: &Name, record: &Record, again: bool) -> Vec<Statement> {
        let declared = self.declared(name);
        if record.is(&declared) && !again {
            return Vec::new();
        }
        let place = self.database.place(stored);
        let mut change = Vec::new();
        if !record.covers(&declared) {
            change.push(self.database.comment_on_further(stored, name, &record.before(&declared)));
        }
        change.extend(grants::revocations(&place, &record.granted(), &declared));
        change.extend(grants::grants(&place, &declared));
        if !record.is(&declared) {
            change.push(self.database.comment_on_further(stored, name, &Record::done(&declared)));
        }
        change.into_iter().map(Statement::Sql).collect()
    }
}

impl Warehouse for Snowflake {
    fn target(&self) -> &'static str {
        "snowflake"
    }

    fn dialect(&self) -> Dialect {
        Dialect::Snowflake
    }

    fn describe(&self) -> String {
        format!(
            "Snowflake account {}, database {}",
            self.settings.login.account,
            self.settings.login.database.as_str()
        )
    }

    fn database(&self) -> String {
        self.settings.login.database.as_str().to_owned()
    }

    fn ours(&self) -> &Ours {
        &self.settings.ours
    }

    fn keeps_comments(&self) -> bool {
        true
    }

    fn qualified(&self, table: &Table) -> String {
        self.database.table(table)
    }

    /// As the tables have it: unquoted names are upper case, and so is the one that has to be quoted.
    fn column(&self, name: &str) -> String {
        tables::column(name).to_uppercase()
    }

    fn timestamp_type(&self) -> &'static str {
        "timestamp_ntz"
    }

    fn columns(&mut self, schemas: &[&str], tables: Option<&[&str]>) -> Result<Columns> {
        Ok(columns(&self.query(&self.database.columns(schemas, tables))?, rows::folded))
    }

    fn script(&self, change: &[Statement]) -> Vec<String> {
        let show = |step: Step| {
            let bound = if step.rows.is_empty() { "" } else { " -- ? is bound to these rows as JSON" };
            format!("{};{bound}{}", step.sql, as_comments(&step.rows))
        };
        self.steps(change).into_iter().map(show).collect()
    }

    fn apply(&mut self, change: &[Statement]) -> Result<()> {
        let mut is_open = false;
        for step in self.steps(change) {
            if !is_open {
                interrupt::check()?;
            }
            let bound = step.bound()?;
            let sent = if is_open {
                self.send_within(&step.sql, bound.as_deref())
            } else {
                self.send(&step.sql, bound.as_deref())
            };
            if sent.as_ref().is_err_and(|error| is_needless(&step.sql, error)) {
                tracing::warn!("nothing to revoke, the role or what it was granted on is gone: {}", step.sql);
                continue;
            }
            if let Err(error) = sent {
                // A session that has ended has rolled back by itself.
                if is_open && let Err(again) = self.send_within("rollback", None) {
                    tracing::debug!("failed to roll back: {again:#}");
                }
                return Err(error);
            }
            match step.sql.as_str() {
                "begin" => is_open = true,
                "commit" => is_open = false,
                _ => {}
            }
        }
        Ok(())
    }

    fn query(&mut self, sql: &str) -> Result<Vec<Row>> {
        self.send(sql, None)
    }

    fn contents(&mut self, schemas: &[&str]) -> Result<BTreeMap<String, Contents>> {
        Ok(by_schema(&self.query(&self.database.contents(schemas, Names::Folded))?))
    }

    /// A project may quote the names of its schemas, which are then not in upper case.
    fn built(&mut self, _: &Name, schemas: &[&str]) -> Result<BTreeMap<String, Contents>> {
        Ok(by_schema(&self.query(&self.database.contents(schemas, Names::InAnyCase))?))
    }

    fn measure(&mut self, schema: &Name) -> Result<Vec<Relation>> {
        let found = self.survey(std::slice::from_ref(schema))?.remove(schema.as_str());
        Ok(found.unwrap_or_default().relations)
    }

    fn survey(&mut self, schemas: &[Name]) -> Result<BTreeMap<String, Surveyed>> {
        let names: Vec<&str> = schemas.iter().map(Name::as_str).collect();
        let mut all: BTreeMap<String, Surveyed> = BTreeMap::new();
        let further = self.further(&names)?;
        let first: Vec<String> = schemas.iter().map(statements::stored).collect();
        let both: Vec<&str> = first.iter().chain(further.keys()).map(String::as_str).collect();
        for row in self.query(&self.database.contents(&both, Names::Kept))? {
            let stored = text(&row, "schema_name").unwrap_or_default();
            let (schema, environment) = (stored.to_lowercase(), further.get(&stored));
            let surveyed = all.entry(environment.unwrap_or(&schema).clone()).or_default();
            if environment.is_none() {
                surveyed.contents.comment = text(&row, "comment").filter(|comment| !comment.is_empty());
            }
            let Some(name) = text(&row, "table_name").map(|name| rows::folded(&name)) else { continue };
            let name = if environment.is_some() { format!("{schema}.{name}") } else { name };
            let is_view = text(&row, "table_type").is_some_and(|kind| kind.contains("VIEW"));
            let number = |key: &str| row.get(key).and_then(Value::as_i64).filter(|_| !is_view);
            let (rows, bytes) = (number("row_count"), number("bytes"));
            surveyed.contents.relations.push(name.clone());
            surveyed.relations.push(Relation { name, is_view, rows, bytes });
        }
        Ok(all)
    }

    fn glance(&mut self) -> Result<Option<Glance>> {
        self.glanced()
    }

    fn provision(&self, schema: &Name) -> Vec<Statement> {
        let (mark, _) = self.database.ledger_tables(schema);
        let granting = self.declared(schema);
        vec![Statement::Sql(self.database.create_schema(schema, &granting)), Statement::Sql(mark)]
    }

    fn provision_ledger(&self, schema: &Name) -> Vec<Statement> {
        let (_, others) = self.database.ledger_tables(schema);
        others.into_iter().map(Statement::Sql).collect()
    }

    fn copy(&mut self, base: &Name, schema: &Name) -> Result<Option<Vec<Statement>>> {
        self.copied(base, schema)
    }

    fn complete_copy(&mut self, schema: &Name, base: Option<&Name>) -> Result<Vec<Statement>> {
        self.completed_copy(schema, base)
    }

    /// A temporary table would prove nothing: it needs no privilege.
    fn try_write(&mut self, schema: &Name) -> Result<()> {
        let change = self.database.attempt(schema).map(Statement::Sql);
        self.apply(&change).with_context(|| {
            format!(
                "nothing was built, and dbt was not started: the role {} cannot make and drop a table in {}",
                self.settings.login.role,
                self.database.schema(schema.as_str())
            )
        })
    }

    fn claim(&mut self, name: &Name, schemas: &BTreeSet<String>) -> Result<Vec<Statement>> {
        if schemas.is_empty() { Ok(Vec::new()) } else { self.claimed(name, schemas) }
    }

    fn comment(&self, schema: &Name, comment: Option<&str>) -> Vec<Statement> {
        let record = comment.map(Record::of).unwrap_or_default().before(&self.declared(schema));
        vec![Statement::Sql(self.database.comment_on_schema(schema, &record))]
    }

    fn grant(&self, schema: &Name, comment: Option<&str>, again: bool) -> Vec<Statement> {
        // Without a comment it is only made by this change, with this one.
        let made = || Record::announced(&self.declared(schema));
        let record = comment.map_or_else(made, Record::of);
        self.converge(&statements::stored(schema), schema, &record, again)
    }

    fn other_further(&mut self, name: &Name) -> Result<Option<String>> {
        self.other_of_further(name)
    }

    fn adopt_further(&mut self, name: &Name) -> Result<Vec<Statement>> {
        self.adopted_further(name)
    }

    fn drop_schemas(&mut self, doomed: &Droppable) -> Result<Vec<Statement>> {
        let mut change = self.dropped_further(doomed.name())?;
        change.push(Statement::Sql(self.database.drop_schema(doomed.name())));
        Ok(change)
    }

    fn drop_rest(&mut self, name: &Name) -> Result<Vec<Statement>> {
        if let Some(other) = self.other_further(name)? {
            bail!(Refusal::OfAnotherProject(name.clone(), other));
        }
        self.dropped_further(name)
    }

    fn further_schemas(&mut self, environments: &[&str]) -> Result<BTreeMap<String, String>> {
        self.further(environments)
    }

    fn sweep(&mut self) -> Result<Vec<Statement>> {
        let found = self.relation_names(REGISTRY)?.unwrap_or_default();
        let tables = found.iter().filter_map(|relation| lease::sweep(&self.database, relation));
        let mut change: Vec<Statement> = tables.map(Statement::Sql).collect();
        change.extend(self.orphaned_further()?);
        Ok(change)
    }

    fn provision_registry(&self) -> Vec<Statement> {
        let tables = self.database.registry_tables();
        std::iter::once(self.database.create_registry()).chain(tables).map(Statement::Sql).collect()
    }
}

/// Whether a statement failed that takes away what is gone: a role that was dropped, or hidden from this one, keeps no
/// environment from being built.
fn is_needless(sql: &str, error: &anyhow::Error) -> bool {
    sql.starts_with("revoke ") && error.downcast_ref::<Failure>().is_some_and(Failure::is_absent)
}

/// What the rows of [`Database::contents`] say of each schema.
fn by_schema(rows: &[Row]) -> BTreeMap<String, Contents> {
    let mut all: BTreeMap<String, Contents> = BTreeMap::new();
    for row in rows {
        let name = text(row, "schema_name").unwrap_or_default().to_lowercase();
        let contents = all.entry(name).or_default();
        contents.comment = text(row, "comment").filter(|comment| !comment.is_empty());
        contents.relations.extend(text(row, "table_name").map(|name| rows::folded(&name)));
    }
    all
}

fn is_yes(row: &Row, key: &str) -> bool {
    text(row, key).is_some_and(|text| text == "YES")
}

fn text(row: &Row, key: &str) -> Option<String> {
    Some(row.get(key)?.as_str()?.to_owned())
}
