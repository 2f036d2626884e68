//! `cargo xtask github setup` and `cargo xtask doctor --github`, against a server that behaves like GitHub's REST API:
//! pages with a `Link` header, 403, 404, 422 and requests to slow down.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_box::SecretKey;
use serde_json::{Value, json};

use crate::support::server::{Reply, Request, Server};
use crate::support::{Ended, root, scrubbed};

const ADMIN: &str = "/repos/octo/lab";

fn token() -> String {
    ["gho", "administrator_of_the_lab"].join("_")
}

/// The key that secrets are encrypted for.
fn key() -> SecretKey {
    SecretKey::from([7; 32])
}

/// A new repository, as GitHub shows it.
struct Repository {
    about: Value,
    /// Lists by their path, such as `labels` and `environments/prod/variables`.
    lists: BTreeMap<String, Vec<Value>>,
    /// Single things by their path, such as `pages`.
    things: BTreeMap<String, Value>,
    /// Answers that come instead, by method and path, as often as listed.
    instead: Vec<(&'static str, String, Reply)>,
    number: u64,
}

impl Repository {
    fn new() -> Self {
        let things = [
            ("actions/permissions", json!({"enabled": true, "allowed_actions": "all"})),
            (
                "actions/permissions/workflow",
                json!({"default_workflow_permissions": "write", "can_approve_pull_request_reviews": true}),
            ),
            ("actions/oidc/customization/sub", json!({"use_default": true, "use_immutable_subject": true})),
        ];
        let label = |name: &str| json!({"id": 1, "name": name, "color": "d73a4a", "description": null});
        Self {
            about: json!({"id": 34, "name": "lab", "full_name": "octo/lab", "private": false, "default_branch": "main",
                          "owner": {"login": "octo", "id": 12}, "permissions": {"admin": true, "push": true}}),
            lists: [("labels".to_owned(), ["bug", "a", "b", "Feature"].map(label).into())].into(),
            things: things.map(|(path, value)| (path.to_owned(), value)).into(),
            instead: Vec::new(),
            number: 100,
        }
    }

    fn list(&mut self, path: &str) -> &mut Vec<Value> {
        self.lists.entry(path.to_owned()).or_default()
    }

    fn names(&self, path: &str) -> Vec<&str> {
        self.lists.get(path).into_iter().flatten().filter_map(|entry| entry["name"].as_str()).collect()
    }
}

struct Fake {
    server: Server,
    repository: Arc<Mutex<Repository>>,
}

impl Fake {
    fn new(repository: Repository) -> Self {
        let repository = Arc::new(Mutex::new(repository));
        let inner = Arc::clone(&repository);
        let server = Server::start(move |request| answer(&mut inner.lock().expect("a repository"), request));
        Self { server, repository }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = scrubbed(root());
        command.args(args).env("GH_TOKEN", token()).env("GITHUB_API_URL", &self.server.url);
        command.env("GITHUB_REPOSITORY", "octo/lab");
        command
    }

    #[track_caller]
    fn run(&self, args: &[&str], code: i32) -> Ended {
        let ended = Ended::of(self.command(args)).expect(code);
        assert!(!format!("{ended:?}").contains(&token()), "the token is shown: {ended:?}");
        ended
    }

    /// What changed something.
    fn writes(&self) -> Vec<String> {
        let requests = self.server.requests();
        let writes = requests.iter().filter(|request| request.method != "GET");
        writes
            .map(|request| format!("{} {}", request.method, request.path.trim_start_matches(ADMIN)))
            .collect()
    }

