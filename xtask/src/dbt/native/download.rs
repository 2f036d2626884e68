//! Fetch a published file, from where this machine is set up to get such files, and prove that it is the one.
//!
//! A package index or registry of a company is used as pip, uv and npm would use it: by their variables and
//! configuration. Whatever answers, the digest decides.

use std::io::{Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::Url;
use reqwest::blocking::Client;
use sha2::{Digest as _, Sha256};

use super::pins::{Download, Origin};
use crate::core::context::variable;
use crate::dbt::python::redacted;
use crate::system::{console, hex, interrupt};

const INDEX: &str = "https://pypi.org/simple";
const INDEX_FILES: &str = "https://files.pythonhosted.org/packages";
const NPM: &str = "https://registry.npmjs.org";

/// Tries of one file. Between them the connection may have come back.
const ATTEMPTS: u32 = 3;

/// For one file: the largest has 50 MB, which a slow line brings in this time.
const LIMIT: Duration = Duration::from_mins(10);

/// An index page is text; one that is larger is a mistake.
const LARGEST_PAGE: u64 = 32 * 1024 * 1024;

/// Where files come from.
pub(crate) enum Source {
    Network(Client),
    /// A folder that already holds them under their published names.
    Folder(PathBuf),
}

impl Source {
    pub(crate) fn choose(folder: Option<&Path>) -> Result<Self> {
        if let Some(folder) = folder {
            return Ok(Self::Folder(folder.to_path_buf()));
        }
        // The provider is one for the process: a second one is refused, and the first one stays.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder()
            .user_agent(concat!("xtask/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .timeout(LIMIT)
            .build()
            .context("failed to set up TLS; check SSL_CERT_FILE")?;
        Ok(Self::Network(client))
    }

    /// The file, with its digest proven, from its start.
    pub(crate) fn fetch(&self, wanted: &Download, into: &Path) -> Result<std::fs::File> {
        let name = wanted.from.file_name();
        let mut file = tempfile::tempfile_in(into)
            .with_context(|| format!("failed to write to {}; is it writable?", into.display()))?;
        let digest = match self {
            Self::Folder(folder) => {
                let path = folder.join(&name);
                let mut given = std::fs::File::open(&path).with_context(|| {
                    format!("failed to read {}; download it from {}", path.display(), home(&wanted.from))
                })?;
                copy(&mut given, &mut file, &indicatif::ProgressBar::hidden())?
            }
            Self::Network(client) => download(client, &wanted.from, &name, &mut file)?,
        };
        if digest != wanted.sha256 {
            bail!(
                "{name} is not the file that is pinned: its SHA-256 is {digest}, expected {}; \
                 if a mirror changes packages, ask its owner",
                wanted.sha256
            );
        }
        file.seek(SeekFrom::Start(0)).context("failed to read the downloaded file")?;
        Ok(file)
    }
}

/// The page that people find the file on.
fn home(origin: &Origin) -> String {
    match origin {
        Origin::Index { package, .. } => format!("https://pypi.org/project/{package}/#files"),
        Origin::Release { base, file } => format!("{base}/{file}"),
        Origin::Npm { .. } => npm_address(NPM, origin),
    }
}

fn download(client: &Client, origin: &Origin, name: &str, file: &mut std::fs::File) -> Result<String> {
    let mut last = None;
    for attempt in 1..=ATTEMPTS {
        interrupt::check()?;
        file.set_len(0).and_then(|()| file.rewind()).context("failed to write the downloaded file")?;
        match address(client, origin).and_then(|url| get(client, url, name, file)) {
            Ok(digest) => return Ok(digest),
            Err(error) if error.is::<interrupt::Interrupted>() => return Err(error),
            Err(error) => {
                tracing::debug!("attempt {attempt} of {name}: {error:#}");
                last = Some(error);
            }
        }
    }
    let error = last.unwrap_or_else(|| anyhow!("no attempt was made"));
    Err(error.context(format!(
        "failed to download {name}; check the network (HTTPS_PROXY, or the mirror in PIP_INDEX_URL or \
         NPM_CONFIG_REGISTRY), or download it elsewhere and give its folder with --from"
    )))
}

fn get(client: &Client, url: Url, name: &str, file: &mut std::fs::File) -> Result<String> {
    let mut response = client.get(url).send().map_err(|error| reason(&error))?;
    if !response.status().is_success() {
        bail!("the server answered {}", response.status());
    }
    let bar = console::bar(
        response.content_length().unwrap_or_default(),
        "{spinner} {msg} {bytes}/{total_bytes} {bar:24} {elapsed:.dim}",
    );
    bar.set_message(format!("downloading {name}"));
    let digest = copy(&mut response, file, &bar);
    bar.finish_and_clear();
    digest
}

/// Copy to the end; the digest of what was copied.
fn copy(from: &mut impl Read, to: &mut impl Write, bar: &indicatif::ProgressBar) -> Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        interrupt::check()?;
        let read =
            from.read(&mut buffer).map_err(|error| anyhow!("the answer broke off ({})", error.kind()))?;
        if read == 0 {
            return Ok(hex::encode(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
        to.write_all(&buffer[..read]).context("failed to write the downloaded file; is the disk full?")?;
        bar.inc(read as u64);
    }
}

/// Without the address, which may hold a password.
fn reason(error: &reqwest::Error) -> anyhow::Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    anyhow!("there is no connection ({})", redacted(&cause.to_string()))
}

fn address(client: &Client, origin: &Origin) -> Result<Url> {
    let text = match origin {
        Origin::Release { base, file } => format!("{base}/{file}"),
        Origin::Npm { .. } => npm_address(&npm_registry(), origin),
        Origin::Index { package, file, path } => match index() {
            Some(index) => return of_index(client, &index, package, file),
            None => format!("{INDEX_FILES}/{path}/{file}"),
        },
    };
    Url::parse(&text).with_context(|| format!("not an address: {}", redacted(&text)))
}

fn npm_address(registry: &str, origin: &Origin) -> String {
    match origin {
        Origin::Npm { package, .. } => {
            format!("{}/{package}/-/{}", registry.trim_end_matches('/'), origin.file_name())
        }
        other => other.file_name(),
    }
}

/// The index that pip or uv is set up with, if it is not the public one.
fn index() -> Option<String> {
    let index = ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"].into_iter().find_map(variable)?;
    (index.trim_end_matches('/') != INDEX).then_some(index)
}

/// The registry that npm is set up with, by its variables or the user's `.npmrc`.
fn npm_registry() -> String {
    let named = ["NPM_CONFIG_REGISTRY", "npm_config_registry"].into_iter().find_map(variable);
    let configured = || {
        let home = variable("HOME").or_else(|| variable("USERPROFILE"))?;
        registry_of(&std::fs::read_to_string(Path::new(&home).join(".npmrc")).ok()?)
    };
    named.or_else(configured).unwrap_or_else(|| NPM.to_owned())
}

fn registry_of(npmrc: &str) -> Option<String> {
    npmrc.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "registry").then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The address of a file as an index's page of the package links to it.
fn of_index(client: &Client, index: &str, package: &str, file: &str) -> Result<Url> {
    let page = format!("{}/{package}/", index.trim_end_matches('/'));
    let page = Url::parse(&page).with_context(|| format!("not an address: {}", redacted(&page)))?;
    let response = client
        .get(page.clone())
        .header("accept", "application/vnd.pypi.simple.v1+json, text/html;q=0.5")
        .send()
        .map_err(|error| reason(&error))?;
    if !response.status().is_success() {
        bail!("the package index answered {} for {package}", response.status());
    }
    let mut text = String::new();
    response
        .take(LARGEST_PAGE)
        .read_to_string(&mut text)
        .with_context(|| format!("failed to read the index's page of {package}"))?;
    let link = link(&text, file).with_context(|| format!("the package index does not have {file}"))?;
    let mut url = page.join(&link).context("the package index gives an address that is not one")?;
    // A relative link keeps the login of the index; an absolute one to the same host gets it.
    if url.host_str() == page.host_str() && url.username().is_empty() {
        let _ = url.set_username(page.username());
        let _ = url.set_password(page.password());
    }
    Ok(url)
}

/// The link to `file` on a page of either format of the index.
fn link(page: &str, file: &str) -> Option<String> {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(page) {
        let mut files = json.get("files")?.as_array()?.iter();
        return files.find(|entry| entry["filename"] == file)?.get("url")?.as_str().map(str::to_owned);
    }
    let links = page.split("href=").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        rest[1..].split(quote).next()
    });
    let links = links.map(|link| link.split('#').next().unwrap_or(link).replace("&amp;", "&"));
    let mut links = links.filter(|link| link.rsplit('/').next() == Some(file));
    links.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_of_an_index_are_read() {
        let json = r#"{"files": [{"filename": "b.whl", "url": "/b.whl"}, {"filename": "a.whl", "url": "../p/a.whl"}]}"#;
        let html = "<a href='../p/b.whl'>b.whl</a> <a data-x=\"1\" href=\"../p/a.whl#sha256=12\">a.whl</a>";
        for page in [json, html] {
            assert_eq!(link(page, "a.whl").as_deref(), Some("../p/a.whl"), "{page}");
            assert_eq!(link(page, "c.whl"), None);
        }
    }

    #[test]
    fn a_registry_is_the_one_of_the_user() {
        assert_eq!(registry_of("a=1\nregistry = https://m/npm/\n").as_deref(), Some("https://m/npm/"));
        assert_eq!(registry_of("@x:registry=https://m/\n"), None);
        let origin = Origin::Npm { package: "@duckdb/lib", version: "1-r" };
        assert_eq!(npm_address("https://m/npm/", &origin), "https://m/npm/@duckdb/lib/-/lib-1-r.tgz");
    }

    #[test]
    fn another_file_than_the_pinned_one_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("x.whl"), "other").expect("written");
        let wanted = Download { from: Origin::Release { base: "https://h", file: "x.whl" }, sha256: "00" };
        let source = Source::choose(Some(folder.path())).expect("a source");
        let error = source.fetch(&wanted, folder.path()).expect_err("refused");
        assert!(error.to_string().contains("is not the file that is pinned"), "{error}");
    }
}
