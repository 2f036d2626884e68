//! Snowflake, through the ADBC driver of the pinned wheel: a shared library, no Python is started.
//!
//! The driver is loaded and logs in only at the first statement. One session serves a command; what it may
//! repeat after a broken connection depends on the kind of statement, see [`is_repeatable`].

#[cfg(unix)]
mod broker;
mod classify;
mod failure;
mod family;
mod glance;
mod grants;
mod lease;
mod login;
mod oidc;
mod reach;
mod rows;
mod session;
mod statements;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use self::classify::{is_dml, is_repeatable};
use self::failure::{Failure, Kind};
use self::grants::Applied;
use self::session::{Limits, Session};
use self::statements::Database;
use super::{
    Columns, Contents, Glance, Relation, Row, Statement, Surveyed, Table, Warehouse, as_comments, columns,
};
use crate::core::environment::{Droppable, Identifier, Name, REGISTRY};
use crate::core::ledger::{self, tables};
use crate::core::policy::Grant;
use crate::system::interrupt;

#[cfg(unix)]
pub(crate) use self::broker::Broker;
pub(crate) use self::lease::Lease;
pub(crate) use self::login::{Login, Secret, Way};
pub(crate) use self::session::library;
pub(crate) use self::statements::marked_for;

/// Seconds that a login may take.
const LOGIN_SECONDS: u64 = 30;

/// The first pause before a repetition; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// `TABLES.TABLE_TYPE` of a view that `drop view` refuses.
const MATERIALIZED_VIEW: &str = "MATERIALIZED VIEW";

/// A text of JSON in one insert. Snowflake takes 16 MB.
const INSERT_BYTES: usize = 4 << 20;

