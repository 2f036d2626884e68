//! What went wrong at Snowflake, in words that say what to do: by Snowflake's own error codes.

use adbc_core::error::{Error, Status};
use thiserror::Error as ThisError;

use super::login::{Login, Way};
use super::oidc::Claims;

/// An error of Snowflake or of the way to it.
#[derive(Debug, ThisError)]
#[error("{}", self.text())]
pub(super) struct Failure {
    /// Snowflake's number, such as 390100; 0 if the connection failed.
    pub(super) code: i32,
    pub(super) message: String,
    pub(super) kind: Kind,
    advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Snowflake understood and said no.
    Refused,
    /// The way there broke, or Snowflake is too busy: the same may work in a moment.
    Passing,
    /// No answer in the time that was given.
    Timeout,
    /// The user pressed Ctrl-C.
    Interrupted,
}

impl Failure {
    pub(super) fn timeout(what: &str, seconds: u64) -> Self {
        Self {
            code: 0,
            message: format!("no answer to {what} within {seconds} s"),
            kind: Kind::Timeout,
            advice: Some(
                "check the network and SNOWFLAKE_ACCOUNT or SNOWFLAKE_HOST; XTASK_SNOWFLAKE_TIMEOUT gives it more \
                 seconds"
                    .to_owned(),
            ),
        }
    }

    /// `is_given`: by `SNOWFLAKE_HOST`; else the account's own address.
    pub(super) fn unknown_host(host: &str, is_given: bool) -> Self {
        let check = if is_given {
            "check SNOWFLAKE_HOST; without it the account's own address is used".to_owned()
        } else {
            "check SNOWFLAKE_ACCOUNT, which the address is made of, and the network".to_owned()
        };
        Self::on_the_way(format!("the host {host} is not known"), check)
    }

    pub(super) fn unreachable(host: &str, port: u16, error: &std::io::Error) -> Self {
        Self::on_the_way(
            format!("{host}:{port} cannot be reached: {error}"),
            "check the network, its firewall, and SNOWFLAKE_HOST and SNOWFLAKE_PORT".to_owned(),
        )
    }

    /// What was found without asking Snowflake, and will be found again.
    fn on_the_way(message: String, advice: String) -> Self {
        Self { code: 0, message, kind: Kind::Refused, advice: Some(advice) }
    }

    pub(super) fn interrupted() -> Self {
        Self { code: 0, message: "interrupted".to_owned(), kind: Kind::Interrupted, advice: None }
    }

    /// The driver's thread has ended, which only a crash explains.
    pub(super) fn lost() -> Self {
        Self {
            code: 0,
            message: "the Snowflake driver ended without an answer".to_owned(),
            kind: Kind::Passing,
            advice: None,
        }
    }

    /// `claims` are those of the token that was shown, for a login by workload identity.
    pub(super) fn of_driver(error: &Error, login: &Login, claims: Option<&Claims>) -> Self {
        let code = code_of(error);
        let message = tidy(&error.message);
        let kind = kind(code, error.status, &message);
        Self { advice: advice(code, kind, &message, login, claims), code, message, kind }
    }

    /// Whether a `create` failed because there is something of that name.
    pub(super) fn is_already_there(&self) -> bool {
        self.code == 2002 || self.message.contains("already exists")
    }

    /// Whether the session has ended, so that the statement was not run.
    pub(super) fn is_logged_out(&self) -> bool {
        matches!(self.code, 390_104 | 390_111 | 390_112 | 390_114 | 390_195)
    }

    /// Whether what a statement is about does not exist (or is hidden from the role).
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.code, 2003 | 2043)
    }

    fn text(&self) -> String {
        match &self.advice {
            Some(advice) => format!("{}\n{advice}", self.message),
            None => self.message.clone(),
        }
    }
}

/// The number is in its own field for an answer of Snowflake, and only in the text for some logins.
fn code_of(error: &Error) -> i32 {
    if error.vendor_code > 0 {
        return error.vendor_code;
    }
    let text = error.message.trim_start_matches("[Snowflake] ");
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    if digits.len() >= 6 { digits.parse().unwrap_or(0) } else { 0 }
}

