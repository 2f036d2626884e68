//! How to log in to Snowflake, decided from the environment's variables before anything starts.
//!
//! Pure: variables go in, a [`Login`] or the list of everything that is wrong with them comes out.
//! The same variables are read by `dbt/profiles.yml`, so both halves of a run are the same user. An
//! empty variable counts as unset, because that is what a workflow makes of a secret that is not there.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::core::environment::Identifier;

/// Looks up a variable.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A value that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value itself, for the driver.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where to log in, as whom, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) account: String,
    /// Snowflake takes the user from the token of workload identity or OAuth, if there is one.
    pub(crate) user: Option<String>,
    pub(crate) role: String,
    pub(crate) warehouse: String,
    /// In upper case: that is how Snowflake keeps a name that was not quoted.
    pub(crate) database: Identifier,
    /// Another address than the account's own.
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    /// Without TLS, which is for an endpoint on this machine only.
    pub(crate) plain_http: bool,
    pub(crate) way: Way,
}

/// The ways to log in, most preferable first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    WorkloadIdentity(Identity),
    /// The key as PKCS #8 PEM.
    KeyPair {
        key: Secret,
        passphrase: Option<Secret>,
    },
    OAuth(Secret),
    AccessToken(Secret),
    Password(Secret),
}

/// Where the OIDC token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// `SNOWFLAKE_TOKEN` holds it.
    Given(Secret),
    /// GitHub mints one for this job whenever it is asked.
    Actions { url: String, bearer: Secret },
}

impl Way {
    /// What it is called in `SNOWFLAKE_AUTHENTICATOR`, and by dbt.
    pub(crate) fn authenticator(&self) -> &'static str {
        match self {
            Self::WorkloadIdentity(_) => "workload_identity",
            Self::KeyPair { .. } => "snowflake_jwt",
            Self::OAuth(_) => "oauth",
            Self::AccessToken(_) => "programmatic_access_token",
            Self::Password(_) => "snowflake",
        }
    }

    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::WorkloadIdentity(_) => "workload identity",
            Self::KeyPair { .. } => "a key pair",
            Self::OAuth(_) => "an OAuth token",
            Self::AccessToken(_) => "a programmatic access token",
            Self::Password(_) => "a password",
        }
    }
}

/// All problems of the settings at once, so that they need not be found and fixed one by one.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the settings for Snowflake do not add up\n  - {}", .0.join("\n  - "))]
pub(crate) struct Wrong(pub(crate) Vec<String>);

/// What `SNOWFLAKE_AUTHENTICATOR` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    WorkloadIdentity,
    KeyPair,
    OAuth,
    AccessToken,
    Password,
}

const ACCOUNT: &str = "SNOWFLAKE_ACCOUNT";
const USER: &str = "SNOWFLAKE_USER";
const PASSWORD: &str = "SNOWFLAKE_PASSWORD";
const AUTHENTICATOR: &str = "SNOWFLAKE_AUTHENTICATOR";
const KEY: &str = "SNOWFLAKE_PRIVATE_KEY";
const KEY_PATH: &str = "SNOWFLAKE_PRIVATE_KEY_PATH";
const PASSPHRASE: &str = "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE";
const TOKEN: &str = "SNOWFLAKE_TOKEN";
const MINT_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const MINT_BEARER: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

impl Login {
    /// The login that `variables` describe; `read` reads the file of a private key.
    pub(crate) fn decide(
        variables: Lookup<'_>,
        read: &dyn Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self, Wrong> {
        let mut settings = Settings { variables, wrong: Vec::new() };
        let account = settings.account();
        let role = settings.needed("SNOWFLAKE_ROLE", "the role to work as");
        let warehouse = settings.needed("SNOWFLAKE_WAREHOUSE", "the warehouse that computes");
        let database = settings.database();
        let (host, port, plain_http) = settings.address();
        let way = settings.way(read);
        let needs_user = !matches!(way, Some(Way::WorkloadIdentity(_) | Way::OAuth(_)) | None);
        let user = settings.get(USER);
        if needs_user && user.is_none() {
            settings.complain(format!("{USER} is not set: the user to log in as"));
        }
        match (account, role, warehouse, database, way) {
            (Some(account), Some(role), Some(warehouse), Some(database), Some(way))
                if settings.wrong.is_empty() =>
            {
                Ok(Self { account, user, role, warehouse, database, host, port, plain_http, way })
            }
            _ => Err(Wrong(settings.wrong)),
        }
    }

    /// Who was tried where, without any secret.
    pub(crate) fn tried(&self) -> String {
        let at = match (&self.host, self.port) {
            (Some(host), Some(port)) => format!(" at {host}:{port}"),
            (Some(host), None) => format!(" at {host}"),
            (None, _) => String::new(),
        };
        format!(
            "account {}{at}, user {}, role {}, warehouse {}, database {}, with {}",
            self.account,
            self.user.as_deref().unwrap_or("(named by the token)"),
            self.role,
            self.warehouse,
            self.database.as_str(),
            self.way.label(),
        )
    }
}

struct Settings<'a> {
    variables: Lookup<'a>,
    wrong: Vec<String>,
}

