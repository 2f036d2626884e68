//! GitHub's REST API as it is documented, as far as `notify` uses it: authorization, pages and limits.

use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::notify::{Left, SHA};
use crate::support::server::{Reply, Request, Server};

fn token() -> String {
    ["ghs", "nobody_may_read_this"].join("_")
}

/// A repository as far as `notify` sees it.
#[derive(Default)]
pub(super) struct Repository {
    pub(super) comments: Vec<Value>,
    pub(super) checks: Vec<Value>,
    pub(super) statuses: Vec<Value>,
    pub(super) may_check: bool,
    pub(super) may_comment: bool,
}

pub(super) struct Fake {
    pub(super) server: Server,
    pub(super) repository: Arc<Mutex<Repository>>,
}

impl Fake {
    pub(super) fn new(repository: Repository) -> Self {
        let repository = Arc::new(Mutex::new(repository));
        let inner = Arc::clone(&repository);
        // GitHub's pages name their own address, which is known once a request comes.
        let server = Server::start(move |request| answer(&mut inner.lock().expect("a repository"), request));
        Self { server, repository }
    }

    pub(super) fn open() -> Self {
        Self::new(Repository { may_check: true, may_comment: true, ..Repository::default() })
    }

    pub(super) fn notify(&self, left: &Left) -> Command {
        let mut command = left.notify("github");
        command.envs([
            ("GITHUB_TOKEN", token().as_str()),
            ("GITHUB_REPOSITORY", "octo/lab"),
            ("GITHUB_API_URL", &self.server.url),
            ("GITHUB_EVENT_NAME", "issues"),
            ("GITHUB_SHA", SHA),
        ]);
        command
    }
}

pub(super) fn refusal(status: u16, why: &str) -> Reply {
    Reply::json(status, &json!({"message": why, "documentation_url": "https://docs.github.com"}))
}

/// Answers as GitHub documents it: authorization first, then the route, then the body's limits.
pub(super) fn answer(repository: &mut Repository, request: &Request) -> Reply {
    if request.header("authorization") != Some(&format!("Bearer {}", token())) {
        return refusal(401, "Bad credentials");
    }
    if request.header("user-agent").is_none_or(|agent| !agent.starts_with("xtask/")) {
        return refusal(403, "Request forbidden by administrative rules");
    }
    let Some(path) = request.path.strip_prefix("/repos/octo/lab/") else { return refusal(404, "Not Found") };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["issues", "42", "comments"]) => page(repository, request, query),
        ("POST", ["issues", "42", "comments"]) if !repository.may_comment => {
            refusal(403, "Resource not accessible by integration")
        }
        ("POST", ["issues", "42", "comments"]) => {
            let Ok(body) = comment_body(request) else { return refusal(422, "Body is too long") };
            let id = 1 + repository.comments.len();
            let new = comment(id, "Bot", "NONE", &body);
            repository.comments.push(new.clone());
            Reply::json(201, &new)
        }
        ("PATCH", ["issues", "comments", id]) => {
            let Ok(body) = comment_body(request) else { return refusal(422, "Body is too long") };
            let id: u64 = id.parse().expect("a number");
            let known = repository.comments.iter_mut().find(|comment| comment["id"] == id);
            let Some(known) = known else { return refusal(404, "Not Found") };
            known["body"] = body.into();
            Reply::json(200, known)
        }
        ("GET", ["commits", sha, "check-runs"]) => {
            // Newest first, as GitHub lists them; names come encoded.
            let is_it = |check: &&Value| {
                let name =
                    check["name"].as_str().unwrap().replace(' ', "+").replace('(', "%28").replace(')', "%29");
                check["head_sha"] == *sha && query.contains(&format!("check_name={name}&"))
            };
            let runs: Vec<&Value> = repository.checks.iter().rev().filter(is_it).collect();
            Reply::json(200, &json!({"total_count": runs.len(), "check_runs": runs}))
        }
        ("POST", ["check-runs"]) if !repository.may_check => {
            refusal(403, "Resource not accessible by integration")
        }
        ("POST", ["check-runs"]) => {
            let check = request.json();
            if check["status"] != "completed" || check["conclusion"].is_null() || !fits(&check["output"]) {
                return refusal(422, "Invalid request");
            }
            repository.checks.push(check);
            Reply::json(201, &json!({"id": repository.checks.len()}))
        }
        ("PATCH", ["check-runs", id]) => {
            let more = request.json();
            if !fits(&more["output"]) {
                return refusal(422, "Invalid request");
            }
            let at: usize = id.parse().expect("a number");
            let annotations =
                repository.checks[at - 1]["output"]["annotations"].as_array_mut().expect("a list");
            annotations.extend(more["output"]["annotations"].as_array().expect("a list").clone());
            Reply::json(200, &json!({"id": at}))
        }
        ("POST", ["statuses", sha]) => {
            let mut status = request.json();
            if status["description"].as_str().is_none_or(|text| text.chars().count() > 140) {
                return refusal(422, "description is too long");
            }
            status["sha"] = (*sha).into();
            repository.statuses.push(status);
            Reply::json(201, &json!({"id": 1}))
        }
        _ => refusal(404, "Not Found"),
    }
}

pub(super) fn comment(id: usize, kind: &str, association: &str, body: &str) -> Value {
    json!({"id": id, "body": body, "user": {"type": kind}, "author_association": association,
           "html_url": format!("https://github.com/octo/lab/issues/42#issuecomment-{id}")})
}

fn comment_body(request: &Request) -> Result<String, ()> {
    let body = request.json()["body"].as_str().expect("a body").to_owned();
    if (1..=65_536).contains(&body.chars().count()) { Ok(body) } else { Err(()) }
}

fn fits(output: &Value) -> bool {
    let annotations = output["annotations"].as_array().map_or(&[][..], Vec::as_slice);
    let whole = |annotation: &Value| {
        let lines = (annotation["start_line"].as_u64(), annotation["end_line"].as_u64());
        matches!(lines, (Some(start), Some(end)) if start >= 1 && end >= start)
            && annotation["path"].as_str().is_some_and(|path| !path.is_empty() && !path.starts_with('/'))
            && ["failure", "warning", "notice"].iter().any(|level| annotation["annotation_level"] == *level)
            && annotation["title"].as_str().is_some_and(|title| title.chars().count() <= 255)
            && annotation["message"].as_str().is_some_and(|text| !text.is_empty())
    };
    annotations.len() <= 50
        && annotations.iter().all(whole)
        && output["summary"].as_str().is_some_and(|text| text.chars().count() <= 65_535)
}

/// A page of the comments, with the links to the others.
fn page(repository: &Repository, request: &Request, query: &str) -> Reply {
    let value = |key: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .into_iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.parse::<usize>().expect("a number"))
    };
    let size = value("per_page").unwrap_or(30).min(100);
    let number = value("page").unwrap_or(1);
    let pages = repository.comments.chunks(size);
    let last = pages.len();
    let shown: Vec<Value> = pages.into_iter().nth(number - 1).unwrap_or_default().to_vec();
    let url = |page: usize| {
        let host = request.header("host").expect("a host");
        format!("<http://{host}/repos/octo/lab/issues/42/comments?per_page={size}&page={page}>")
    };
    let reply = Reply::json(200, &Value::from(shown));
    if number < last {
        reply.with("link", &format!(r#"{}; rel="next", {}; rel="last""#, url(number + 1), url(last)))
    } else {
        reply
    }
}