/// The driver says its name and repeats its codes.
fn tidy(message: &str) -> String {
    let message = message.strip_prefix("[Snowflake] ").unwrap_or(message);
    let message = message.split(". Vendor code:").next().unwrap_or(message);
    let head = message.split(": ").next().unwrap_or_default();
    let repeated = format!("{head}: {head}: ");
    match message.strip_prefix(&repeated) {
        Some(rest) if head.contains('(') => format!("{head}: {rest}"),
        _ => message.to_owned(),
    }
}

/// The driver's own numbers begin at 260000; among them are those of a broken way to Snowflake.
fn kind(code: i32, status: Status, message: &str) -> Kind {
    let message = message.to_ascii_lowercase();
    let on_the_way = [
        "connection reset",
        "connection refused",
        "broken pipe",
        "unexpected eof",
        "no such host",
        "http status",
        "i/o timeout",
        "deadline exceeded",
        "server closed",
        "too many requests",
        "service unavailable",
        "eof",
    ];
    match (code, status) {
        (604 | 630, _) => Kind::Timeout,
        _ if is_forbidden(&message) => Kind::Refused,
        (_, Status::Cancelled) => Kind::Interrupted,
        // The driver reports every login problem as a connection error; only the message text distinguishes them.
        (0 | 260_000..=269_999, _) if on_the_way.iter().any(|part| message.contains(part)) => Kind::Passing,
        // Throttled (too many statements wait already), or no answer over HTTP.
        (610 | 261_000..=261_010, _) => Kind::Passing,
        _ => Kind::Refused,
    }
}

fn advice(code: i32, kind: Kind, message: &str, login: &Login, claims: Option<&Claims>) -> Option<String> {
    let text = match code {
        // These say the same for every way to log in.
        390_101 | 390_102 => "the user is disabled or locked: an administrator can `alter user … set disabled = false`".to_owned(),
        390_186 | 390_189 => format!("the role {} does not exist, or is not granted to the user: check SNOWFLAKE_ROLE", login.role),
        390_201 => format!("the database {} or the warehouse {} does not exist, or the role may not use it", login.database.as_str(), login.warehouse),
        390_420..=390_433 => "a network policy keeps this address out: an administrator can allow it (`show network policies`, `desc network policy …`)".to_owned(),
        _ if is_forbidden(message) => "HTTP 403: a network policy or a proxy refuses this address, or SNOWFLAKE_ACCOUNT is not known there: check SNOWFLAKE_ACCOUNT and SNOWFLAKE_HOST, and ask an administrator about network policies and private links".to_owned(),
        390_000..=399_999 if matches!(login.way, Way::WorkloadIdentity(_)) => refused_identity(code, login, claims),
        390_100 => wrong_password(&login.way),
        390_106 => "the password has expired: set a new one, or use a key pair".to_owned(),
        390_197 | 394_508 => second_factor(&login.way),
        390_110..=390_115 | 390_195 | 390_318 => format!("{} has expired: get a new one", credential(&login.way)),
        390_144 | 390_145 => "the key does not belong to the user, or this machine's clock is wrong (what is signed is valid for a minute): compare `desc user` RSA_PUBLIC_KEY_FP with the fingerprint of SNOWFLAKE_PRIVATE_KEY, check SNOWFLAKE_ACCOUNT and SNOWFLAKE_USER, and compare `date -u` with the true time".to_owned(),
        394_507 => "a programmatic access token needs a network policy on its user: an administrator can set one (`alter user … set network_policy = …`)".to_owned(),
        390_303 | 394_300..=394_600 => format!("{} is not valid for this user: check SNOWFLAKE_TOKEN and SNOWFLAKE_AUTHENTICATOR", credential(&login.way)),
        606 | 607 | 609 | 90_064 | 90_069 | 90_073 => format!("the warehouse {} is missing, suspended or out of credits: check SNOWFLAKE_WAREHOUSE, `alter warehouse … resume`, and its resource monitor", login.warehouse),
        90_030 => "the database holds more objects than Snowflake lists at once: keep environments in a database without others (SNOWFLAKE_DATABASE)".to_owned(),
        2043 | 2003 => format!("it does not exist, or the role {} may not see it", login.role),
        2120 => "a transient object cannot become a permanent one: choose another base, or start without `--base`".to_owned(),
        3001 | 3540 | 3041 => format!("the role {} lacks the privilege: grant it, or set another SNOWFLAKE_ROLE", login.role),
        604 | 630 => "the statement took too long or was cancelled: a larger warehouse, or more seconds in XTASK_SNOWFLAKE_TIMEOUT".to_owned(),
        390_000..=399_999 => format!("the login with {} was rejected: check the settings above", login.way.label()),
        _ if message.contains("no such host") || message.contains("404") => "there is no such account: check SNOWFLAKE_ACCOUNT (and SNOWFLAKE_HOST, where it is set)".to_owned(),
        _ if kind == Kind::Passing => "the way to Snowflake broke, or it is too busy: check the network, and try again".to_owned(),
        _ => return None,
    };
    Some(text)
}

