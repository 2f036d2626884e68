//! A random walk: edits, reverts, deletions, renames, changes by hand, plain dbt and killed runs. After some steps the
//! environment is compared with a full build in every detail.
//!
//! `XTASK_WALK_STEPS` sets the number of steps (200 for the long proof), `XTASK_WALK_SEED` the walk.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{FILES, Project, picture};
use crate::support;

/// Steps in the usual test run.
const STEPS: u64 = 6;
/// A comparison comes after every so many steps, and at the end.
const COMPARED: u64 = 10;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit
    }
}

/// Other texts of a file: an edit picks one of them or the first text again, which reverts it.
const EDITS: [(&str, &str, &str); 16] = [
    ("dbt/seeds/items.csv", "4,40,b", "4,41,b"),
    ("dbt/seeds/items.csv", "1,10,a", "1,10,b"),
    ("dbt/macros/plus.sql", "+ 1", "+ 2"),
    ("dbt/macros/plus.sql", "+ 1", "{# note #}+ 1"),
    ("dbt/models/stg_items.sql", "select id", "-- note\nselect id"),
    ("dbt/models/light.sql", "v > 0", "v > 15"),
    ("dbt/models/totals.sql", "sum(v)", "sum(v + 0)"),
    ("dbt/models/totals.sql", "count(*)", "count(*) + 1"),
    ("dbt/models/totals.sql", "materialized='table'", "materialized='view'"),
    ("dbt/models/big.sql", "v::bigint", "(v + 1)::bigint"),
    ("dbt/models/of_totals.sql", "kind, total", "total, kind"),
    ("dbt/models/of_totals.sql", "select", "{{ config(materialized='table') }} select"),
    ("dbt/models/kept.sql", "select id, v", "select id, v * 2 as v"),
    ("dbt/models/leaf.sql", "max(total)", "min(total)"),
    ("dbt/models/models.yml", "All items.", "Each item."),
    ("dbt/models/other.sql", "1 as one", "1.5 as one"),
];

const BY_HAND: [&str; 9] = [
    "update issue_1.totals set n = n + 1",
    "drop table if exists issue_1.leaf",
    "drop view if exists issue_1.stg_items cascade",
    "delete from issue_1.big where id = 1",
    "create or replace table issue_1.other as select 7 as one",
    "create or replace view issue_1.stg_items as select 1 as id, 2 as v, 'z' as kind",
    "update issue_1.items set v = v * 2",
    "update issue_1.kept set v = v + 1",
    "delete from issue_1.kept where id = 2",
];

/// The history of a table: it is never built again, so only its last rows are compared.
const SNAPSHOT: (&str, &str) = (
    "dbt/snapshots/hist.sql",
    "{% snapshot hist %}{{ config(unique_key='id', strategy='check', check_cols=['v']) }}select * from {{ ref('big') }}{% endsnapshot %}\n",
);

struct Walk {
    project: Project,
    dice: Dice,
    done: Vec<String>,
    built: usize,
    runs: usize,
}

