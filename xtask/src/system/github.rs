//! The part of GitHub's REST API that the pipeline speaks: comments, checks, and the state of issues.
//!
//! Everything is about one repository, the workflow's own. The token goes to the API's address and to no
//! other: pages that an answer links to are followed only there.

mod checks;
mod issues;
pub(crate) mod remote;

use std::time::Duration;

use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub(crate) use self::checks::{Annotation, Check, CommitState, Conclusion, Level, Status};
pub(crate) use self::issues::{Permission, State};
use crate::system::http::{self, Answer, Failure, Http, Patience};

/// Of one list, a hundred entries each.
const MOST_PAGES: usize = 100;

/// The API of github.com.
pub(crate) const DEFAULT_API: &str = "https://api.github.com";

/// Why something could not be done, worded for the person who has to fix it.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("GITHUB_TOKEN is not set; in a workflow, `env: GITHUB_TOKEN: ${{{{ github.token }}}}` sets it")]
    NoToken,
    #[error("GITHUB_REPOSITORY is not set; it names the repository as owner/name")]
    NoRepository,
    #[error("GITHUB_REPOSITORY is {0:?}, which is not owner/name")]
    NotARepository(String),
    #[error("GITHUB_API_URL is no https address")]
    NotAnApi,
    #[error("failed to reach GitHub: {0}")]
    Http(#[from] Failure),
    #[error("GitHub does not know the token (401): it has expired, or is of another server")]
    Unauthorized,
    #[error("the token may not do this (403: {0}); give the job the permission it needs")]
    Forbidden(String),
    #[error("GitHub finds no such thing, or the token may not see it ({0})")]
    NotFound(u16),
    #[error("GitHub asks to slow down ({0}), for longer than this waits")]
    RateLimited(u16),
    #[error("GitHub refuses the request ({0}: {1})")]
    Refused(u16, String),
    #[error("GitHub has a problem ({0}); see https://www.githubstatus.com")]
    Unwell(u16),
    #[error("GitHub's answer is not what it should be: {0}")]
    Malformed(String),
}

type Result<T> = std::result::Result<T, Error>;

/// The API of one repository.
pub(crate) struct GitHub {
    http: Http,
    api: Url,
    /// Owner and name.
    repository: (String, String),
    token: String,
}