/// All that is needed to talk to Snowflake, before anything is said.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) login: Login,
    /// The folder of the Python packages, which the driver is one of.
    pub(crate) packages: PathBuf,
    pub(crate) grants: Vec<Grant>,
    /// What every statement is tagged with: JSON.
    pub(crate) tag: String,
    /// The dbt project whose environments these are; it is part of the tag.
    pub(crate) project: Option<String>,
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
        let database = Database::new(&settings.login.database);
        Self { settings: Arc::new(settings), database, session: Arc::default() }
    }

    /// The same with a separate session, for what must not wait for a long statement.
    fn apart(&self) -> Self {
        Self { session: Arc::default(), ..self.clone() }
    }

    fn limits(&self) -> Limits {
        let statement = self.settings.patience.statement_seconds;
        Limits {
            login: Duration::from_secs(statement.min(LOGIN_SECONDS)),
            statement: Duration::from_secs(statement),
        }
    }

    /// Log in. That changes nothing, so a broken way there is tried again; all tries share one time limit.
    fn connect(&self) -> Result<Session> {
        let limits = self.limits();
        let driver = library(&self.settings.packages);
        let begun = Instant::now();
        let mut attempt = 1;
        loop {
            // In whole seconds: the driver accepts those, and messages show them.
            let left = limits.login.as_secs().saturating_sub(begun.elapsed().as_secs()).max(1);
            let shortened = Limits { login: Duration::from_secs(left), ..limits };
            let opened = Session::open(&driver, &self.settings.login, &self.settings.tag, shortened);
            match opened {
                Err(error)
                    if is_passing(&error)
                        && attempt < self.settings.patience.attempts
                        && is_worth_while(begun, limits.login) =>
                {
                    pause(attempt, &error)?;
                }
                opened => return opened,
            }
            attempt += 1;
        }
    }

    /// Send one statement, and retry it if that is safe.
    fn send(&self, sql: &str, bound: Option<&str>) -> Result<Vec<Row>> {
        let attempts = if is_repeatable(sql) { self.settings.patience.attempts } else { 1 };
        self.deliver(sql, bound, attempts, true)
    }

    /// Send a statement of a transaction that is open: only in its own session, and once.
    fn send_within(&self, sql: &str, bound: Option<&str>) -> Result<Vec<Row>> {
        if self.held().is_none() {
            bail!(
                "the session at Snowflake ended in the middle of a transaction, which is undone; run this again"
            );
        }
        self.deliver(sql, bound, 1, false)
    }

    fn deliver(
        &self,
        sql: &str,
        bound: Option<&str>,
        attempts: u32,
        may_reconnect: bool,
    ) -> Result<Vec<Row>> {
        let begun = Instant::now();
        let mut attempt = 1;
        let mut held = self.held();
        loop {
            let session = match held.take() {
                Some(session) => session,
                None => self.connect()?,
            };
            tracing::debug!("snowflake: {sql}");
            match session.run(sql, bound) {
                Ok(rows) => {
                    *held = Some(session);
                    return Ok(rows);
                }
                // Snowflake refused it, so the session is as good as before.
                Err(failure) if failure.kind == Kind::Refused && !failure.is_logged_out() => {
                    *held = Some(session);
                    return Err(failure).with_context(|| format!("Snowflake refused a statement\n{sql}"));
                }
                // A session that has ended has run nothing: a new one may, once.
                Err(failure) if failure.is_logged_out() && attempt == 1 && may_reconnect => {}
                Err(failure)
                    if failure.kind == Kind::Passing
                        && attempt < attempts
                        && is_worth_while(begun, self.limits().statement) =>
                {
                    pause(attempt, &failure.into())?;
                }
                Err(failure) if failure.kind == Kind::Interrupted => {
                    return Err(interrupt::Interrupted.into());
                }
                Err(failure) => {
                    return Err(failure).with_context(|| {
                        format!(
                            "failed to send a statement to Snowflake ({})\n{sql}",
                            self.settings.login.tried()
                        )
                    });
                }
            }
            attempt += 1;
        }
    }

    /// Bring the grants of the policy on a schema of the environment `name` from what was `applied` before to what is
    /// declared now; all of them `again`, also what was revoked by hand.
    fn converge(&self, stored: &str, name: &Name, applied: &Applied, again: bool) -> Vec<Statement> {
        let declared = grants::declared(&self.settings.grants, name);
        if *applied == declared && !again {
            return Vec::new();
        }
        let place = self.database.place(stored);
        let mut change = grants::revocations(&place, applied, &declared);
        change.extend(grants::grants(&place, &declared));
        if *applied != declared {
            change.push(self.database.comment_on_further(stored, name, &declared));
        }
        change.into_iter().map(Statement::Sql).collect()
    }

    /// Whether all relations of `found` belong to the role of this session: a clone of a whole schema keeps
    /// their owners, and only an owner can rebuild a table or drop a view.
    fn owns_all(&self, found: &[Row]) -> bool {
        let role = crate::core::policy::role_name(&self.settings.login.role);
        let mut owners = found.iter().filter_map(|row| text(row, "table_owner"));
        owners.all(|owner| owner == role)
    }

    /// Copy the tables of `base` one by one, without those that are `copied` already: what this role
    /// creates, it owns. The mark comes first, so that a copy that is cut short can be completed.
    fn clone_tables(
        &self,
        (base, schema): (&str, &str),
        is_transient: bool,
        found: &[Row],
        copied: &[Row],
    ) -> Result<Vec<Statement>> {
        let mut tables = Vec::new();
        for row in found.iter().filter(|row| is_table(row)) {
            let name = text(row, "table_name").unwrap_or_default();
            if copied.iter().any(|other| text(other, "table_name").as_deref() == Some(name.as_str())) {
                continue;
            }
            let is_mark = ledger::is_mark(&rows::folded(&name));
            let table: Identifier =
                name.try_into().map_err(|why: String| anyhow!("failed to copy a table of {base}: {why}"))?;
            let sql =
                self.database.clone_table(base, schema, &table, is_transient || is_yes(row, "is_transient"));
            tables.push((!is_mark, sql));
        }
        tables.sort();
        Ok(tables.into_iter().map(|(_, sql)| Statement::Sql(sql)).collect())
    }

    /// Drop the views that a clone carries, which would go on reading the base. `found` is what the base
    /// or the clone contains.
    fn drop_views(&self, schema: &str, found: &[Row]) -> Result<Vec<Statement>> {
        let mut change = Vec::new();
        for row in found {
            let is_view = text(row, "table_type").is_some_and(|kind| kind.contains("VIEW"));
            if let (true, Some(view)) = (is_view, text(row, "table_name")) {
                let view: Identifier = view
                    .try_into()
                    .map_err(|why: String| anyhow!("failed to copy a view into {schema}: {why}"))?;
                let kind = text(row, "table_type").unwrap_or_default();
                change.push(Statement::Sql(self.database.drop_view(
                    schema,
                    &view,
                    kind == MATERIALIZED_VIEW,
                )));
            }
        }
        Ok(change)
    }

    fn held(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A change's statements in groups: rows and what goes with them in one transaction each, the rest
    /// alone, because Snowflake commits before and after it anyway.
    fn steps(&self, change: &[Statement]) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut rows: Vec<Step> = Vec::new();
        for statement in change {
            match statement {
                Statement::Sql(sql) if is_dml(sql) => rows.push(Step::plain(sql)),
                Statement::Sql(sql) => {
                    steps.extend(transaction(std::mem::take(&mut rows)));
                    steps.push(Step::plain(sql));
                }
                Statement::Insert { table, rows: data } => {
                    let of = |chunk: &[Row]| Step {
                        sql: self.database.insert(table, &chunk[0]),
                        rows: chunk.to_vec(),
                    };
                    rows.extend(chunks(data, INSERT_BYTES).into_iter().map(of));
                }
                // Environments are schemas of one database here.
                Statement::Copy { .. } | Statement::Remove(_) => {}
            }
        }
        steps.extend(transaction(rows));
        steps
    }
}