impl Walk {
    fn text(path: &str) -> &'static str {
        FILES.iter().find(|(name, _)| *name == path).expect("a file").1
    }

    fn edit(&mut self) {
        let (path, from, to) = EDITS[self.dice.below(EDITS.len())];
        let is_reverted = self.dice.below(3) == 0;
        let text = if is_reverted { Self::text(path).to_owned() } else { Self::text(path).replace(from, to) };
        self.done.push(format!("{path}: {}", if is_reverted { "as it was" } else { to }));
        self.project.small.write(path, text);
    }

    /// Models that others do not read come, go and change their names.
    fn reshape(&mut self) {
        let text = Self::text("dbt/models/last.sql");
        for name in ["last", "final", "third"] {
            let path = self.project.small.path(&format!("dbt/models/{name}.sql"));
            if path.exists() {
                std::fs::remove_file(path).expect("removed");
            }
        }
        let name = ["last", "final", "third", ""][self.dice.below(4)];
        if !name.is_empty() {
            self.project.small.write(&format!("dbt/models/{name}.sql"), text);
        }
        self.done.push(format!("the last model is called {name:?}"));
    }

    fn by_hand(&mut self) {
        let sql = BY_HAND[self.dice.below(BY_HAND.len())];
        self.done.push(sql.to_owned());
        // What the statement names may have another type or be missing now.
        let mut command = Command::new(support::duckdb());
        command.arg(self.project.database("issue_1")).arg(sql).stderr(Stdio::null());
        command.status().expect("duckdb starts");
    }

    /// dbt without the toolkit, whatever it builds.
    fn plain_dbt(&mut self) {
        let place = self.project.small.path("plain");
        let file = self.project.database("issue_1");
        self.project.small.write(
            "plain/profiles.yml",
            format!(
                "tiny: {{target: local, outputs: {{local: {{type: duckdb, path: '{}', schema: main, threads: 1}}}}}}\n",
                file.display()
            ),
        );
        let mut command = Command::new(support::environment().join("bin/dbt"));
        command.args(["run", "--project-dir"]).arg(self.project.small.path("dbt"));
        command.arg("--profiles-dir").arg(&place).arg("--target-path").arg(place.join("target"));
        command.arg("--log-path").arg(&place).current_dir(self.project.small.root());
        // It may fail on what was changed by hand.
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("dbt starts");
        self.done.push("plain dbt".to_owned());
    }

    /// A run that is killed as soon as its dbt has started, and then perhaps an edit.
    fn kill(&mut self) {
        self.edit();
        let mut command = self.project.command(&["elt", "--schema", "issue_1"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let deadline = Instant::now() + Duration::from_mins(1);
        let has_child = |id: u32| {
            std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))
                .is_ok_and(|text| !text.is_empty())
        };
        while Instant::now() < deadline && child.try_wait().expect("a child").is_none() {
            if has_child(child.id()) && self.dice.below(40) == 0 {
                child.kill().expect("killed");
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait().expect("it ends");
        self.done.push("killed".to_owned());
    }

    /// Build, and count what was built.
    fn build(&mut self) {
        let ended = self.project.run(&["elt", "--schema", "issue_1", "--format", "json"]);
        assert_eq!(ended.code, Some(0), "{:#?}\n{}\n{}", self.done, ended.stdout, ended.stderr);
        let report = ended.json();
        let nodes = report["nodes"].as_array().expect("nodes");
        let is_built = |kind: &str| matches!(kind, "model" | "seed");
        if report["dbt_started"] == true {
            self.built +=
                nodes.iter().filter(|node| is_built(node["kind"].as_str().unwrap_or_default())).count();
        }
        self.runs += 1;
    }

    fn compare(&self) {
        let again = self.project.elt("issue_1", &[]);
        assert_eq!(again["up_to_date"], true, "{:#?}\n{again:#}", self.done);
        self.project.elt("issue_2", &["--base", "none"]);
        let (ours, full) = (picture(&self.project, "issue_1"), picture(&self.project, "issue_2"));
        let blank = |picture: &[Vec<serde_json::Value>]| {
            picture.iter().map(|part| format!("{part:?}").replace("issue_2", "issue_1")).collect::<Vec<_>>()
        };
        assert_eq!(blank(&ours), blank(&full), "{:#?}", self.done);
        self.project.run(&["schema", "drop", "--schema", "issue_2"]).expect(0);
    }
}

#[test]
fn a_walk_ends_where_a_full_build_does() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let steps = number("XTASK_WALK_STEPS").unwrap_or(STEPS);
    let mut walk = Walk {
        project: Project::new(&[SNAPSHOT]),
        dice: Dice(number("XTASK_WALK_SEED").unwrap_or(7)),
        done: Vec::new(),
        built: 0,
        runs: 0,
    };
    walk.build();
    let whole = walk.built;
    walk.built = 0;
    walk.runs = 0;
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for step in 1..=steps {
        let kind = match walk.dice.below(11) {
            0..=4 => {
                walk.edit();
                "edit"
            }
            5 => {
                walk.reshape();
                "reshape"
            }
            6 | 7 => {
                walk.by_hand();
                "by hand"
            }
            8 => {
                walk.kill();
                "kill"
            }
            9 => {
                walk.edit();
                walk.plain_dbt();
                "plain dbt"
            }
            _ => {
                walk.edit();
                walk.edit();
                "two edits"
            }
        };
        *kinds.entry(kind).or_default() += 1;
        walk.build();
        if step % COMPARED == 0 || step == steps {
            walk.compare();
        }
    }
    println!("{kinds:?}: {} nodes built in {} runs; a full build has {whole}", walk.built, walk.runs);
}
