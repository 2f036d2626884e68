//! The repository that a remote of git names.

use std::path::Path;

use crate::system::git;

pub(crate) const GITHUB_COM: &str = "github.com";

/// A repository on a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: String,
    /// `owner/name`
    pub(crate) repository: String,
}

pub(crate) const ORIGIN: &str = "origin";

/// What a clone of a fork calls the repository that the fork was made of.
pub(crate) const UPSTREAM: &str = "upstream";

/// The repository that the remote `name` names, as `owner/name`.
pub(crate) fn repository(root: &Path, name: &str) -> Option<String> {
    let remote = git::output(git::command(root).args(["remote", "get-url", name])).ok()?;
    of_remote(String::from_utf8_lossy(&remote).trim()).map(|place| place.repository)
}

/// Host and repository of a remote's address, in any of git's ways to write one.
pub(crate) fn of_remote(remote: &str) -> Option<Place> {
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
        for remote in ["/srv/git/lab.git", "../lab", "https://github.com/octo", "", "file:///srv/octo/lab"] {
            assert_eq!(of_remote(remote), None, "{remote}");
        }
    }
}
