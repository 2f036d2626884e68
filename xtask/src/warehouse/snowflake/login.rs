//! How to log in to Snowflake, decided from the environment's variables before anything starts.
//!
//! Pure: variables go in, a [`Login`] or the list of everything that is wrong with them comes out.
//! The same variables are read by `dbt/profiles.yml`, so both halves of a run are the same user. An
//! empty variable counts as unset, because that is what a workflow makes of a secret that is not there.

mod pem;
mod settings;

use std::fmt;

use thiserror::Error;

use self::settings::{Settings, USER};
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

impl Login {
    /// The login that `variables` describe; `read` reads the file of a private key.
    pub(crate) fn decide(
        variables: Lookup<'_>,
        read: &dyn Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self, Wrong> {
        let mut settings = Settings { variables, wrong: Vec::new() };
        let account = settings.account();
        let role = settings.needed(settings::ROLE, "the role to work as");
        let warehouse = settings.needed(settings::WAREHOUSE, "the warehouse that computes");
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

    /// The variables that dbt would otherwise read with white space around their values.
    pub(crate) fn trimmed(variables: Lookup<'_>) -> Vec<(&'static str, String)> {
        let trim = |name: &'static str| {
            let value = variables(name)?;
            (value.trim() != value).then(|| (name, value.trim().to_owned()))
        };
        settings::PLAIN.into_iter().filter_map(trim).collect()
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

#[cfg(test)]
mod tests;
