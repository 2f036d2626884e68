//! What a run keeps for the next one: without a change the engine is not started, and whatever else writes to the
//! database is noticed.

use std::fs::{File, FileTimes};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::Project;
use crate::support;

/// Another program that has a database open for writing, which nothing else can open then.
struct Occupied(Child);

impl Occupied {
    fn new(database: &Path) -> Self {
        let mut shell = Command::new(support::duckdb())
            .args(["-no-init", "-batch"])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("duckdb starts");
        let input = shell.stdin.as_mut().expect("its input");
        input.write_all(b"select 'open';\n").expect("a question");
        let mut answer = BufReader::new(shell.stdout.as_mut().expect("its output"));
        let mut line = String::new();
        while !line.contains("open") {
            line.clear();
            assert!(answer.read_line(&mut line).expect("an answer") > 0, "it has ended");
        }
        Self(shell)
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn is_up_to_date(report: &Value) -> bool {
    report["up_to_date"] == true && report["dbt_started"] == false
}

#[test]
fn without_a_change_the_engine_is_not_started_and_the_run_is_recorded_later() {
    let project = Project::new(&[]);
    let first = project.elt("issue_1", &[]);
    // The first run has made the registry, and the first report completes it: this run looks at it again.
    project.run(&["metrics", "--format", "json"]).expect(0);
    assert!(is_up_to_date(&project.elt("issue_1", &[])));
    let database = project.database("issue_1");
    let runs = |condition: &str| {
        let sql = format!("select count(*) as n from ledger_runs where {condition}");
        support::sql_in(&database, &sql)[0]["n"].as_u64().expect("a count")
    };
    {
        let _other = Occupied::new(&database);
        let again = project.elt("issue_1", &[]);
        assert!(is_up_to_date(&again), "{again:#}");
        let of = |report: &Value| {
            let nodes = report["nodes"].as_array().expect("nodes").iter();
            let mut ids: Vec<String> =
                nodes.map(|node| format!("{} {} {}", node["id"], node["status"], node["rows"])).collect();
            ids.sort();
            ids
        };
        assert_eq!(of(&again), of(&first), "the nodes as they were last built");
        assert_eq!(project.due("issue_1", &[]), Vec::<String>::new());
        assert!(is_up_to_date(&project.elt("issue_1", &[])));
    }
    assert_eq!(runs("up_to_date"), 0, "they wait");
    // Any look at the ledger records them, once.
    project.run(&["metrics", "--format", "json"]).expect(0);
    assert_eq!(runs("up_to_date"), 3);
    project.run(&["metrics", "--format", "json"]).expect(0);
    assert_eq!(runs("up_to_date"), 3);
    assert!(is_up_to_date(&project.elt("issue_1", &[])));

    // A run that builds records them with itself, by the engine with which it has looked at what it built.
    let leaf = project.small.path("dbt/models/leaf.sql");
    let text = std::fs::read_to_string(&leaf).expect("a model");
    project.small.write("dbt/models/leaf.sql", text.replace("max(total)", "min(total)"));
    let ended = project.run(&["-v", "elt", "--schema", "issue_1"]).expect(0);
    assert!(ended.stderr.contains("DEBUG wave of "), "{}", ended.stderr);
    assert!(!ended.stderr.contains("did not write to it"), "{}", ended.stderr);
    assert_eq!(runs("up_to_date"), 4);
    assert_eq!(std::fs::metadata(beside(&database, ".runs")).expect("a file").len(), 0);
    assert!(beside(&database, ".proof").is_file(), "and something is kept for the next run");
    assert!(is_up_to_date(&project.elt("issue_1", &[])));

    // In a copy the results of its base are known.
    project.small.write("dbt/models/leaf.sql", text);
    assert_eq!(project.elt("issue_2", &["--base", "issue_1"])["dbt_started"], true);
    let _other = Occupied::new(&project.database("issue_2"));
    assert!(is_up_to_date(&project.elt("issue_2", &[])));
}

#[test]
fn what_another_program_changes_is_noticed() {
    let project = Project::new(&[]);
    project.elt("issue_1", &[]);
    let database = project.database("issue_1");
    assert!(beside(&database, ".proof").is_file(), "something is kept");
    for (change, expected) in [
        ("update totals set n = n + 1", "totals"),
        ("delete from last", "last"),
        ("create or replace view of_totals as select 'a' as kind, 1 as total", "of_totals"),
        ("comment on table leaf is 'changed'", "leaf"),
        ("drop table joined", "joined"),
    ] {
        support::sql_in(&database, change);
        assert!(project.due("issue_1", &[]).contains(&expected.to_owned()), "{change}");
        let report = project.elt("issue_1", &[]);
        assert_eq!(report["dbt_started"], true, "{change}");
        // The run that found it has kept all that the next one needs.
        let _other = Occupied::new(&database);
        assert!(is_up_to_date(&project.elt("issue_1", &[])), "{change}");
    }
    // The times of the file are set back.
    let times = std::fs::metadata(&database).expect("a file");
    let times = FileTimes::new()
        .set_modified(times.modified().expect("a time"))
        .set_accessed(times.accessed().expect("a time"));
    support::sql_in(&database, "update totals set n = n + 1");
    File::options().write(true).open(&database).expect("a file").set_times(times).expect("set");
    assert!(project.due("issue_1", &[]).contains(&"totals".to_owned()));
    project.elt("issue_1", &[]);

    // An older copy is put back in the place of the file.
    let copy = beside(&database, ".copy");
    std::fs::copy(&database, &copy).expect("a copy");
    let leaf = project.small.path("dbt/models/leaf.sql");
    let text = std::fs::read_to_string(&leaf).expect("a model");
    project.small.write("dbt/models/leaf.sql", text.replace("max(total)", "min(total)"));
    project.elt("issue_1", &[]);
    assert_eq!(project.due("issue_1", &[]), Vec::<String>::new());
    std::fs::rename(&copy, &database).expect("put back");
    assert!(project.due("issue_1", &[]).contains(&"leaf".to_owned()));
    project.elt("issue_1", &[]);

    // What is kept is damaged, or of another database.
    for ending in [".known", ".proof"] {
        std::fs::write(beside(&database, ending), "{}").expect("written");
        assert!(is_up_to_date(&project.elt("issue_1", &[])), "{ending}");
    }
}

#[test]
fn a_database_that_takes_the_place_of_another_is_not_taken_for_it() {
    let project = Project::new(&[]);
    project.elt("issue_1", &[]);
    let database = project.database("issue_1");
    assert!(is_up_to_date(&project.elt("issue_1", &[])), "its run waits beside the database");
    project.run(&["schema", "drop", "--schema", "issue_1"]).expect(0);
    for ending in [".runs", ".proof", ".known"] {
        assert!(!beside(&database, ending).exists(), "{ending}");
    }
    let report = project.elt("issue_1", &[]);
    assert_eq!(report["dbt_started"], true);
    std::fs::remove_file(&database).expect("removed by hand");
    let report = project.elt("issue_1", &[]);
    assert_eq!(report["dbt_started"], true);
    assert!(is_up_to_date(&project.elt("issue_1", &[])));
}

#[test]
fn what_a_killed_run_has_announced_is_built_again_also_in_a_copy() {
    let project = Project::new(&[]);
    project.elt("dev", &[]);
    let leaf = project.small.path("dbt/models/leaf.sql");
    let text = std::fs::read_to_string(&leaf).expect("a model");
    let announced = beside(&project.database("dev"), ".announced");
    assert!(!announced.exists(), "the run has ended");

    project.small.write("dbt/models/leaf.sql", text.replace("max(total)", "min(total)"));
    let mut command = project.command(&["elt", "--schema", "dev"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    while announced.metadata().map_or(0, |found| found.len()) == 0 {
        assert!(child.try_wait().expect("a child").is_none(), "it ended without an announcement");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");

    // Its text is the one that it was built from: only the announcement shows that it may have been touched.
    project.small.write("dbt/models/leaf.sql", text);
    let leaf = "leaf".to_owned();
    assert_eq!(project.due("dev", &[]), ["leaf"]);
    project.run(&["schema", "create", "--schema", "issue_1", "--base", "dev"]).expect(0);
    assert!(project.due("issue_1", &[]).contains(&leaf));
    // A run of something else records it, too.
    project.elt("dev", &["--select", "totals", "--force"]);
    assert!(!announced.exists());
    assert!(project.due("dev", &[]).contains(&leaf));
    project.elt("dev", &[]);
    assert_eq!(project.due("dev", &[]), Vec::<String>::new());
}
