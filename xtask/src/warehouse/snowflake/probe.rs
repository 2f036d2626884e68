//! What a login shows and gives away: for `doctor`, and for dbt.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::login::{Login, Secret, Way};
use super::send::LOGIN_SECONDS;
use super::{Settings, Snowflake, oidc, text};
use crate::core::environment::REGISTRY;
use crate::warehouse::Warehouse as _;

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
        Way::OAuth(token) | Way::AccessToken(token) => vec![("SNOWFLAKE_TOKEN", token.clone())],
        // As it is in our own environment.
        Way::Password(_) => Vec::new(),
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
        "{}: user {}, role {}, warehouse {}, with {}, driver {} ({:.1} s)",
        warehouse.describe(),
        value("user_name"),
        value("role_name"),
        value("warehouse"),
        warehouse.settings.login.way.label(),
        warehouse.driver_version().unwrap_or_else(|| "of an unknown version".to_owned()),
        begun.elapsed().as_secs_f32()
    ))
}
