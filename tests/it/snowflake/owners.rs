//! Several dbt projects in one database: what one of them built is never written, copied or removed by another.

use std::process::Command;

use serde_json::{Value, json};

use super::parts::{TODAY, add_schema, schemas};
use crate::projects::{PROJECT, Small};
use crate::support::endpoint::Endpoint;
use crate::support::{self, Ended};

/// Two projects, each with a seed and a model of the same names.
fn repository() -> Small {
    let small = Small::new(&[]);
    for project in ["sales", "stock"] {
        let settings = PROJECT.replace("tiny", project);
        small.write(&format!("{project}/dbt_project.yml"), settings);
        small.write(&format!("{project}/seeds/s.csv"), "id\n1\n");
        small.write(
            &format!("{project}/models/a.sql"),
            "select '{{ project_name }}' as p from {{ ref('s') }}\n",
        );
    }
    support::copy(&support::root().join("dbt/requirements"), &small.path("policies/requirements"));
    small
}

fn command(endpoint: &Endpoint, repository: &Small, project: &str, args: &[&str]) -> Command {
    let mut all = vec!["--project-dir", project];
    all.extend(args);
    endpoint.login(repository.command(&all))
}

fn run(endpoint: &Endpoint, repository: &Small, project: &str, args: &[&str]) -> Ended {
    Ended::of(command(endpoint, repository, project, args))
}

fn create(endpoint: &Endpoint, repository: &Small, project: &str, name: &str) -> Ended {
    run(endpoint, repository, project, &["schema", "create", "--schema", name])
}

/// The environment as `schema list` of the project shows it.
fn listed(endpoint: &Endpoint, repository: &Small, project: &str, name: &str) -> Value {
    let all = run(endpoint, repository, project, &["schema", "list", "--format", "json"]).expect(0).json();
    all.as_array().expect("a list").iter().find(|one| one["schema_name"] == name).expect(name).clone()
}

/// What nothing of another project may change: rows, the ledger, the marks and the registry.
fn contents(endpoint: &Endpoint, schema: &str) -> String {
    let place = format!("LOGISTICS_DEMO.{schema}");
    endpoint.text(&format!(
        "select listagg(line, ' ') within group (order by line) from (
            select 'model ' || max(p) as line from {place}.A
            union all select 'run ' || run_id from {place}.LEDGER_RUNS
            union all select 'node ' || node_id || status from {place}.LEDGER_NODES
            union all select 'mark ' || project from {place}.LEDGER_ENVIRONMENT
            union all select 'entry ' || schema_name || project from LOGISTICS_DEMO.XTASK_REGISTRY.ENVIRONMENTS
            union all select 'note ' || schema_name from LOGISTICS_DEMO.XTASK_REGISTRY.CONDEMNED
            union all select 'schema ' || schema_name || coalesce(comment, '')
                from LOGISTICS_DEMO.INFORMATION_SCHEMA.SCHEMATA where schema_name <> 'INFORMATION_SCHEMA')"
    ))
}

/// Every command of another project that could change the environment `issue_7`, or what it would make of it.
const REFUSED: [&[&str]; 8] = [
    &["elt", "--schema", "issue_7"],
    &["elt", "--schema", "ISSUE_7", "--force", "--full-refresh"],
    &["elt", "--schema", "issue_8", "--base", "issue_7"],
    &["schema", "create", "--schema", "issue_7"],
    &["schema", "create", "--schema", "issue_7", "--adopt"],
    &["schema", "create", "--schema", "issue_8", "--base", "issue_7"],
    &["schema", "drop", "--schema", "issue_7"],
    &["schema", "drop", "--schema", "issue_7", "--if-exists"],
];

