//! What a failed run says on dbt v2: the cause, where it is, and nothing that only dbt's developers can use.

use super::{built, command, installed, run};
use crate::support::{BUILT, Checkout, Ended};

const ABC: &str = "dbt/models/gold/abc_classes.sql";

#[track_caller]
fn failed(checkout: &Checkout, folder: &std::path::Path, args: &[&str], code: i32) -> Ended {
    let ended = run(checkout, folder, &[&["elt", "--schema", BUILT], args].concat()).expect(code);
    for noise in ["<unknown>", "(dbt1", "pthread_create", "dbt_internal_packages", "Internal error"] {
        let said = [&ended.stdout, &ended.stderr];
        assert!(
            said.iter().all(|text| !text.contains(noise)),
            "{noise} in\n{}\n{}",
            ended.stdout,
            ended.stderr
        );
    }
    ended
}

#[test]
fn a_model_that_the_engine_refuses_is_shown_at_its_line() {
    let Some(folder) = installed() else { return };
    let checkout = built(folder);
    checkout.edit(ABC, |text| text.replace("select * from final", "select nope from final"));
    let line = std::fs::read_to_string(checkout.path(ABC)).expect("the model");
    let line = line.lines().position(|line| line.contains("select nope")).expect("the line") + 1;
    let args = ["--select", "abc_classes,resource_type:model", "--format", "json"];
    let report = failed(&checkout, folder, &args, 1).json();
    let node = &report["nodes"].as_array().expect("nodes").iter().find(|node| node["status"] == "error");
    let node = node.expect("a node that failed");
    assert!(node["message"].as_str().expect("a message").contains("\"nope\" not found"), "{node:#}");
    assert_eq!(node["location"]["path"], ABC, "{node:#}");
    assert_eq!(node["location"]["line"], line, "{node:#}");
}

#[test]
fn a_failing_test_shows_its_rows_and_stops_what_follows() {
    let Some(folder) = installed() else { return };
    let checkout = built(folder);
    let twice = |text: String| format!("{text}{}\n", text.lines().nth(3).expect("a line"));
    checkout.edit("dbt/seeds/raw_products.csv", twice);
    let ended = failed(&checkout, folder, &[], 1);
    for part in [
        "FAIL test key_and_rules_hold_stg_logistics__products",
        "Got 2 results",
        "first failing rows",
        "the key is unique",
        "PRD-00003",
    ] {
        assert!(ended.stdout.contains(part), "{part} is not in\n{}", ended.stdout);
    }
    assert!(ended.stdout.contains("stopped by the above"), "{}", ended.stdout);
}

#[test]
fn a_value_of_another_type_is_named_with_file_and_line() {
    let Some(folder) = installed() else { return };
    let checkout = built(folder);
    checkout.edit("dbt/seeds/raw_suppliers.csv", |text| text.replacen(",DE,7,", ",DE,seven,", 1));
    let ended = failed(&checkout, folder, &[], 1);
    let said = "raw_suppliers.csv, line 2, column lead_time_days: 'seven' is not integer";
    assert!(ended.stdout.contains(said), "{}", ended.stdout);
}

#[test]
fn a_project_that_does_not_parse_says_where() {
    let Some(folder) = installed() else { return };
    let checkout = built(folder);
    checkout.edit(ABC, |text| text.replace("{{ ref('daily_demand') }}", "{{ ref('daily_demnd') }}"));
    let ended = failed(&checkout, folder, &[], 1);
    assert!(ended.stdout.contains("daily_demnd") && ended.stdout.contains("abc_classes"), "{}", ended.stdout);
}

#[test]
fn a_project_for_v1_only_is_sent_to_lint() {
    let Some(folder) = installed() else { return };
    let checkout = built(folder);
    checkout.edit("dbt/dbt_project.yml", |text| text.replacen("+materialized:", "materialized:", 1));
    let ended = failed(&checkout, folder, &[], 1);
    assert!(ended.stdout.contains("cargo xtask lint --only dbt-v2"), "{}", ended.stdout);
}

#[test]
fn a_selection_without_a_match_is_a_mistake_in_the_call() {
    let Some(folder) = installed() else { return };
    let checkout = built(folder);
    let ended = failed(&checkout, folder, &["--select", "no_such_model"], 2);
    assert!(
        ended.stderr.contains("no_such_model") || ended.stderr.contains("matches no node"),
        "{}",
        ended.stderr
    );
}

/// A value of `DBT_ENV_SECRET_…` that SQL carries into an error of the engine.
#[test]
fn secrets_are_hidden_on_both_engines() {
    let Some(folder) = installed() else { return };
    let secret = ["hunter", "2hunter2"].concat();
    let checkout = built(folder);
    checkout.edit(ABC, |text| {
        text.replace("select * from final", "select {{ env_var('DBT_PLAIN') }} from final")
    });
    for engine in ["v1", "v2"] {
        let mut command = command(
            &checkout,
            folder,
            &["elt", "--schema", BUILT, "--select", "abc_classes", "--format", "json"],
        );
        command.env("XTASK_DBT_ENGINE", engine).env("DBT_PLAIN", &secret).env("SOME_PASSWORD", &secret);
        if engine == "v1" {
            command.env("XTASK_VENV", crate::support::environment()).env_remove("XTASK_PYTHON");
        }
        let ended = Ended::of(command).expect(1);
        assert_eq!(ended.json()["engine"], engine);
        assert!(
            !ended.stdout.contains(&secret) && !ended.stderr.contains(&secret),
            "{engine}: {}",
            ended.stdout
        );
        assert!(ended.stdout.contains("***"), "{engine}: {}", ended.stdout);
        let kept = checkout.sql(&format!("select message from {BUILT}.ledger_nodes where status = 'error'"));
        assert!(!kept.is_empty() && kept.iter().all(|row| !row.to_string().contains(&secret)), "{kept:?}");
    }
}
