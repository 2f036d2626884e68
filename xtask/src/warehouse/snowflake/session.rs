//! One session at Snowflake: the driver on a separate thread, answers with a time limit.
//!
//! The driver is a shared library that blocks, retries by itself and knows nothing of Ctrl-C. So it
//! works on its own thread and we wait on ours: whatever the network does, a person gets an answer or
//! a reason in time. What does not answer a cancellation is left behind and ends with the process.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use adbc_core::error::Error;
use adbc_core::options::{InfoCode, OptionDatabase, OptionStatement, OptionValue};
use adbc_core::{CancelHandle, Connection as _, Database as _, Driver as _, Optionable as _, Statement as _};
use adbc_driver_manager::{ManagedConnection, ManagedDatabase, ManagedDriver};
use anyhow::{Context as _, Result};
use arrow_array::cast::AsArray as _;
use arrow_array::{ArrayRef, RecordBatch, StringArray};

use super::driver::Driver;
use super::failure::Failure;
use super::login::{Login, Way};
use super::oidc::{self, Claims};
use super::{reach, rows};
use crate::system::interrupt;
use crate::warehouse::Row;

/// How often we check for an interrupt.
const POLL: Duration = Duration::from_millis(50);

/// How long a cancelled statement may take to say so before it is left behind.
const GRACE: Duration = Duration::from_secs(2);

/// How much longer than we the driver waits: our words say more than its own.
const SLACK: Duration = Duration::from_secs(5);

/// Every statement carries the tag, so a session always has it, even after it is reopened.
const QUERY_TAG: &str = "adbc.snowflake.statement.query_tag";

/// The driver's version in the answer to that question.
const VERSION: &str = "driver_version";

/// How long the parts of a conversation may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) login: Duration,
    pub(super) statement: Duration,
}

enum Job {
    Statement {
        sql: String,
        /// The text bound to the statement's one `?`.
        bound: Option<String>,
    },
    /// The driver's own version.
    Version,
}

type Answer = Result<Vec<Row>, Error>;
type Cancel = Arc<Mutex<Option<Box<dyn CancelHandle>>>>;

pub(super) struct Session {
    jobs: Sender<Job>,
    answers: Receiver<Answer>,
    cancel: Cancel,
    login: Login,
    /// Of the token that was shown, for a login by workload identity.
    claims: Option<Claims>,
    limits: Limits,
}

impl Session {
    pub(super) fn open(driver: &Driver, login: &Login, tag: &str, limits: Limits) -> Result<Self> {
        let token = match &login.way {
            Way::WorkloadIdentity(identity) => Some(oidc::token(identity, limits.login)?),
            _ => None,
        };
        let options = options(login, token.as_ref().map(super::login::Secret::reveal), tag, limits);
        let obstacle = reach::obstacle(login);
        let (jobs, inbox) = channel();
        let (outbox, answers) = channel();
        let (ready, loaded) = channel();
        let cancel = Cancel::default();
        let (driver, tag) = (driver.clone(), tag.to_owned());
        let shared = Arc::clone(&cancel);
        std::thread::Builder::new()
            .name("snowflake".to_owned())
            .spawn(move || match driver.load() {
                Ok(driver) => {
                    drop(ready.send(Ok(())));
                    serve(driver, options, &tag, &inbox, &outbox, &shared);
                }
                Err(error) => drop(ready.send(Err(error))),
            })
            .context("failed to start a thread for the Snowflake driver")?;
        loaded.recv().map_err(|_| Failure::lost())??;
        let claims = token.as_ref().and_then(Claims::of);
        let session = Self { jobs, answers, cancel, login: login.clone(), claims, limits };
        session
            .wait("the login", limits.login, Some(&obstacle))
            .with_context(|| format!("failed to log in to Snowflake: tried {}", login.tried()))?;
        Ok(session)
    }

