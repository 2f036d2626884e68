//! Which repository, and with which token: what is given, else what git and `gh` know.
//!
//! The token comes from a variable or from `gh`, and goes into no argument, file or log.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::core::context;
use crate::system::github::{DEFAULT_API, GitHub};
use crate::system::{dialogue, git};

/// `gh` reads its token from a file or a keyring.
const PATIENCE: Duration = Duration::from_secs(30);

const GITHUB_COM: &str = "github.com";

/// A repository on a server.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    /// `owner/name`
    repository: String,
}

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

/// The repository that the remote `origin` names, as `owner/name`.
pub(crate) fn origin(root: &Path) -> Option<String> {
    let remote = git::output(git::command(root).args(["remote", "get-url", "origin"])).ok()?;
    of_remote(String::from_utf8_lossy(&remote).trim()).map(|place| place.repository)
}

/// Host and repository of a remote's address, in any of git's ways to write one.
fn of_remote(remote: &str) -> Option<Place> {
    let (host, path) = match remote.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        None => remote.split_once(':')?,
    };
    let host = host.rsplit('@').next()?.split(':').next()?;
    // SSH over the HTTPS port uses a separate host.
    let host = if host == "ssh.github.com" { GITHUB_COM } else { host };
    let path = path.trim_matches('/');
    let repository = path.strip_suffix(".git").unwrap_or(path);
    let is_repository = repository.split('/').filter(|part| !part.is_empty()).count() == 2;
    (is_repository && host.contains(['.', 'l']) && !repository.contains("//"))
        .then(|| Place { host: host.to_ascii_lowercase(), repository: repository.to_owned() })
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
    fn every_way_to_write_a_remote_is_read() {
        let secret = ["ghp", "x"].join("_");
        for remote in [
            "https://github.com/octo/lab.git".to_owned(),
            "https://github.com/octo/lab/".to_owned(),
            format!("https://me:{secret}@github.com/octo/lab"),
            "git@github.com:octo/lab.git".to_owned(),
            "ssh://git@ssh.github.com:443/octo/lab.git".to_owned(),
            "github.com:octo/lab".to_owned(),
        ] {
            let place = of_remote(&remote).expect("a place");
            assert_eq!(
                (place.host.as_str(), place.repository.as_str()),
                ("github.com", "octo/lab"),
                "{remote}"
            );
        }
        let own = of_remote("https://ghe.example.com/octo/lab").expect("a place");
        assert_eq!(api(&own.host), "https://ghe.example.com/api/v3");
        for remote in ["/srv/git/lab.git", "../lab", "https://github.com/octo", "", "file:///srv/octo/lab"] {
            assert_eq!(of_remote(remote), None, "{remote}");
        }
    }
}