/// One statement as it is sent, with the rows that are bound to its `?`.
#[derive(Debug, PartialEq)]
struct Step {
    sql: String,
    rows: Vec<Row>,
}

impl Step {
    fn plain(sql: &str) -> Self {
        Self { sql: sql.to_owned(), rows: Vec::new() }
    }

    fn bound(&self) -> Result<Option<String>> {
        if self.rows.is_empty() { Ok(None) } else { Ok(Some(serde_json::to_string(&self.rows)?)) }
    }
}

fn transaction(steps: Vec<Step>) -> Vec<Step> {
    if steps.len() < 2 {
        return steps;
    }
    std::iter::once(Step::plain("begin")).chain(steps).chain([Step::plain("commit")]).collect()
}

/// Rows in groups whose JSON stays below `limit`, except for a single row that is larger.
fn chunks(rows: &[Row], limit: usize) -> Vec<&[Row]> {
    let mut all = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, row) in rows.iter().enumerate() {
        let bytes = Value::Object(row.clone()).to_string().len();
        if index > start && size + bytes > limit {
            all.push(&rows[start..index]);
            (start, size) = (index, 0);
        }
        size += bytes;
    }
    if start < rows.len() {
        all.push(&rows[start..]);
    }
    all
}

fn is_passing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.kind == Kind::Passing)
}

/// Whether another attempt may still come to something: the driver, too, tries again until its time is over.
fn is_worth_while(begun: Instant, limit: Duration) -> bool {
    begun.elapsed() < limit / 2
}