#[test]
fn what_another_project_built_is_left_alone() {
    let (endpoint, repository) = (Endpoint::start(), repository());
    run(&endpoint, &repository, "sales", &["elt", "--schema", "issue_7"]).expect(0);
    let before = contents(&endpoint, "ISSUE_7");
    assert!(before.contains("model sales") && before.contains("mark sales"), "{before}");
    for args in REFUSED {
        let sent = endpoint.writes().len();
        let said = run(&endpoint, &repository, "stock", args).expect(2).stderr;
        assert!(
            said.contains("issue_7") && said.contains("belongs to the dbt project sales"),
            "{args:?}: {said}"
        );
        assert_eq!(endpoint.writes().split_off(sent), [""; 0], "{args:?} sends nothing");
    }
    let dry =
        run(&endpoint, &repository, "stock", &["elt", "--schema", "issue_7", "--dry-run"]).expect(2).stderr;
    assert!(dry.contains("[snowflake.databases]"), "what to do: {dry}");
    let report = run(&endpoint, &repository, "stock", &["metrics", "--schema", "issue_7"]).expect(2).stderr;
    assert!(report.contains("belongs to the dbt project sales"), "{report}");
    // All that a clean-up could take for a reason to drop it, twice, so that a note would have its effect.
    repository.write("policies/environments.toml", "[lifetime]\nissue_days = 0\ngrace_hours = 0\n");
    for _ in 0..2 {
        let args = ["schema", "gc", "--closed-issues", "7", "--yes", "--format", "json"];
        let passed = run(&endpoint, &repository, "stock", &args).expect(0).json();
        assert_eq!(passed["environments"][0]["action"], "keep", "{passed}");
    }
    assert_eq!(contents(&endpoint, "ISSUE_7"), before);

    // Each sees whose it is, and the other's own environments stay its own.
    create(&endpoint, &repository, "stock", "issue_9").expect(0);
    let of = |project: &str, name: &str| {
        let one = listed(&endpoint, &repository, project, name);
        (one["project"].clone(), one["own"].clone(), one["droppable"].clone())
    };
    assert_eq!(of("stock", "issue_7"), (json!("sales"), json!(false), json!(false)));
    assert_eq!(of("sales", "issue_7"), (json!("sales"), json!(true), json!(true)));
    assert_eq!(of("sales", "issue_9"), (json!("stock"), json!(false), json!(false)));
    let figures = run(&endpoint, &repository, "sales", &["metrics", "--format", "json"]).expect(0).json();
    assert_eq!((&figures["environments"], &figures["scope"]), (&json!(["issue_7"]), &json!("sales:*")));

    // Without a project, nothing is known to be this one's.
    let unknown = endpoint.login(repository.command(&["schema", "drop", "--schema", "issue_7"]));
    let said = Ended::of(unknown).expect(2).stderr;
    assert!(said.contains("several dbt projects"), "{said}");
    run(&endpoint, &repository, "sales", &["schema", "drop", "--schema", "issue_7"]).expect(0);
}

#[test]
fn with_a_database_each_both_have_the_same_environment() {
    let (endpoint, repository) = (Endpoint::with_databases(&["SALES_DEMO", "STOCK_DEMO"]), repository());
    let databases = "[snowflake.databases]\nsales = 'sales_demo'\nstock = 'STOCK_DEMO'\n";
    repository.write("policies/environments.toml", databases);
    for project in ["sales", "stock"] {
        run(&endpoint, &repository, project, &["elt", "--schema", "issue_7"]).expect(0);
    }
    for project in ["sales", "stock"] {
        let query = format!("select max(p) from {project}_demo.issue_7.a");
        assert_eq!(endpoint.text(&query), project);
        assert_eq!(listed(&endpoint, &repository, project, "issue_7")["own"], true);
    }
    let doctor = run(&endpoint, &repository, "stock", &["doctor", "--format", "json"]).json();
    let check = |doctor: &Value| {
        let all = doctor["checks"].as_array().expect("checks");
        let one = all.iter().find(|one| one["name"] == "database").expect("the check");
        (one["status"].clone(), one["found"].as_str().expect("text").to_owned(), one["fix"].to_string())
    };
    let (status, found, _) = check(&doctor);
    assert!(status == "ok" && found.contains("STOCK_DEMO ([snowflake.databases])"), "{found}");
    repository.write("policies/environments.toml", "");
    let (status, found, fix) =
        check(&run(&endpoint, &repository, "stock", &["doctor", "--format", "json"]).json());
    assert!(status == "warn" && found.contains("shared with sales"), "{found}");
    assert!(fix.contains("[snowflake.databases]") && fix.contains("SALES_DEMO"), "{fix}");
}

