//! The OIDC token of workload identity, minted by GitHub for the running job.
//!
//! It lives for minutes, so it is minted just before each connection and each dbt process, and kept
//! nowhere. Actions masks the secrets that it handed out, not this one: we do that before its first use.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::login::{Identity, Secret};
use crate::core::context;
use crate::system::console;

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