impl Settings<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.trim().is_empty())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn complain(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    fn needed(&mut self, name: &str, what: &str) -> Option<String> {
        let value = self.get(name);
        if value.is_none() {
            self.complain(format!("{name} is not set: {what}"));
        }
        value
    }

    fn account(&mut self) -> Option<String> {
        let account =
            self.needed(ACCOUNT, "the account identifier, such as MYORG-MYACCOUNT")?.trim().to_owned();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !account.chars().all(fits) || account.to_ascii_lowercase().contains("snowflakecomputing.com") {
            self.complain(format!(
                "{ACCOUNT} is {account:?}: it takes the account identifier alone, such as MYORG-MYACCOUNT, no address"
            ));
            return None;
        }
        Some(account)
    }

    fn database(&mut self) -> Option<Identifier> {
        let name = self.needed("SNOWFLAKE_DATABASE", "the database that environments are schemas of")?;
        match name.to_uppercase().try_into() {
            Ok(name) => Some(name),
            Err(why) => {
                self.complain(format!("SNOWFLAKE_DATABASE: {why}"));
                None
            }
        }
    }

    fn address(&mut self) -> (Option<String>, Option<u16>, bool) {
        let host = self.get("SNOWFLAKE_HOST");
        let port = self.get("SNOWFLAKE_PORT").and_then(|text| {
            let port = text.trim().parse().ok();
            if port.is_none() {
                self.complain(format!("SNOWFLAKE_PORT is {text:?}: it takes a number up to 65535"));
            }
            port
        });
        let protocol = self.get("SNOWFLAKE_PROTOCOL").map(|text| text.trim().to_ascii_lowercase());
        let plain_http = match protocol.as_deref() {
            None | Some("https") => false,
            Some("http") if host.as_deref().is_some_and(is_this_machine) => true,
            Some("http") => {
                self.complain(
                    "SNOWFLAKE_PROTOCOL is http, which sends the secret in clear: it is for SNOWFLAKE_HOST \
                     127.0.0.1 or localhost only",
                );
                false
            }
            Some(other) => {
                self.complain(format!("SNOWFLAKE_PROTOCOL is {other:?}: it is https or http"));
                false
            }
        };
        (host, port, plain_http)
    }

    fn way(&mut self, read: &dyn Fn(&str) -> std::io::Result<String>) -> Option<Way> {
        let asked = match self.get(AUTHENTICATOR) {
            Some(text) => self.asked(text.trim())?,
            None => self.inferred()?,
        };
        self.refuse_what_belongs_to_another(asked);
        match asked {
            Asked::WorkloadIdentity => self.identity().map(Way::WorkloadIdentity),
            Asked::KeyPair => {
                let key = self.key(read)?;
                Some(Way::KeyPair { key, passphrase: self.get(PASSPHRASE).map(Secret::new) })
            }
            Asked::OAuth => self.needed(TOKEN, "the OAuth access token").map(Secret::new).map(Way::OAuth),
            Asked::AccessToken => {
                self.needed(TOKEN, "the programmatic access token").map(Secret::new).map(Way::AccessToken)
            }
            Asked::Password => self.needed(PASSWORD, "the password").map(Secret::new).map(Way::Password),
        }
    }

    fn asked(&mut self, text: &str) -> Option<Asked> {
        match text.to_ascii_lowercase().as_str() {
            "workload_identity" => Some(Asked::WorkloadIdentity),
            "snowflake_jwt" => Some(Asked::KeyPair),
            "oauth" => Some(Asked::OAuth),
            "programmatic_access_token" => Some(Asked::AccessToken),
            "snowflake" => Some(Asked::Password),
            _ => {
                self.complain(format!(
                    "{AUTHENTICATOR} is {text:?}: it is workload_identity, snowflake_jwt (key pair), oauth, \
                     programmatic_access_token or snowflake (password)"
                ));
                None
            }
        }
    }

    /// The login method that the given credentials imply, if none is set explicitly.
    fn inferred(&mut self) -> Option<Asked> {
        let key = self.has(KEY) || self.has(KEY_PATH);
        match (key, self.has(TOKEN), self.has(PASSWORD)) {
            (true, false, false) => Some(Asked::KeyPair),
            (false, false, true) => Some(Asked::Password),
            (false, true, false) => {
                self.complain(format!(
                    "{TOKEN} is set, and {AUTHENTICATOR} does not say what it is: oauth, \
                     programmatic_access_token or workload_identity"
                ));
                None
            }
            (false, false, false) if self.has(MINT_URL) => Some(Asked::WorkloadIdentity),
            (false, false, false) => {
                self.complain(format!(
                    "nothing to log in with: set {KEY_PATH}, {KEY}, {TOKEN} or {PASSWORD}, or let the job mint a token \
                     (`permissions: id-token: write`) for workload identity"
                ));
                None
            }
            _ => {
                let set = [KEY, KEY_PATH, TOKEN, PASSWORD].into_iter().filter(|name| self.has(name));
                let set = set.collect::<Vec<_>>().join(", ");
                self.complain(format!(
                    "{set} are set at once: keep those of one way to log in, or say which with {AUTHENTICATOR}"
                ));
                None
            }
        }
    }

    /// A secret that the chosen login method does not use is a mistake: the user believes that it is what
    /// logs in.
    fn refuse_what_belongs_to_another(&mut self, asked: Asked) {
        let used: &[&str] = match asked {
            Asked::KeyPair => &[KEY, KEY_PATH, PASSPHRASE],
            Asked::WorkloadIdentity | Asked::OAuth | Asked::AccessToken => &[TOKEN],
            Asked::Password => &[PASSWORD],
        };
        for name in [KEY, KEY_PATH, PASSPHRASE, TOKEN, PASSWORD] {
            if self.has(name) && !used.contains(&name) {
                let why = if self.has(AUTHENTICATOR) {
                    format!("{AUTHENTICATOR} asks for another way to log in")
                } else {
                    "the other credentials are of another way to log in".to_owned()
                };
                self.complain(format!("{name} is set, but {why}: unset one of them"));
            }
        }
    }

    fn identity(&mut self) -> Option<Identity> {
        if let Some(token) = self.get(TOKEN) {
            return Some(Identity::Given(Secret::new(token)));
        }
        match (self.get(MINT_URL), self.get(MINT_BEARER)) {
            (Some(url), Some(bearer)) => Some(Identity::Actions { url, bearer: Secret::new(bearer) }),
            (url, bearer) => {
                let missing =
                    [(MINT_URL, url), (MINT_BEARER, bearer)].into_iter().filter(|(_, value)| value.is_none());
                let missing = missing.map(|(name, _)| name).collect::<Vec<_>>().join(" and ");
                self.complain(format!(
                    "{missing} not set: a job on GitHub Actions has them with `permissions: id-token: write`; \
                     elsewhere set {TOKEN} to an OIDC token"
                ));
                None
            }
        }
    }

    fn key(&mut self, read: &dyn Fn(&str) -> std::io::Result<String>) -> Option<Secret> {
        let (source, text) = match (self.get(KEY), self.get(KEY_PATH)) {
            (Some(_), Some(_)) => {
                self.complain(format!("{KEY} and {KEY_PATH} are both set: keep one of them"));
                return None;
            }
            (None, None) => {
                self.complain(format!("neither {KEY} nor {KEY_PATH} is set: the private key, or its file"));
                return None;
            }
            (Some(text), None) => (KEY.to_owned(), text),
            (None, Some(path)) => match read(&path) {
                Ok(text) => (format!("{KEY_PATH} ({path})"), text),
                Err(error) => {
                    self.complain(format!("{KEY_PATH} is {path:?}, which cannot be read: {error}"));
                    return None;
                }
            },
        };
        match pem(&text, self.has(PASSPHRASE)) {
            Ok(key) => Some(Secret::new(key)),
            Err(why) => {
                self.complain(format!("{source} {why}"));
                None
            }
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// `text` as the driver takes a key: PKCS #8 PEM. Secrets are often kept with `\n` for line ends, or
/// as the bare base64 that dbt takes too.
fn pem(text: &str, has_passphrase: bool) -> Result<String, String> {
    let text = text.replace("\\n", "\n").replace('\r', "");
    let text = text.trim();
    let begin = text.strip_prefix("-----BEGIN ").and_then(|rest| rest.split_once("-----"));
    let label = begin.map_or(if has_passphrase { ENCRYPTED } else { PLAIN }, |(label, _)| label);
    let body = begin.map_or(text, |(_, rest)| rest.split("-----").next().unwrap_or_default());
    match label {
        PLAIN if has_passphrase => return Err(format!("is not encrypted, so unset {PASSPHRASE}")),
        ENCRYPTED if !has_passphrase => return Err(format!("is encrypted, and {PASSPHRASE} is not set")),
        PLAIN | ENCRYPTED => {}
        other => {
            return Err(format!(
                "holds a {other:?}; convert it with `openssl pkcs8 -topk8 -in OLD -out rsa_key.p8` (-nocrypt for \
                 one without passphrase)"
            ));
        }
    }
    let body: String = body.split_whitespace().collect();
    if body.is_empty() || STANDARD.decode(&body).is_err() {
        return Err(
            "holds no private key in PEM; make one with `openssl genrsa 2048 | openssl pkcs8 -topk8`".into(),
        );
    }
    let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    Ok(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const BASE: [(&str, &str); 4] = [
        (ACCOUNT, "ORG-ACC"),
        ("SNOWFLAKE_ROLE", "R"),
        ("SNOWFLAKE_WAREHOUSE", "W"),
        ("SNOWFLAKE_DATABASE", "logistics_demo"),
    ];

    fn decide(more: &[(&str, &str)]) -> Result<Login, Wrong> {
        let all: BTreeMap<&str, &str> = BASE.iter().chain(more).copied().collect();
        Login::decide(&|name| all.get(name).map(|value| (*value).to_owned()), &|path| {
            if path == "/key.p8" { Ok(key(PLAIN)) } else { Err(std::io::ErrorKind::NotFound.into()) }
        })
    }

    fn key(label: &str) -> String {
        format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")
    }

    #[track_caller]
    fn way(more: &[(&str, &str)]) -> Way {
        decide(more).expect("a login").way
    }

    #[track_caller]
    fn complaints(more: &[(&str, &str)]) -> Vec<String> {
        decide(more).expect_err("a complaint").0
    }

    #[test]
    fn each_way_is_found_by_what_it_needs() {
        let user = (USER, "u");
        assert_eq!(way(&[user, (PASSWORD, "p")]), Way::Password(Secret::new("p")));
        assert!(matches!(way(&[user, (KEY_PATH, "/key.p8")]), Way::KeyPair { passphrase: None, .. }));
        let encrypted = key(ENCRYPTED).replace('\n', "\\n");
        assert!(matches!(
            way(&[user, (KEY, &encrypted), (PASSPHRASE, "x")]),
            Way::KeyPair { passphrase: Some(_), .. }
        ));
        assert_eq!(way(&[(AUTHENTICATOR, "OAUTH"), (TOKEN, "t")]), Way::OAuth(Secret::new("t")));
        assert_eq!(
            way(&[user, (AUTHENTICATOR, "programmatic_access_token"), (TOKEN, "t")]),
            Way::AccessToken(Secret::new("t"))
        );
        let mint = [(MINT_URL, "https://mint"), (MINT_BEARER, "b")];
        assert!(matches!(way(&mint), Way::WorkloadIdentity(Identity::Actions { .. })));
        assert!(matches!(
            way(&[(AUTHENTICATOR, "workload_identity"), (TOKEN, "t")]),
            Way::WorkloadIdentity(Identity::Given(_))
        ));
        assert_eq!(way(&[user, (PASSWORD, "p"), mint[0], mint[1]]).label(), "a password");
        assert_eq!(decide(&[user, (PASSWORD, "p")]).expect("a login").database.as_str(), "LOGISTICS_DEMO");
    }

    #[test]
    fn the_authenticator_that_is_told_to_dbt_is_one_that_is_understood() {
        let some = || Secret::new("x");
        for way in [
            Way::WorkloadIdentity(Identity::Given(some())),
            Way::KeyPair { key: some(), passphrase: None },
            Way::OAuth(some()),
            Way::AccessToken(some()),
            Way::Password(some()),
        ] {
            let mut settings = Settings { variables: &|_| None, wrong: Vec::new() };
            assert!(settings.asked(way.authenticator()).is_some(), "{way:?}");
        }
    }

    #[test]
    fn everything_missing_is_named_at_once() {
        let Wrong(all) = Login::decide(&|_| None, &|_| Ok(String::new())).expect_err("nothing is set");
        for name in
            [ACCOUNT, "SNOWFLAKE_ROLE", "SNOWFLAKE_WAREHOUSE", "SNOWFLAKE_DATABASE", KEY_PATH, PASSWORD]
        {
            assert!(all.iter().any(|line| line.contains(name)), "{name}: {all:?}");
        }
        assert_eq!(complaints(&[(PASSWORD, "p"), (USER, " ")]).len(), 1, "blank is unset");
    }

    /// Every combination of credentials, with every authenticator: a login uses all that is set for it
    /// and nothing else is set, or there is a complaint.
    #[test]
    fn no_combination_of_credentials_leaves_one_unused() {
        let pem = key(PLAIN);
        let values =
            [(KEY, pem.as_str()), (KEY_PATH, "/key.p8"), (PASSPHRASE, "x"), (TOKEN, "t"), (PASSWORD, "p")];
        let asked = [
            "",
            "workload_identity",
            "snowflake_jwt",
            "oauth",
            "programmatic_access_token",
            "snowflake",
            "x",
        ];
        for authenticator in asked {
            for chosen in 0..1_u32 << values.len() {
                let mut more = vec![(USER, "u"), (AUTHENTICATOR, authenticator)];
                more.extend(values.iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1).map(|(_, v)| *v));
                let set: Vec<&str> = more[2..].iter().map(|(name, _)| *name).collect();
                let fitting: &[&[&str]] = match authenticator {
                    "" => &[&[KEY], &[KEY_PATH], &[PASSWORD]],
                    "workload_identity" | "oauth" | "programmatic_access_token" => &[&[TOKEN]],
                    "snowflake_jwt" => &[&[KEY], &[KEY_PATH]],
                    "snowflake" => &[&[PASSWORD]],
                    _ => &[],
                };
                assert_eq!(
                    decide(&more).is_ok(),
                    fitting.contains(&set.as_slice()),
                    "{authenticator} {set:?}"
                );
            }
        }
    }

    #[test]
    fn addresses_and_protocols_are_checked() {
        let ok = [(USER, "u"), (PASSWORD, "p")];
        let with = |more: &[(&str, &str)]| decide(&[&ok, more].concat());
        assert!(
            with(&[("SNOWFLAKE_HOST", "127.0.0.1"), ("SNOWFLAKE_PROTOCOL", "http")])
                .expect("local")
                .plain_http
        );
        for wrong in [
            ("SNOWFLAKE_PROTOCOL", "http"),
            ("SNOWFLAKE_PROTOCOL", "ftp"),
            ("SNOWFLAKE_PORT", "99999"),
            (ACCOUNT, "https://org-acc.snowflakecomputing.com"),
            (ACCOUNT, "org acc"),
            ("SNOWFLAKE_DATABASE", "a\\b"),
        ] {
            let Wrong(said) = with(&[wrong]).expect_err("refused");
            assert!(said.len() == 1 && said[0].contains(wrong.0), "{said:?}");
        }
    }

    #[test]
    fn keys_come_as_pem_whatever_they_came_in() {
        assert_eq!(pem("AAAA", false).expect("bare base64"), key(PLAIN));
        assert_eq!(pem("AAAA", true).expect("bare base64"), key(ENCRYPTED));
        assert_eq!(pem(&key(PLAIN).replace('\n', "\r\n"), false).expect("PEM"), key(PLAIN));
        assert!(pem(&key(PLAIN), true).expect_err("not encrypted").contains(PASSPHRASE));
        assert!(pem(&key(ENCRYPTED), false).expect_err("encrypted").contains(PASSPHRASE));
        assert!(pem(&key("RSA PRIVATE KEY"), false).expect_err("PKCS #1").contains("openssl pkcs8"));
        assert!(pem("hello world!", false).is_err());
    }

    #[test]
    fn what_was_tried_is_told_without_the_secret() {
        let login = decide(&[(USER, "u"), (PASSWORD, "hidden-value")]).expect("a login");
        assert!(login.tried().contains("user u, role R") && !login.tried().contains("hidden-value"));
        assert!(!format!("{login:?}").contains("hidden-value"));
    }
}
