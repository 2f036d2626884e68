//! The variables of a login: read, checked, and complained about all at once.

use super::pem::pem;
use super::{Identity, Lookup, Secret, Way};
use crate::core::environment::Identifier;

/// What `SNOWFLAKE_AUTHENTICATOR` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    WorkloadIdentity,
    KeyPair,
    OAuth,
    AccessToken,
    Password,
}

pub(super) const ACCOUNT: &str = "SNOWFLAKE_ACCOUNT";
pub(super) const USER: &str = "SNOWFLAKE_USER";
pub(super) const ROLE: &str = "SNOWFLAKE_ROLE";
pub(super) const WAREHOUSE: &str = "SNOWFLAKE_WAREHOUSE";
const HOST: &str = "SNOWFLAKE_HOST";
const PORT: &str = "SNOWFLAKE_PORT";
const PROTOCOL: &str = "SNOWFLAKE_PROTOCOL";

/// Those that dbt reads as they are, without the secrets.
pub(super) const PLAIN: [&str; 7] = [ACCOUNT, USER, ROLE, WAREHOUSE, HOST, PORT, PROTOCOL];

pub(super) const PASSWORD: &str = "SNOWFLAKE_PASSWORD";
pub(super) const AUTHENTICATOR: &str = "SNOWFLAKE_AUTHENTICATOR";
pub(super) const KEY: &str = "SNOWFLAKE_PRIVATE_KEY";
pub(super) const KEY_PATH: &str = "SNOWFLAKE_PRIVATE_KEY_PATH";
pub(super) const PASSPHRASE: &str = "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE";
pub(super) const TOKEN: &str = "SNOWFLAKE_TOKEN";
pub(super) const MINT_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
pub(super) const MINT_BEARER: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// The variables, and what is wrong with them.
pub(super) struct Settings<'a> {
    pub(super) variables: Lookup<'a>,
    pub(super) wrong: Vec<String>,
}

impl Settings<'_> {
    /// Without the white space around it, such as the line end of a pasted value; a password keeps its own.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let value = (self.variables)(name).filter(|value| !value.trim().is_empty())?;
        Some(if [PASSWORD, PASSPHRASE].contains(&name) { value } else { value.trim().to_owned() })
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn complain(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    pub(super) fn needed(&mut self, name: &str, what: &str) -> Option<String> {
        let value = self.get(name);
        if value.is_none() {
            self.complain(format!("{name} is not set: {what}"));
        }
        value
    }

    pub(super) fn account(&mut self) -> Option<String> {
        let account = self.needed(ACCOUNT, "the account identifier, such as MYORG-MYACCOUNT")?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !account.chars().all(fits) || account.to_ascii_lowercase().contains("snowflakecomputing.com") {
            self.complain(format!(
                "{ACCOUNT} is {account:?}: it takes the account identifier alone, such as MYORG-MYACCOUNT, no address"
            ));
            return None;
        }
        Some(account)
    }

    pub(super) fn database(&mut self) -> Option<Identifier> {
        let name = self.needed("SNOWFLAKE_DATABASE", "the database that environments are schemas of")?;
        match name.to_uppercase().try_into() {
            Ok(name) => Some(name),
            Err(why) => {
                self.complain(format!("SNOWFLAKE_DATABASE: {why}"));
                None
            }
        }
    }

    pub(super) fn address(&mut self) -> (Option<String>, Option<u16>, bool) {
        let host = self.get(HOST);
        let port = self.get(PORT).and_then(|text| {
            let port = text.parse().ok();
            if port.is_none() {
                self.complain(format!("SNOWFLAKE_PORT is {text:?}: it takes a number up to 65535"));
            }
            port
        });
        let protocol = self.get(PROTOCOL).map(|text| text.to_ascii_lowercase());
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

    pub(super) fn way(&mut self, read: &dyn Fn(&str) -> std::io::Result<String>) -> Option<Way> {
        let asked = match self.get(AUTHENTICATOR) {
            Some(text) => self.asked(&text)?,
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

    pub(super) fn asked(&mut self, text: &str) -> Option<Asked> {
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
