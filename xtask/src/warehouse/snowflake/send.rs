//! One statement on its way: the session it goes through, what is tried again, and what a failure says.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Snowflake;
use super::classify::is_repeatable;
use super::failure::{Failure, Kind};
use super::session::{Limits, Session};
use crate::system::interrupt;
use crate::warehouse::Row;

/// Seconds that a login may take.
pub(super) const LOGIN_SECONDS: u64 = 30;

/// The first pause before a repetition; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

impl Snowflake {
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
        let begun = Instant::now();
        let mut attempt = 1;
        loop {
            // In whole seconds: the driver accepts those, and messages show them.
            let left = limits.login.as_secs().saturating_sub(begun.elapsed().as_secs()).max(1);
            let shortened = Limits { login: Duration::from_secs(left), ..limits };
            let opened =
                Session::open(&self.settings.driver, &self.settings.login, &self.settings.tag, shortened);
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
    pub(super) fn send(&self, sql: &str, bound: Option<&str>) -> Result<Vec<Row>> {
        let attempts = if is_repeatable(sql) { self.settings.patience.attempts } else { 1 };
        self.deliver(sql, bound, attempts, true)
    }

    /// Send a statement of a transaction that is open: only in its own session, and once.
    pub(super) fn send_within(&self, sql: &str, bound: Option<&str>) -> Result<Vec<Row>> {
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

    /// The version that the driver of the session says it has; unknown if there is no session.
    pub(super) fn driver_version(&self) -> Option<String> {
        self.held().as_ref().and_then(|session| session.driver_version().ok().flatten())
    }

    fn held(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