#[test]
fn of_two_first_builds_at_once_one_gets_the_name() {
    let (endpoint, repository) = (Endpoint::start(), repository());
    let start = |project: &str| {
        let mut both = command(&endpoint, &repository, project, &["elt", "--schema", "issue_7"]);
        both.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        both.spawn().expect("it starts")
    };
    let runs = [("sales", start("sales")), ("stock", start("stock"))];
    let ended: Vec<(&str, Ended)> = runs
        .into_iter()
        .map(|(project, run)| (project, run.wait_with_output().expect("it ends").into()))
        .collect();
    let (won, lost): (Vec<_>, Vec<_>) = ended.iter().partition(|(_, ended)| ended.code == Some(0));
    assert_eq!((won.len(), lost.len()), (1, 1), "{ended:#?}");
    assert_eq!(lost[0].1.code, Some(2));
    assert!(
        lost[0].1.stderr.contains(&format!("belongs to the dbt project {}", won[0].0)),
        "{:?}",
        lost[0].1
    );
    assert_eq!(endpoint.text("select max(p) from LOGISTICS_DEMO.ISSUE_7.A"), won[0].0);
    let foreign = format!(
        "select count(*) from LOGISTICS_DEMO.ISSUE_7.LEDGER_NODES where node_id like '%.{}.%'",
        lost[0].0
    );
    assert_eq!(endpoint.count(&foreign), 0);
}

/// What an earlier version has left: no project in the mark, the registry and the comment.
fn forget_the_project(endpoint: &Endpoint) {
    let mut statements = vec![
        "comment on schema LOGISTICS_DEMO.ISSUE_7 is '{\"tool\": \"xtask\", \"environment\": \"issue_7\"}'"
            .to_owned(),
        "update LOGISTICS_DEMO.ISSUE_7.LEDGER_ENVIRONMENT set ledger_version = 2".to_owned(),
    ];
    for table in ["ISSUE_7.LEDGER_ENVIRONMENT", "XTASK_REGISTRY.ENVIRONMENTS"] {
        for column in ["project", "repository", "repository_id", "project_folder"] {
            statements.push(format!("alter table LOGISTICS_DEMO.{table} drop column {column}"));
        }
    }
    endpoint.sql(&statements.join(";;"));
}

#[test]
fn an_old_environment_belongs_to_the_project_whose_runs_it_has() {
    let (endpoint, repository) = (Endpoint::start(), repository());
    run(&endpoint, &repository, "sales", &["elt", "--schema", "issue_7"]).expect(0);
    forget_the_project(&endpoint);
    repository.write("policies/environments.toml", "[lifetime]\nissue_days = 0\ngrace_hours = 0\n");
    assert_eq!(listed(&endpoint, &repository, "stock", "issue_7")["own"], false);
    for args in REFUSED.iter().chain([&["metrics", "--schema", "issue_7"][..]].iter()) {
        let said = run(&endpoint, &repository, "stock", args).expect(2).stderr;
        assert!(said.contains("belongs to the dbt project sales"), "{args:?}: {said}");
    }
    for _ in 0..2 {
        run(&endpoint, &repository, "stock", &["schema", "gc", "--closed-issues", "7", "--yes"]).expect(0);
    }
    // One that was never built has nothing to lose: the first project that comes adopts it.
    let runs = "select count(*) from LOGISTICS_DEMO.ISSUE_7.LEDGER_RUNS where run_id <> ''";
    let before = endpoint.count(runs);
    create(&endpoint, &repository, "sales", "issue_7").expect(0);
    assert!(contents(&endpoint, "ISSUE_7").contains("mark sales"));
    assert_eq!(endpoint.count(runs), before);
    let said = create(&endpoint, &repository, "stock", "issue_7").expect(2).stderr;
    assert!(said.contains("belongs to the dbt project sales"), "{said}");
}