    fn check(&self, name: &str, code: i32) -> Value {
        let report = self.run(&["doctor", "--github", "--format", "json"], code).json_of("doctor");
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{report:#}")).clone()
    }
}

fn refusal(status: u16, why: &str) -> Reply {
    Reply::json(
        status,
        &json!({"message": why, "documentation_url": "https://docs.github.com", "status": status}),
    )
}

fn answer(repository: &mut Repository, request: &Request) -> Reply {
    if request.header("authorization") != Some(&format!("Bearer {}", token())) {
        return refusal(401, "Bad credentials");
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    if path == "/users/octocat" {
        return Reply::json(200, &json!({"login": "octocat", "id": 583_231}));
    }
    let Some(path) = path.strip_prefix(ADMIN) else { return refusal(404, "Not Found") };
    let path = path.trim_start_matches('/');
    let instead = |(method, of, _): &(&str, String, Reply)| *method == request.method && of == path;
    if let Some(at) = repository.instead.iter().position(instead) {
        return repository.instead.remove(at).2;
    }
    match request.method.as_str() {
        "GET" => get(repository, request, path, query),
        "POST" => post(repository, path, request.json()),
        "PUT" | "PATCH" => put(repository, path, request),
        "DELETE" => delete(repository, path),
        _ => refusal(405, "Method Not Allowed"),
    }
}

/// Lists are wrapped in an object, except those that GitHub returns as plain arrays; a page has two entries.
fn get(repository: &mut Repository, request: &Request, path: &str, query: &str) -> Reply {
    let last = path.rsplit('/').next().unwrap_or_default();
    if path.is_empty() {
        return Reply::json(200, &repository.about);
    }
    if last == "public-key" {
        let public = STANDARD.encode(key().public_key().as_bytes());
        return Reply::json(200, &json!({"key_id": "k1", "key": public}));
    }
    if path.starts_with("actions/organization-") {
        return refusal(404, "Not Found");
    }
    if path.starts_with("rules/branches/") {
        let rules = repository.list("rulesets").iter().filter(|ruleset| ruleset["enforcement"] == "active");
        let rules: Vec<Value> =
            rules.flat_map(|ruleset| ruleset["rules"].as_array().unwrap().clone()).collect();
        return Reply::json(200, &Value::from(rules));
    }
    if let Some(id) = path.strip_prefix("rulesets/") {
        let found = repository.list("rulesets").iter().find(|ruleset| has_number(ruleset, id)).cloned();
        return found.map_or_else(|| refusal(404, "Not Found"), |found| Reply::json(200, &found));
    }
    let wrapped = match last {
        "labels" | "rulesets" => None,
        "deployment-branch-policies" => Some("branch_policies"),
        "environments" | "variables" | "secrets" => Some(last),
        _ => {
            let thing = repository.things.get(path);
            return thing.map_or_else(|| refusal(404, "Not Found"), |thing| Reply::json(200, thing));
        }
    };
    let all = repository.list(path).clone();
    let page = query.split('&').find_map(|part| part.strip_prefix("page="));
    let page: usize = page.map_or(1, |page| page.parse().unwrap());
    let shown: Vec<Value> = all.iter().skip(2 * (page - 1)).take(2).cloned().collect();
    let body = match wrapped {
        Some(key) => json!({"total_count": all.len(), key: shown}),
        None => Value::from(shown),
    };
    let reply = Reply::json(200, &body);
    if all.len() <= 2 * page {
        return reply;
    }
    let here = format!("http://{}{ADMIN}/{path}", request.header("host").unwrap());
    reply.with("link", &format!("<{here}?per_page=100&page={}>; rel=\"next\"", page + 1))
}

fn has_number(entry: &Value, number: &str) -> bool {
    number.parse::<u64>().is_ok_and(|number| entry["id"] == number)
}

fn post(repository: &mut Repository, path: &str, mut body: Value) -> Reply {
    repository.number += 1;
    body["id"] = repository.number.into();
    let named = body["name"].clone();
    let wrong = match path {
        "labels" => body["color"].as_str().is_none_or(|color| color.len() != 6),
        "rulesets" => body["conditions"]["ref_name"]["include"].as_array().is_none_or(Vec::is_empty),
        "pages" => body["build_type"] != "workflow",
        _ => named.is_null(),
    };
    let exists = |known: &Value| known["name"].to_string().eq_ignore_ascii_case(&named.to_string());
    if wrong || path != "pages" && repository.list(path).iter().any(exists) {
        let errors = json!([{"resource": path, "code": "already_exists", "field": "name"}]);
        return Reply::json(422, &json!({"message": "Validation Failed", "errors": errors}));
    }
    if path == "pages" {
        body["public"] = true.into();
        repository.things.insert("pages".to_owned(), body.clone());
    } else {
        repository.list(path).push(body.clone());
    }
    Reply::json(201, &body)
}

fn put(repository: &mut Repository, path: &str, request: &Request) -> Reply {
    let body = request.json();
    if let Some(thing) = repository.things.get_mut(path) {
        thing.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        return Reply::new(204, "");
    }
    let (list, name) = path.rsplit_once('/').unwrap();
    let is_environment = list == "environments";
    let is_secret = list.ends_with("/secrets");
    let found = repository.list(list).iter().position(|entry| {
        entry["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
            || has_number(entry, name)
    });
    let mut entry = match found {
        Some(at) => repository.list(list).remove(at),
        None if is_environment || is_secret => json!({"name": name}),
        None => return refusal(404, "Not Found"),
    };
    entry.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    if is_environment {
        let reviewers = body["reviewers"].as_array().unwrap().iter();
        let reviewers: Vec<Value> =
            reviewers.map(|one| json!({"type": one["type"], "reviewer": {"id": one["id"]}})).collect();
        entry["protection_rules"] = if reviewers.is_empty() {
            json!([])
        } else {
            json!([{"type": "required_reviewers", "reviewers": reviewers}])
        };
    }
    repository.list(list).push(entry);
    Reply::json(200, &json!({}))
}

fn delete(repository: &mut Repository, path: &str) -> Reply {
    let (list, id) = path.rsplit_once('/').unwrap();
    repository.list(list).retain(|entry| !has_number(entry, id));
    Reply::new(204, "")
}

#[test]
fn a_new_repository_is_set_up_once_and_doctor_agrees() {
    let fake = Fake::new(Repository::new());
    let planned = fake.run(&["github", "setup", "--dry-run"], 0);
    assert!(planned.stdout.contains("would create the environment \"prod\""), "{}", planned.stdout);
    assert!(fake.writes().is_empty(), "{:?}", fake.writes());
    assert_eq!(fake.check("ruleset", 1)["status"], "fail");

    fake.run(&["github", "setup"], 0);
    {
        let repository = fake.repository.lock().unwrap();
        assert_eq!(repository.names("labels"), ["bug", "a", "b", "Feature", "cleanup", "skip"]);
        assert_eq!(repository.names("environments/prod/deployment-branch-policies"), ["main"]);
        assert_eq!(repository.names("environments/dev/deployment-branch-policies"), ["develop"]);
        assert_eq!(repository.names("environments/preview/deployment-branch-policies"), [""; 0]);
        assert_eq!(repository.things["actions/permissions/workflow"]["default_workflow_permissions"], "read");
        assert!(repository.lists["rulesets"][0].to_string().contains("\"context\":\"gate\""));
    }
    let report = fake.run(&["doctor", "--github", "--format", "json"], 0).json();
    assert_eq!(report["status"], "ok", "{report:#}");
    assert!(report.to_string().contains("repo:octo@12/lab@34:environment:prod"), "{report:#}");

    let before = fake.writes();
    let again = fake.run(&["github", "setup"], 0);
    assert!(again.stdout.contains("nothing was to be done"), "{}", again.stdout);
    assert_eq!(fake.writes(), before, "a second run changes nothing");
}

#[test]
fn secrets_come_from_standard_input_and_leave_encrypted() {
    let fake = Fake::new(Repository::new());
    let value = ["-----BEGIN KEY-----", "hunter2hunter=", "-----END KEY-----"].join("\n");
    let input =
        format!("SLACK_WEBHOOK_URL=https://hooks.example.com/x\nprod.SNOWFLAKE_PRIVATE_KEY=\"{value}\"\n");
    let mut command = fake.command(&["-vv", "github", "setup", "--secrets"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap()).expect(0);
    assert!(
        !format!("{ended:?}").contains("hunter2") && !format!("{ended:?}").contains("hooks.example"),
        "{ended:?}"
    );
    let requests = fake.server.requests();
    assert!(
        requests.iter().all(|request| !request.body.contains("hunter2") && !request.path.contains("hunter2"))
    );
    let repository = fake.repository.lock().unwrap();
    let opened = |list: &str| -> Vec<String> {
        let open = |entry: &Value| {
            assert_eq!(entry["key_id"], "k1");
            let bytes = STANDARD.decode(entry["encrypted_value"].as_str().unwrap()).unwrap();
            String::from_utf8(key().unseal(&bytes).unwrap()).unwrap()
        };
        repository.lists[list].iter().map(open).collect()
    };
    assert_eq!(opened("environments/prod/secrets"), [value]);
    assert_eq!(opened("actions/secrets"), ["https://hooks.example.com/x"]);
}

#[test]
fn what_github_refuses_is_reported_and_the_rest_is_done() {
    let mut repository = Repository::new();
    repository.about["private"] = true.into();
    let plan = "Upgrade to GitHub Pro or make this repository public to enable this feature.";
    for path in ["rules/branches/main", "rules/branches/main"] {
        repository.instead.push(("GET", path.to_owned(), refusal(403, plan)));
    }
    repository.instead.push((
        "PUT",
        "environments/prod".to_owned(),
        refusal(422, "Failed to create the rule"),
    ));
    // A busy GitHub says when to come back, with either status.
    repository.instead.push((
        "GET",
        "labels".to_owned(),
        refusal(403, "secondary rate limit").with("retry-after", "0"),
    ));
    repository.instead.push(("POST", "labels".to_owned(), Reply::new(429, "").with("retry-after", "0")));
    let fake = Fake::new(repository);
    let ended = fake.run(&["github", "setup"], 2);
    assert!(
        ended.stderr.contains("create the environment \"prod\": GitHub refuses the request (422: Failed to"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("not tried") && ended.stderr.contains("Upgrade to GitHub Pro"),
        "{}",
        ended.stderr
    );
    {
        let repository = fake.repository.lock().unwrap();
        assert_eq!(repository.names("labels").len(), 6);
        assert_eq!(repository.names("environments"), ["dev", "maintenance", "preview"]);
    }
    let ended = fake.run(&["github", "setup"], 0);
    assert!(
        ended.stdout.contains("create the environment \"prod\""),
        "what was refused is done now: {}",
        ended.stdout
    );
}

#[test]
fn who_may_not_administrate_changes_nothing() {
    let mut repository = Repository::new();
    repository.about["permissions"]["admin"] = false.into();
    let fake = Fake::new(repository);
    let ended = fake.run(&["github", "setup"], 2);
    assert!(
        ended.stderr.contains("not an administrator of octo/lab") && fake.writes().is_empty(),
        "{ended:?}"
    );
    assert_eq!(fake.check("repository", 1)["status"], "fail");
    let ended = fake.run(&["github", "setup", "--repository", "octo/other"], 2);
    assert!(ended.stderr.contains("404"), "{}", ended.stderr);
    let ended = fake.run(&["github", "setup", "--variable", "SNOWFLAKE_USR=x"], 2);
    assert!(ended.stderr.contains("not an administrator"), "{}", ended.stderr);
    let mut command = fake.command(&["github", "setup"]);
    command.env_remove("GH_TOKEN").env("PATH", "");
    let ended = Ended::of(command).expect(2);
    assert!(ended.stderr.contains("gh auth login"), "{}", ended.stderr);
}

#[test]
fn doctor_finds_what_makes_a_workflow_fail_or_run_elsewhere() {
    let mut repository = Repository::new();
    repository.about["private"] = true.into();
    repository
        .things
        .insert("actions/permissions".to_owned(), json!({"enabled": true, "allowed_actions": "selected"}));
    repository.things.insert(
        "actions/permissions/selected-actions".to_owned(),
        json!({"github_owned_allowed": true, "verified_allowed": true, "patterns_allowed": []}),
    );
    repository.list("actions/secrets").push(json!({"name": "SNOWFLAKE_ACCOUNT"}));
    repository.list("actions/variables").push(json!({"name": "CODE_SCANNING", "value": "true"}));
    repository.list("environments").push(json!({
        "name": "prod", "protection_rules": [],
        "deployment_branch_policy": {"protected_branches": false, "custom_branch_policies": true},
    }));
    for (id, name) in [(1, "main"), (2, "*")] {
        let policy = json!({"id": id, "name": name, "type": "branch"});
        repository.list("environments/prod/deployment-branch-policies").push(policy);
    }
    let fake = Fake::new(repository);
    for (name, said) in [
        ("actions", "Swatinem/rust-cache"),
        ("workflow permissions", "only read by default"),
        ("environments", "keep the branch \\\"*\\\" from using"),
        ("variables", "is a secret, which the workflows do not read"),
        ("code scanning", "refuses the upload"),
    ] {
        let check = fake.check(name, 1);
        assert!(check["status"] == "fail" && check.to_string().contains(said), "{check:#}");
        assert!(check["fix"].is_string(), "{check:#}");
    }
    assert!(fake.writes().is_empty(), "doctor changes nothing");
    let ended = fake.run(
        &["github", "setup", "--variable", "SNOWFLAKE_ACCOUNT=ORG-ACC", "--variable", "PUBLISH_PAGES=true"],
        0,
    );
    assert!(ended.stderr.contains("SNOWFLAKE_USER is missing in dev"), "{}", ended.stderr);
    let repository = fake.repository.lock().unwrap();
    assert_eq!(repository.names("environments/prod/deployment-branch-policies"), ["main"]);
    assert_eq!(repository.things["pages"]["build_type"], "workflow");
    assert!(
        repository.things["actions/permissions/selected-actions"]
            .to_string()
            .contains("Swatinem/rust-cache@*")
    );
}