    /// The rows of one statement, with `bound` as the value of its one `?`.
    pub(super) fn run(&self, sql: &str, bound: Option<&str>) -> Result<Vec<Row>, Failure> {
        self.ask(Job::Statement { sql: sql.to_owned(), bound: bound.map(str::to_owned) })
    }

    /// The version that the driver says it has, if it says one. Some drivers ask Snowflake for its version too then.
    pub(super) fn driver_version(&self) -> Result<Option<String>, Failure> {
        let rows = self.ask(Job::Version)?;
        Ok(rows.first().and_then(|row| row.get(VERSION)?.as_str()).map(str::to_owned))
    }

    fn ask(&self, job: Job) -> Result<Vec<Row>, Failure> {
        self.jobs.send(job).map_err(|_| Failure::lost())?;
        self.wait("a statement", self.limits.statement, None)
    }

    /// The answer, or why none will come.
    fn wait(
        &self,
        what: &str,
        limit: Duration,
        obstacle: Option<&Receiver<Failure>>,
    ) -> Result<Vec<Row>, Failure> {
        let deadline = Instant::now() + limit;
        loop {
            match self.answers.recv_timeout(POLL) {
                Ok(answer) => {
                    let failure = |error| Failure::of_driver(&error, &self.login, self.claims.as_ref());
                    return answer.map_err(failure);
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::lost()),
                Err(RecvTimeoutError::Timeout) if interrupt::asked() => {
                    self.give_up();
                    return Err(Failure::interrupted());
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                    self.give_up();
                    return Err(Failure::timeout(what, limit.as_secs()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(failure) = obstacle.and_then(|failures| failures.try_recv().ok()) {
                        return Err(failure);
                    }
                }
            }
        }
    }

    /// Cancel what runs, so that it costs nothing at Snowflake either.
    fn give_up(&self) {
        let handle = self.cancel.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(handle) = handle else { return };
        // On a thread: cancelling asks the server, which may be the one that does not answer.
        std::thread::spawn(move || {
            if let Err(error) = handle.try_cancel() {
                tracing::debug!("failed to cancel a statement: {}", error.message);
            }
        });
        drop(self.answers.recv_timeout(GRACE));
    }
}

/// The driver's side: connect, then run one statement after another until no more requests can come.
fn serve(
    driver: ManagedDriver,
    options: Vec<(OptionDatabase, OptionValue)>,
    tag: &str,
    inbox: &Receiver<Job>,
    outbox: &Sender<Answer>,
    cancel: &Cancel,
) {
    let (_database, mut connection) = match connect(driver, options) {
        Ok(opened) => opened,
        Err(error) => return drop(outbox.send(Err(error))),
    };
    if outbox.send(Ok(Vec::new())).is_err() {
        return;
    }
    while let Ok(job) = inbox.recv() {
        let answer = match job {
            Job::Statement { sql, bound } => execute(&mut connection, &sql, bound.as_deref(), tag, cancel),
            Job::Version => Ok(vec![version(&connection)]),
        };
        cancel.lock().unwrap_or_else(PoisonError::into_inner).take();
        if outbox.send(answer).is_err() {
            return;
        }
    }
}

fn connect(
    mut driver: ManagedDriver,
    options: Vec<(OptionDatabase, OptionValue)>,
) -> Result<(ManagedDatabase, ManagedConnection), Error> {
    let database = driver.new_database_with_opts(options)?;
    let connection = database.new_connection()?;
    Ok((database, connection))
}

/// The driver's version; nothing if it does not say one.
fn version(connection: &ManagedConnection) -> Row {
    let said = || {
        let asked = HashSet::from([InfoCode::DriverVersion]);
        let batch = connection.get_info(Some(asked)).ok()?.next()?.ok()?;
        let values = batch.column_by_name("info_value")?.as_union_opt()?;
        let value = (batch.num_rows() == 1).then(|| values.value(0))?;
        Some(value.as_string_opt::<i32>()?.value(0).to_owned())
    };
    said().map(|version| (VERSION.to_owned(), version.into())).into_iter().collect()
}

fn execute(
    connection: &mut ManagedConnection,
    sql: &str,
    bound: Option<&str>,
    tag: &str,
    cancel: &Cancel,
) -> Answer {
    let mut statement = connection.new_statement()?;
    statement.set_option(OptionStatement::Other(QUERY_TAG.to_owned()), tag.into())?;
    statement.set_sql_query(sql)?;
    if let Some(text) = bound {
        let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let batch = RecordBatch::try_from_iter([("1", column)]).map_err(Error::from)?;
        statement.bind(batch)?;
    }
    *cancel.lock().unwrap_or_else(PoisonError::into_inner) = Some(statement.get_cancel_handle());
    if bound.is_some() {
        statement.execute_update()?;
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for batch in statement.execute()? {
        all.extend(rows::of_batch(&batch.map_err(Error::from)?)?);
    }
    Ok(all)
}

fn options(
    login: &Login,
    token: Option<&str>,
    tag: &str,
    limits: Limits,
) -> Vec<(OptionDatabase, OptionValue)> {
    let mut options = vec![
        named("account", &login.account),
        named("role", &login.role),
        named("warehouse", &login.warehouse),
        named("db", login.database.as_str()),
        client("app_name", "xtask"),
        client("disable_telemetry", "true"),
        client("login_timeout", &seconds(limits.login + SLACK)),
        // One exchange; long statements are polled for, so they are not bound by it.
        client("client_timeout", &seconds((limits.statement + SLACK).min(Duration::from_secs(90)))),
        client("request_timeout", &seconds(limits.statement + SLACK)),
        parameter("QUERY_TAG", tag),
        // So that abandoned statements end by themselves.
        parameter("STATEMENT_TIMEOUT_IN_SECONDS", &limits.statement.as_secs().to_string()),
    ];
    if let Some(user) = &login.user {
        options.push((OptionDatabase::Username, user.as_str().into()));
    }
    if let Some(host) = &login.host {
        options.push(named("uri.host", host));
    }
    if let Some(port) = login.port {
        options.push(named("uri.port", &port.to_string()));
    }
    if login.plain_http {
        options.push(named("uri.protocol", "http"));
    }
    let (auth_type, more) = credentials(&login.way, token);
    options.push(named("auth_type", auth_type));
    options.extend(more);
    options
}

fn credentials(way: &Way, minted: Option<&str>) -> (&'static str, Vec<(OptionDatabase, OptionValue)>) {
    match way {
        Way::WorkloadIdentity(_) => (
            "auth_wif",
            vec![client("identity_provider", "OIDC"), client("auth_token", minted.unwrap_or_default())],
        ),
        Way::KeyPair { key, passphrase } => {
            let key = client("jwt_private_key_pkcs8_value", key.reveal());
            let passphrase =
                passphrase.iter().map(|text| client("jwt_private_key_pkcs8_password", text.reveal()));
            ("auth_jwt", std::iter::once(key).chain(passphrase).collect())
        }
        Way::OAuth(token) => ("auth_oauth", vec![client("auth_token", token.reveal())]),
        Way::AccessToken(token) => ("auth_pat", vec![client("auth_token", token.reveal())]),
        Way::Password(password) => {
            ("auth_snowflake", vec![(OptionDatabase::Password, password.reveal().into())])
        }
    }
}

fn named(name: &str, value: &str) -> (OptionDatabase, OptionValue) {
    (OptionDatabase::Other(format!("adbc.snowflake.sql.{name}")), value.into())
}

fn client(name: &str, value: &str) -> (OptionDatabase, OptionValue) {
    named(&format!("client_option.{name}"), value)
}

/// What the driver does not know itself becomes a parameter of the session, without a statement for it.
fn parameter(name: &str, value: &str) -> (OptionDatabase, OptionValue) {
    (OptionDatabase::Other(name.to_owned()), value.into())
}

fn seconds(limit: Duration) -> String {
    format!("{}s", limit.as_secs().max(1))
}
