//! Which repository, and with which token: what is given, else what git and `gh` know.
//!
//! The token comes from a variable or from `gh`, and goes into no argument, file or log.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::core::context;
use crate::system::github::remote::{GITHUB_COM, Place, of_remote};
use crate::system::github::{DEFAULT_API, GitHub};
use crate::system::{dialogue, git};

/// `gh` reads its token from a file or a keyring.
const PATIENCE: Duration = Duration::from_secs(30);

/// The repository on GitHub, and whether it is on github.com.
pub(super) fn connect(root: &Path, given: Option<&str>) -> Result<(GitHub, bool)> {
    let place = place(root, given)?;
    let api = context::variable("GITHUB_API_URL").unwrap_or_else(|| api(&place.host));
    let is_on_github_com = api.trim_end_matches('/') == DEFAULT_API;
    let token = token(&place.host)?;
    Ok((GitHub::of_administrator(&token, &place.repository, &api)?, is_on_github_com))
}

fn place(root: &Path, given: Option<&str>) -> Result<Place> {
    if let Some(repository) = given {
        let host = context::variable("GITHUB_SERVER_URL").and_then(|url| of_remote(&format!("{url}/x/x")));
        let host = host.map_or_else(|| GITHUB_COM.to_owned(), |place| place.host);
        return Ok(Place { host, repository: repository.to_owned() });
    }
    let advice =
        "give --repository OWNER/NAME, or make the repository with `gh repo create --source . --push`";
    let remote = git::output(git::command(root).args(["remote", "get-url", "origin"]))
        .with_context(|| format!("failed to read where the remote `origin` is; {advice}"))?;
    let remote = String::from_utf8_lossy(&remote).trim().to_owned();
    // The address itself may hold a password.
    of_remote(&remote).with_context(|| format!("the remote `origin` names no repository on GitHub; {advice}"))
}

fn api(host: &str) -> String {
    if host == GITHUB_COM { DEFAULT_API.to_owned() } else { format!("https://{host}/api/v3") }
}

fn token(host: &str) -> Result<String> {
    let set = ["GH_TOKEN", "GITHUB_TOKEN"].into_iter().find_map(context::variable);
    if let Some(token) = set {
        return Ok(token);
    }
    let advice = "run `gh auth login`, or set GH_TOKEN to a token that may administrate the repository";
    let said =
        dialogue::hold(Command::new("gh").args(["auth", "token", "--hostname", host]), Vec::new(), PATIENCE)
            .with_context(|| {
                format!("there is no token for {host}: GH_TOKEN is not set and gh does not start; {advice}")
            })?;
    let token = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    if !said.status.success() || token.is_empty() {
        bail!("there is no token for {host}: GH_TOKEN is not set and gh has none; {advice}");
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_ones_own_has_its_interface_below_its_address() {
        let own = of_remote("https://ghe.example.com/octo/lab").expect("a place");
        assert_eq!(api(&own.host), "https://ghe.example.com/api/v3");
        assert_eq!(api(GITHUB_COM), DEFAULT_API);
    }
}