impl GitHub {
    /// As Actions sets it up: `GITHUB_TOKEN`, `GITHUB_REPOSITORY` and, on GitHub Enterprise,
    /// `GITHUB_API_URL`.
    pub(crate) fn from_env() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        Self::new(
            &variable("GITHUB_TOKEN").ok_or(Error::NoToken)?,
            &variable("GITHUB_REPOSITORY").ok_or(Error::NoRepository)?,
            &variable("GITHUB_API_URL").unwrap_or_else(|| DEFAULT_API.to_owned()),
            Patience::default(),
        )
    }

    /// A repository as its administrator sets it up: with a token of a person, and time for many calls.
    pub(crate) fn of_administrator(token: &str, repository: &str, api: &str) -> Result<Self> {
        let patience = Patience { total: Duration::from_mins(10), ..Patience::default() };
        Self::new(token, repository, api, patience)
    }

    fn new(token: &str, repository: &str, api: &str, patience: Patience) -> Result<Self> {
        let named = |part: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && part.chars().all(plain) && !part.chars().all(|c| c == '.')
        };
        let repository = match repository.trim().split_once('/') {
            Some((owner, name)) if named(owner) && named(name) => (owner.to_owned(), name.to_owned()),
            _ => return Err(Error::NotARepository(repository.to_owned())),
        };
        let api = http::address(api).map_err(|_| Error::NotAnApi)?;
        Ok(Self { http: Http::new(patience)?, api, repository, token: token.trim().to_owned() })
    }

    /// The address of something in the repository. Each part becomes one segment, whatever it contains.
    fn url(&self, parts: &[&str]) -> Result<Url> {
        let mut url = self.api.clone();
        let (owner, name) = &self.repository;
        url.path_segments_mut()
            .map_err(|()| Error::NotAnApi)?
            .pop_if_empty()
            .extend(["repos", owner, name])
            .extend(parts);
        Ok(url)
    }

    /// What is at a path below the repository, such as `["pages"]`.
    pub(crate) fn read<T: DeserializeOwned>(&self, parts: &[&str]) -> Result<T> {
        self.get(self.url(parts)?)
    }

    /// What is at a path of the API that belongs to no repository, such as `["users", "octocat"]`.
    pub(crate) fn read_elsewhere<T: DeserializeOwned>(&self, parts: &[&str]) -> Result<T> {
        let mut url = self.api.clone();
        url.path_segments_mut().map_err(|()| Error::NotAnApi)?.pop_if_empty().extend(parts);
        self.get(url)
    }

    /// All entries of a list, page by page. Some lists are the answer itself, others are under a `key` of it.
    pub(crate) fn read_all<T: DeserializeOwned>(&self, parts: &[&str], key: Option<&str>) -> Result<Vec<T>> {
        let mut url = self.url(parts)?;
        // More than a list allows is cut by GitHub to what it allows.
        url.set_query(Some("per_page=100"));
        let (mut next, mut all) = (Some(url), Vec::new());
        for _ in 0..MOST_PAGES {
            let Some(url) = next else { return Ok(all) };
            let answer = self.call(Method::GET, url, None::<&()>)?;
            let mut entries: Value = decode(&answer)?;
            if let Some(key) = key {
                entries = entries[key].take();
            }
            let entries: Vec<T> =
                serde_json::from_value(entries).map_err(|error| Error::Malformed(error.to_string()))?;
            all.extend(entries);
            next = self.next_page(&answer);
        }
        Err(Error::Malformed(format!("a list has more than {MOST_PAGES} pages")))
    }

    /// Change something below the repository. Most answers to a change are empty.
    pub(crate) fn change(&self, method: Method, parts: &[String], body: Option<&Value>) -> Result<()> {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.call(method, self.url(&parts)?, body).map(drop)
    }

    fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T> {
        decode(&self.call(Method::GET, url, None::<&()>)?)
    }

    fn send<B: Serialize, T: DeserializeOwned>(&self, method: Method, url: Url, body: &B) -> Result<T> {
        decode(&self.call(method, url, Some(body))?)
    }

    fn call<B: Serialize>(&self, method: Method, url: Url, body: Option<&B>) -> Result<Answer> {
        let mut request = self
            .http
            .request(method, url)
            .bearer_auth(&self.token)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = self.http.send(request)?;
        if answer.is_success() { Ok(answer) } else { Err(refusal(&answer)) }
    }

    /// The first entry of a list that `wanted` picks, asking for one page after the other.
    fn find<T: DeserializeOwned>(&self, first: Url, wanted: impl Fn(&T) -> bool) -> Result<Option<T>> {
        let mut next = Some(first);
        for _ in 0..MOST_PAGES {
            let Some(url) = next else { return Ok(None) };
            let answer = self.call(Method::GET, url, None::<&()>)?;
            let page: Vec<T> = decode(&answer)?;
            if let Some(found) = page.into_iter().find(&wanted) {
                return Ok(Some(found));
            }
            next = self.next_page(&answer);
        }
        Ok(None)
    }

    /// The `rel="next"` of the `Link` header, if it leads to the API.
    fn next_page(&self, answer: &Answer) -> Option<Url> {
        let next = answer.header("link")?.split(',').find_map(|link| {
            let (target, attributes) = link.split_once(';')?;
            let is_next = attributes.split(';').any(|attribute| attribute.trim() == "rel=\"next\"");
            is_next.then(|| target.trim().trim_start_matches('<').trim_end_matches('>').to_owned())
        })?;
        Url::parse(&next).ok().filter(|url| url.origin() == self.api.origin())
    }
}

fn decode<T: DeserializeOwned>(answer: &Answer) -> Result<T> {
    serde_json::from_slice(&answer.body).map_err(|error| Error::Malformed(error.to_string()))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    message: String,
    /// Texts, or objects with one: which field is wrong and why.
    errors: Vec<Value>,
}

