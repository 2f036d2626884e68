//! The OIDC token of workload identity, minted by GitHub for the running job.
//!
//! It lives for minutes, so it is minted just before each connection and each dbt process, and kept
//! nowhere. Actions masks the secrets that it handed out, not this one: we do that before its first use.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::login::{Identity, Secret};
use super::statements::literal;
use crate::core::context;
use crate::system::console;
use crate::warehouse::quote;

/// What Snowflake expects the token to be for.
const AUDIENCE: &str = "snowflakecomputing.com";

#[derive(Deserialize)]
struct Minted {
    value: String,
}

/// A token for one login.
pub(super) fn token(identity: &Identity, limit: Duration) -> Result<Secret> {
    match identity {
        Identity::Given(token) => Ok(token.clone()),
        Identity::Actions { url, bearer } => mint(url, bearer, limit).context(
            "failed to mint an OIDC token on GitHub Actions; the job needs `permissions: id-token: write`",
        ),
    }
}

fn mint(url: &str, bearer: &Secret, limit: Duration) -> Result<Secret> {
    // One provider for the process; it is there already when a second token is minted.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::blocking::Client::builder().timeout(limit).build()?;
    let mut address: reqwest::Url = url.parse().context("ACTIONS_ID_TOKEN_REQUEST_URL is no address")?;
    address.query_pairs_mut().append_pair("audience", AUDIENCE);
    // The address may carry what should not be shown.
    let response =
        client.get(address).bearer_auth(bearer.reveal()).send().map_err(reqwest::Error::without_url)?;
    let status = response.status();
    if !status.is_success() {
        bail!("GitHub answered {status}");
    }
    let minted: Minted =
        response.json().map_err(reqwest::Error::without_url).context("GitHub sent no token")?;
    if context::on_actions() {
        console::line(&format!("::add-mask::{}", minted.value));
    }
    Ok(Secret::new(minted.value))
}

/// What a token says about its holder. Not secret: Snowflake compares it with the user's workload identity.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    sub: String,
}

impl Claims {
    /// Read from the token itself, because the form of `sub` depends on when the repository was created or
    /// renamed. The signature is for Snowflake to check. `None` if it is not a JWT with both claims.
    pub(crate) fn of(token: &Secret) -> Option<Self> {
        let body = token.reveal().split('.').nth(1)?;
        let body = URL_SAFE_NO_PAD.decode(body.trim_end_matches('=')).ok()?;
        let claims: Self = serde_json::from_slice(&body).ok()?;
        let is_plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        (is_plain(&claims.iss) && is_plain(&claims.sub)).then_some(claims)
    }

    pub(crate) fn subject(&self) -> &str {
        &self.sub
    }

    /// The statement by which an administrator lets the holder of this token log in as `user`.
    pub(crate) fn statement(&self, user: Option<&str>) -> String {
        format!(
            "alter user {} add workload identity {} type = oidc issuer = {} subject = {}",
            user.map_or_else(|| "USER_NAME".to_owned(), user_name),
            quote(&self.identity()),
            literal(&self.iss),
            literal(&self.sub)
        )
    }

    /// A name for the identity: one for each deployment environment.
    fn identity(&self) -> String {
        let environment = self.sub.rsplit_once(":environment:").map(|(_, name)| name);
        let name = environment.map_or_else(|| "github".to_owned(), |name| format!("github_{name}"));
        name.to_uppercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
    }
}

/// A user as SQL takes it: a name that needs no quotes was kept in upper case.
fn user_name(user: &str) -> String {
    let mut chars = user.chars();
    let is_simple = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_simple { user.to_ascii_uppercase() } else { quote(user) }
}

/// The claims of the token that a login with `identity` shows, for `doctor`.
pub(crate) fn inspect(identity: &Identity, limit: Duration) -> Result<Claims> {
    let token = token(identity, limit)?;
    Claims::of(&token)
        .context("the token is not a JWT with `iss` and `sub`; SNOWFLAKE_TOKEN takes an OIDC token")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> Secret {
        Secret::new(format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn the_statement_carries_the_tokens_own_subject() {
        let immutable = r#"{"iss": "https://i", "sub": "repo:o@12/r@34:environment:prod"}"#;
        let claims = Claims::of(&token(immutable)).expect("claims");
        assert_eq!(
            claims.statement(Some("logistics_ci")),
            "alter user LOGISTICS_CI add workload identity \"GITHUB_PROD\" type = oidc issuer = 'https://i' \
             subject = 'repo:o@12/r@34:environment:prod'"
        );
        assert!(claims.statement(None).starts_with("alter user USER_NAME add"));
        let hostile = r#"{"iss": "i", "sub": "repo:o/r:environment:it's a \\"}"#;
        let line = Claims::of(&token(hostile)).expect("claims").statement(Some("a\"b"));
        assert!(
            line.starts_with("alter user \"a\"\"b\" add workload identity \"GITHUB_IT_S_A__\""),
            "{line}"
        );
        assert!(line.ends_with("subject = 'repo:o/r:environment:it''s a \\\\'"), "{line}");
    }

    #[test]
    fn a_token_without_claims_gives_none() {
        for text in ["", "opaque", "a.b.c", "e30.e30.x"] {
            assert_eq!(Claims::of(&Secret::new(text)), None, "{text}");
        }
        assert_eq!(Claims::of(&token(r#"{"iss": "i", "sub": "a\nb"}"#)), None);
    }
}