/// Wait before the next attempt: twice as long each time, and never all at the same moment.
fn pause(attempt: u32, why: &anyhow::Error) -> Result<()> {
    interrupt::check()?;
    let jitter = f64::from(jiff::Timestamp::now().subsec_nanosecond() % 1_000) / 1_000.0;
    let wait = PAUSE.mul_f64(f64::from(1_u32 << (attempt - 1)) * (0.5 + jitter));
    tracing::info!("Snowflake did not answer ({}); trying again", first_line(&format!("{why:#}")));
    std::thread::sleep(wait);
    interrupt::check()?;
    Ok(())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

impl Warehouse for Snowflake {
    fn target(&self) -> &'static str {
        "snowflake"
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

    fn project(&self) -> Option<&str> {
        self.settings.project.as_deref()
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

    fn columns(&mut self, schemas: &[&str]) -> Result<Columns> {
        Ok(columns(&self.query(&self.database.columns(schemas))?, rows::folded))
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
        Ok(by_schema(&self.query(&self.database.contents(schemas))?))
    }

    /// A project may quote the names of its schemas, which are then not in upper case.
    fn built(&mut self, _: &Name, schemas: &[&str]) -> Result<BTreeMap<String, Contents>> {
        Ok(by_schema(&self.query(&self.database.contents_in_any_case(schemas))?))
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
        for row in self.query(&self.database.contents_of(&both))? {
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
        vec![Statement::Sql(self.database.create_schema(schema)), Statement::Sql(mark)]
    }

    fn provision_ledger(&self, schema: &Name) -> Vec<Statement> {
        let (_, others) = self.database.ledger_tables(schema);
        others.into_iter().map(Statement::Sql).collect()
    }

    fn copy(&mut self, base: &Name, schema: &Name) -> Result<Option<Vec<Statement>>> {
        let found = self.query(&self.database.contents(&[base.as_str()]))?;
        let Some(first) = found.first() else { return Ok(None) };
        if is_yes(first, "schema_is_transient") && !self.database.is_transient(schema) {
            bail!(
                "{schema} is permanent and {base} is transient, and Snowflake copies no transient schema into a \
                 permanent one (002120); build {schema} without `--base`"
            );
        }
        let mut change = if self.owns_all(&found) {
            let mut change = vec![Statement::Sql(self.database.clone_schema(base, schema))];
            change.extend(self.drop_views(&statements::stored(schema), &found)?);
            change
        } else {
            let mut change = vec![Statement::Sql(self.database.create_schema(schema))];
            let between = (statements::stored(base), statements::stored(schema));
            change.extend(self.clone_tables(
                (&between.0, &between.1),
                self.database.is_transient(schema),
                &found,
                &[],
            )?);
            change
        };
        // Before the environment's first schema, so that it exists only with all the others.
        change.splice(0..0, self.copied_further(base, schema)?);
        change.push(Statement::Sql(self.database.ledger_tables(schema).0));
        // A clone carries the base's grants, which are not those of this kind of environment.
        let inherited = text(first, "comment").map(|comment| grants::applied(&comment)).unwrap_or_default();
        let declared = grants::declared(&self.settings.grants, schema);
        let revoked = grants::revocations(&self.database.schema(schema.as_str()), &inherited, &declared);
        change.extend(revoked.into_iter().map(Statement::Sql));
        Ok(Some(change))
    }

    fn complete_copy(&mut self, schema: &Name, base: Option<&Name>) -> Result<Vec<Statement>> {
        let names: Vec<&str> = std::iter::once(schema).chain(base).map(Name::as_str).collect();
        let found = self.query(&self.database.contents(&names))?;
        let of = |name: &Name| -> Vec<Row> {
            let is_its = |row: &&Row| {
                text(row, "schema_name").is_some_and(|text| text.eq_ignore_ascii_case(name.as_str()))
            };
            found.iter().filter(is_its).cloned().collect()
        };
        let copied = of(schema);
        let mut change = self.drop_views(&statements::stored(schema), &copied)?;
        if let Some(base) = base {
            let between = (statements::stored(base), statements::stored(schema));
            change.extend(self.clone_tables(
                (&between.0, &between.1),
                self.database.is_transient(schema),
                &of(base),
                &copied,
            )?);
        }
        Ok(change)
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
        let applied = comment.map(grants::applied).unwrap_or_default();
        vec![Statement::Sql(self.database.comment_on_schema(schema, &applied))]
    }

    fn grant(&self, schema: &Name, comment: Option<&str>, again: bool) -> Vec<Statement> {
        let applied = comment.map(grants::applied).unwrap_or_default();
        self.converge(&statements::stored(schema), schema, &applied, again)
    }

    fn drop_schemas(&mut self, doomed: &Droppable) -> Result<Vec<Statement>> {
        let mut change = self.dropped_further(doomed.name())?;
        change.push(Statement::Sql(self.database.drop_schema(doomed.name())));
        Ok(change)
    }

    fn drop_rest(&mut self, name: &Name) -> Result<Vec<Statement>> {
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

fn is_table(row: &Row) -> bool {
    text(row, "table_type").is_some_and(|kind| kind == "BASE TABLE")
}

fn is_yes(row: &Row, key: &str) -> bool {
    text(row, key).is_some_and(|text| text == "YES")
}

fn text(row: &Row, key: &str) -> Option<String> {
    Some(row.get(key)?.as_str()?.to_owned())
}

/// The secrets of a login under the names that dbt's profile reads, with a token minted for it now.
pub(crate) fn dbt_secrets(login: &Login) -> Result<Vec<(&'static str, Secret)>> {
    Ok(match &login.way {
        Way::WorkloadIdentity(identity) => {
            vec![("SNOWFLAKE_TOKEN", oidc::token(identity, Duration::from_secs(LOGIN_SECONDS))?)]
        }
        // In the form that dbt reads as well, whatever form it was given in.
        Way::KeyPair { key, .. } => {
            vec![("SNOWFLAKE_PRIVATE_KEY", key.clone()), ("SNOWFLAKE_PRIVATE_KEY_PATH", Secret::new(""))]
        }
        // As they are in our own environment.
        Way::OAuth(_) | Way::AccessToken(_) | Way::Password(_) => Vec::new(),
    })
}

/// What the token of a workload identity says, and the statement that lets its holder log in; `None` for
/// the other ways to log in.
pub(crate) fn identity(login: &Login) -> Result<Option<(String, String)>> {
    let Way::WorkloadIdentity(identity) = &login.way else { return Ok(None) };
    let claims = oidc::inspect(identity, Duration::from_secs(LOGIN_SECONDS))?;
    Ok(Some((claims.subject().to_owned(), claims.statement(login.user.as_deref()))))
}

/// Log in and look around, for `doctor`: what the session may use, in words.
pub(crate) fn probe(settings: Settings) -> Result<String> {
    let mut warehouse = Snowflake::new(settings);
    let begun = Instant::now();
    let rows = warehouse.query(
        "select current_user() as user_name, current_role() as role_name, current_warehouse() as warehouse",
    )?;
    warehouse.contents(&[REGISTRY])?;
    let value = |key: &str| rows.first().and_then(|row| text(row, key)).unwrap_or_else(|| "none".to_owned());
    Ok(format!(
        "{}: user {}, role {}, warehouse {}, with {} ({:.1} s)",
        warehouse.describe(),
        value("user_name"),
        value("role_name"),
        value("warehouse"),
        warehouse.settings.login.way.label(),
        begun.elapsed().as_secs_f32()
    ))
}