/// Why a password is not enough any more.
const SINGLE_FACTOR: &str = "logins with only a password ended in October 2026 for all but trial accounts, and earlier for service users";

fn wrong_password(way: &Way) -> String {
    match way {
        Way::Password(_) => format!(
            "the user or the password is wrong: check SNOWFLAKE_USER and SNOWFLAKE_PASSWORD; and {SINGLE_FACTOR}: \
             use workload identity, a key pair or a programmatic access token"
        ),
        other => format!(
            "Snowflake does not accept {}: check SNOWFLAKE_USER and the credential",
            credential(other)
        ),
    }
}

fn second_factor(way: &Way) -> String {
    match way {
        Way::Password(_) => format!(
            "the account requires a second factor, which a program cannot give; {SINGLE_FACTOR}: use a key pair \
             (SNOWFLAKE_PRIVATE_KEY_PATH), a programmatic access token (SNOWFLAKE_AUTHENTICATOR, SNOWFLAKE_TOKEN) or \
             workload identity instead of SNOWFLAKE_PASSWORD"
        ),
        other => format!(
            "the account requires a second factor for {}: an administrator can make the user a service user (`alter \
             user … set type = service`) or change its authentication policy",
            other.label()
        ),
    }
}

/// The line that an administrator runs, made from the token itself: the documentation of its subject's form
/// may be older than the repository.
fn refused_identity(code: i32, login: &Login, claims: Option<&Claims>) -> String {
    let expired = if code == 390_303 { "the OIDC token has expired or " } else { "" };
    match claims {
        Some(claims) => format!(
            "{expired}no user has the token's subject {}: an administrator can run `{}`",
            claims.subject(),
            claims.statement(login.user.as_deref())
        ),
        None => {
            format!("{expired}the token is not an OIDC token with `iss` and `sub`: check SNOWFLAKE_TOKEN")
        }
    }
}

/// Whether the refusal is one of HTTP, before any login was looked at. The driver's words differ by version.
fn is_forbidden(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["http: 403", "http status: 403", "403 forbidden"].iter().any(|words| message.contains(words))
}

fn credential(way: &Way) -> &'static str {
    match way {
        Way::WorkloadIdentity(_) => "the workload identity token",
        Way::KeyPair { .. } => "the login token made from SNOWFLAKE_PRIVATE_KEY",
        Way::OAuth(_) => "the OAuth token in SNOWFLAKE_TOKEN",
        Way::AccessToken(_) => "the programmatic access token in SNOWFLAKE_TOKEN",
        Way::Password(_) => "SNOWFLAKE_PASSWORD or the session",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_snowflake_refused_is_not_sent_again() {
        for (code, message, expected) in [
            (390_100, "incorrect username or password", Kind::Refused),
            (390_201, "the requested database does not exist", Kind::Refused),
            (0, "unable to extract claims from token", Kind::Refused),
            (0, "Post \"http://x\": unexpected EOF", Kind::Passing),
            (261_000, "failed to POST: HTTP Status: 503", Kind::Passing),
            (261_000, "failed to POST: HTTP Status: 403", Kind::Refused),
            (610, "too many queued statements", Kind::Passing),
            (630, "statement reached its timeout", Kind::Timeout),
        ] {
            assert_eq!(kind(code, Status::IO, message), expected, "{message}");
        }
        assert_eq!(kind(0, Status::Cancelled, "context canceled"), Kind::Interrupted);
    }

    #[test]
    fn codes_and_texts_are_told_once() {
        let error = Error::with_message_and_status("[Snowflake] 390100 (08004): no", Status::IO);
        assert_eq!(code_of(&error), 390_100);
        let doubled = "[Snowflake] 002003 (02000): 002003 (02000): gone. Vendor code: 2003. SQLSTATE: 02000";
        assert_eq!(tidy(doubled), "002003 (02000): gone");
    }
}