#[test]
fn a_project_under_a_new_name_takes_its_environment_over() {
    let (endpoint, repository) = (Endpoint::start(), repository());
    create(&endpoint, &repository, "sales", "issue_7").expect(0);
    add_schema(&endpoint, "issue_7", "ISSUE_7_RAW", TODAY);
    let renamed = PROJECT.replace("tiny", "revenue");
    repository.write("sales/dbt_project.yml", renamed);
    let said = create(&endpoint, &repository, "sales", "issue_7").expect(2).stderr;
    assert!(said.contains("--adopt-from 'sales:sales'"), "{said}");
    let adopt = |project: &str, from: &str| {
        run(
            &endpoint,
            &repository,
            project,
            &["schema", "create", "--schema", "issue_7", "--adopt-from", from],
        )
    };
    adopt("sales", "stock").expect(2);
    adopt("sales", "sales:sales").expect(0);
    assert_eq!(listed(&endpoint, &repository, "sales", "issue_7")["project"], "revenue");
    let said = adopt("sales", "sales:sales").expect(2).stderr;
    assert!(said.contains("belongs to no other project"), "{said}");
    run(&endpoint, &repository, "sales", &["schema", "drop", "--schema", "issue_7"]).expect(0);
    assert_eq!(schemas(&endpoint, "ISSUE\\_7%"), 0);
}

#[test]
fn repositories_with_projects_of_one_name_are_told_apart() {
    let endpoint = Endpoint::start();
    let (ours, theirs) = (repository(), repository());
    let create = |repository: &Small, name: &str, id: &str| {
        let mut command =
            command(&endpoint, repository, "sales", &["schema", "create", "--schema", "issue_7"]);
        command.env("GITHUB_REPOSITORY", name).env("GITHUB_REPOSITORY_ID", id);
        Ended::of(command)
    };
    create(&ours, "octo/shop", "1").expect(0);
    let said = create(&theirs, "octo/fork", "2").expect(2).stderr;
    assert!(said.contains("sales@octo/shop:sales") && said.contains("sales@octo/fork:sales"), "{said}");
    // The same one under a new name, and on a laptop by its remote.
    create(&ours, "octo/renamed", "1").expect(0);
    for (name, remote, code) in [
        ("origin", "git@github.com:octo/renamed.git", 0),
        ("origin", "https://github.com/octo/fork", 2),
        // The fork's upstream.
        ("upstream", "https://github.com/octo/renamed", 0),
    ] {
        let mut git = Command::new("git");
        git.args(["config", &format!("remote.{name}.url"), remote]).current_dir(theirs.root());
        Ended::of(git).expect(0);
        let said = self::create(&endpoint, &theirs, "sales", "issue_7").expect(code).stderr;
        assert_eq!(said.contains("git remote add upstream"), code == 2, "{said}");
    }
}

/// A command that was killed leaves a schema with a comment, and perhaps further schemas, without a mark.
#[test]
fn what_another_project_left_half_made_is_left_to_it() {
    let (endpoint, repository) = (Endpoint::start(), repository());
    create(&endpoint, &repository, "sales", "issue_1").expect(0);
    add_schema(&endpoint, "issue_1", "ISSUE_1_RAW", TODAY);
    let copy = ["schema", "create", "--schema", "issue_7", "--base", "issue_1"];
    let (mut cut, mut seen) = (1, 0);
    loop {
        endpoint.demand(&json!({"reset": true, "fail_write": cut}));
        let ended = run(&endpoint, &repository, "sales", &copy);
        endpoint.demand(&json!({"reset": true}));
        if ended.code == Some(0) {
            break;
        }
        let made = schemas(&endpoint, "ISSUE\\_7%");
        if made > seen {
            seen = made;
            create(&endpoint, &repository, "stock", "issue_7").expect(2);
            run(&endpoint, &repository, "stock", &["schema", "drop", "--schema", "issue_7"]).expect(2);
            assert_eq!(schemas(&endpoint, "ISSUE\\_7%"), made, "cut at {cut}");
        }
        cut += 2;
        assert!(cut < 60, "the copy is never whole");
    }
    assert!(seen > 0, "cut after a schema was made");
    assert_eq!(listed(&endpoint, &repository, "sales", "issue_7")["own"], true);
}
