//! What differs between the engines, as docs/engines.md lists it for users: v1 accepts each of these, v2 does not.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::installed;
use crate::support::{self, Ended, environment, root};

struct Difference {
    /// In bold in docs/engines.md.
    name: &'static str,
    /// Files of a project, `{m}` for the name of its model.
    files: &'static [(&'static str, &'static str)],
    /// What v2 says.
    refusal: &'static str,
}

const ALL: &[Difference] = &[
    Difference {
        name: "Duplicate keys",
        files: &[("models/{m}.yml", "models:\n  - name: {m}\n    description: x\n    description: y\n")],
        refusal: "Duplicate key `description`",
    },
    Difference {
        name: "Unknown properties",
        files: &[("models/{m}.yml", "models:\n  - name: {m}\n    owner: me\n")],
        refusal: "unexpected key `\"owner\"`",
    },
    Difference {
        name: "Properties that became configuration",
        files: &[("models/{m}.yml", "models:\n  - name: {m}\n    meta: {a: 1}\n    tags: [b]\n")],
        refusal: "unexpected key `\"meta\"`",
    },
    Difference {
        name: "Unknown configuration",
        files: &[("models/{m}.yml", "models:\n  - name: {m}\n    config: {owner: me}\n")],
        refusal: "unexpected key `\"owner\"`",
    },
    Difference {
        name: "Unknown keys in property files",
        files: &[("models/{m}.yml", "x_anchors: {a: 1}\nmodels:\n  - name: {m}\n")],
        refusal: "x_anchors",
    },
    Difference {
        name: "Test arguments at the top",
        files: &[(
            "models/{m}.yml",
            "models:\n  - name: {m}\n    columns:\n      - name: id\n        data_tests:\n          \
             - accepted_values: {values: [1]}\n",
        )],
        refusal: "Deprecated test arguments",
    },
    Difference {
        name: "Argument keys that are not identifiers",
        files: &[
            ("tests/generic/rules.sql", "{% test rules(model, rules) %}select 1 where false{% endtest %}\n"),
            (
                "models/{m}.yml",
                "models:\n  - name: {m}\n    data_tests:\n      - rules:\n          arguments:\n            \
                 rules: {a b: \"{{ var('x', 1) }}\"}\n",
            ),
        ],
        refusal: "expected assignment operator",
    },
];

const PROJECT: &str = "name: shop\nversion: \"1.0\"\nprofile: shop\n";

fn project(folder: &Path, cases: &[(usize, &Difference)], settings: &str) {
    fs::create_dir_all(folder.join("models")).expect("a folder");
    fs::write(folder.join("dbt_project.yml"), settings).expect("written");
    let profile =
        "shop:\n  target: local\n  outputs:\n    local: {type: duckdb, path: shop.duckdb, schema: s}\n";
    fs::write(folder.join("profiles.yml"), profile).expect("written");
    for (number, case) in cases {
        let model = format!("m{number}");
        fs::write(folder.join("models").join(format!("{model}.sql")), "select 1 as id\n").expect("written");
        for (path, text) in case.files {
            let path = folder.join(path.replace("{m}", &model));
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text.replace("{m}", &model)).expect("written");
        }
    }
}

fn v1(folder: &Path, task: &str) -> Ended {
    let mut command = support::scrubbed_program(&environment().join("bin/dbt"), folder);
    command.args([task, "--profiles-dir", ".", "--no-send-anonymous-usage-stats"]);
    Ended::of(command)
}

fn v2(engine: &Path, folder: &Path, task: &str) -> Ended {
    let mut command: Command = support::scrubbed_program(&engine.join("dbt/dbt"), folder);
    command.args([task, "--profiles-dir", ".", "--no-version-check", "--no-send-anonymous-usage-stats"]);
    command.env("ADBC_DRIVER_PATH", engine.join("duckdb/manifests"));
    Ended::of(command)
}

#[test]
fn what_v1_accepts_and_v2_refuses_is_documented() {
    let Some(engine) = installed() else { return };
    let scratch = support::scratch();
    let cases: Vec<(usize, &Difference)> = ALL.iter().enumerate().collect();
    let all = scratch.path().join("all");
    project(&all, &cases, PROJECT);
    v1(&all, "parse").expect(0);
    let docs = fs::read_to_string(root().join("docs/engines.md")).expect("the documentation");
    for case in cases {
        let folder = scratch.path().join(format!("case {}", case.0));
        project(&folder, &[case], PROJECT);
        let refused = v2(engine, &folder, "compile").expect(1);
        let said = [refused.stdout.as_str(), refused.stderr.as_str()].concat();
        assert!(said.contains(case.1.refusal), "{}: {said}", case.1.name);
        assert!(docs.contains(&format!("**{}**", case.1.name)), "{} is not documented", case.1.name);
    }
    let plain = scratch.path().join("plain");
    project(&plain, &[], PROJECT);
    fs::write(plain.join("models/a.sql"), "select 1 as id\n").expect("written");
    v2(engine, &plain, "compile").expect(0);
    for (name, more) in [
        ("Configuration without +", "models: {shop: {materialized: table}}\n"),
        ("Folders of output", "target-path: out\n"),
    ] {
        fs::write(plain.join("dbt_project.yml"), format!("{PROJECT}{more}")).expect("written");
        v1(&plain, "parse").expect(0);
        v2(engine, &plain, "compile").expect(1);
        assert!(docs.contains(&format!("**{name}**")), "{name} is not documented");
    }
    let python = scratch.path().join("python");
    project(&python, &[], PROJECT);
    let model = "def model(dbt, session):\n    return session.sql('select 1 as id')\n";
    fs::write(python.join("models/a.py"), model).expect("written");
    v1(&python, "run").expect(0);
    let refused = v2(engine, &python, "run").expect(1);
    let said = [refused.stdout, refused.stderr].concat();
    assert!(said.contains("Python models are not supported"), "{said}");
    assert!(docs.contains("**Python models**"));
}

/// A given input that is not in the warehouse: v1 needs no columns of it, v2 reads the model's.
#[test]
fn unit_tests_need_their_inputs_in_the_warehouse() {
    let Some(engine) = installed() else { return };
    let checkout = super::Checkout::new();
    let build = |program: &Path, more: &[(&str, std::path::PathBuf)]| {
        let mut command = support::scrubbed_program(program, &checkout.path("dbt"));
        command.args([
            "build",
            "--profiles-dir",
            ".",
            "--no-send-anonymous-usage-stats",
            "--target",
            "local",
        ]);
        command.args(["--select", "monitoring_test_results"]).env("DBT_TARGET_SCHEMA", "bare");
        command.env("DBT_DUCKDB_PATH", checkout.path("bare.duckdb")).envs(more.iter().cloned());
        Ended::of(command)
    };
    build(&environment().join("bin/dbt"), &[]).expect(0);
    let drivers = ("ADBC_DRIVER_PATH", engine.join("duckdb/manifests"));
    let refused = build(&engine.join("dbt/dbt"), &[drivers]).expect(1);
    assert!([refused.stdout, refused.stderr].concat().contains("ledger_nodes does not exist"));
}