impl Problem {
    fn text(&self) -> String {
        let detail = |error: &Value| {
            let text = error.as_str().or_else(|| error["message"].as_str()).map(str::to_owned);
            text.or_else(|| Some(format!("{}: {}", error["field"].as_str()?, error["code"].as_str()?)))
        };
        let message = Some(self.message.clone()).filter(|message| !message.is_empty());
        let all: Vec<String> = message.into_iter().chain(self.errors.iter().filter_map(detail)).collect();
        if all.is_empty() { "no reason given".to_owned() } else { all.join("; ") }
    }
}

fn refusal(answer: &Answer) -> Error {
    let problem: Problem = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = problem.text();
    match answer.status {
        status if answer.is_rate_limit() => Error::RateLimited(status),
        401 => Error::Unauthorized,
        403 => Error::Forbidden(message),
        status @ (404 | 410) => Error::NotFound(status),
        status if status >= 500 => Error::Unwell(status),
        status => Error::Refused(status, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn github(repository: &str, api: &str) -> Result<GitHub> {
        GitHub::new("t", repository, api, Patience::default())
    }

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| {
            ((*name).parse().expect("a header's name"), value.parse().expect("a header's value"))
        });
        Answer { status, headers: headers.collect(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn addresses_stay_in_the_repository() {
        let github = github("octo/lab", "https://ghe.example.com/api/v3").expect("a client");
        let url = |parts: &[&str]| github.url(parts).expect("a URL").to_string();
        let root = "https://ghe.example.com/api/v3/repos/octo/lab/";
        assert_eq!(url(&["issues", "7"]), format!("{root}issues/7"));
        let hostile = url(&["collaborators", "a/../../x?y#z", "permission"]);
        assert_eq!(hostile, format!("{root}collaborators/a%2F..%2F..%2Fx%3Fy%23z/permission"));
    }

    #[test]
    fn what_is_no_repository_is_refused() {
        for text in ["", "lab", "a/b/c", "../x", "a/..", "a b/c", "a/b?c"] {
            assert!(matches!(github(text, DEFAULT_API), Err(Error::NotARepository(_))), "{text}");
        }
        assert!(matches!(github("a/b", "http://api.example.com"), Err(Error::NotAnApi)));
    }

    #[test]
    fn pages_of_other_places_are_not_followed() {
        let github = github("octo/lab", "https://api.github.com").expect("a client");
        let next = |link: &str| {
            let found = github.next_page(&answer(200, &[("link", link)], "[]"));
            found.map(|url| url.to_string())
        };
        let last = r#"<https://api.github.com/x?page=9>; rel="last""#;
        let page = r#"<https://api.github.com/x?page=2>; rel="next""#;
        assert_eq!(next(&format!("{last}, {page}")).as_deref(), Some("https://api.github.com/x?page=2"));
        assert_eq!(next(last), None);
        assert_eq!(next(r#"<https://evil.example.com/x?page=2>; rel="next""#), None);
        assert_eq!(next("nonsense"), None);
    }

    #[test]
    fn refusals_say_what_to_do() {
        let said = |status, headers: &[(&'static str, &str)], body| {
            refusal(&answer(status, headers, body)).to_string()
        };
        assert!(said(401, &[], "").contains("expired"));
        assert!(
            said(403, &[], r#"{"message": "Resource not accessible"}"#).contains("Resource not accessible")
        );
        assert!(said(403, &[("retry-after", "60")], "{}").contains("slow down"));
        assert!(said(403, &[("x-ratelimit-remaining", "0")], "{}").contains("slow down"));
        assert!(said(404, &[], "<html>").contains("404"));
        assert!(said(422, &[], "{").contains("no reason given"));
        let errors =
            r#"{"message": "Validation Failed", "errors": [{"field": "name", "code": "invalid"}, "x"]}"#;
        assert!(said(422, &[], errors).contains("Validation Failed; name: invalid; x"));
        assert!(said(502, &[], "").contains("has a problem"));
    }
}
