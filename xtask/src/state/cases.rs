//! The cases of `tests/cases/state`: an edit of a small project, and which nodes it must rebuild and which tests it
//! must run again. Nothing is started for them: a build is simulated by the records that it would leave.

mod case;
mod simulation;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rayon::prelude::*;

use self::case::{Case, Cases, Edit, apply, data, facts, project, write};
use self::simulation::{built, happen, rename};
use super::decide::{Action, Attempts, Decision, Observed, adopt_parents, decide};
use super::define::{self, Class, Definition, Definitions, Facts};
use super::record::ANNOUNCED;
use super::select;

fn named<'d>(definitions: &'d Definitions, wanted: &[String]) -> BTreeSet<&'d str> {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for wanted in wanted {
        let (name, with_children) =
            wanted.strip_suffix('+').map_or((wanted.as_str(), false), |name| (name, true));
        let start: Vec<&Definition> = definitions
            .all
            .values()
            .filter(|d| !d.is_test() && d.kind != "source" && d.materialized != "ephemeral")
            .filter(|d| name == "*" || d.id == name || d.name == name || d.id.ends_with(&format!(".{name}")))
            .collect();
        assert!(!start.is_empty(), "no node is named {name}");
        let mut open: Vec<&str> = start.iter().map(|d| d.id.as_str()).collect();
        while let Some(id) = open.pop() {
            if found.insert(id) && with_children {
                let children = definitions.all.values().filter(|d| !d.is_test() && d.parents.contains(id));
                open.extend(children.map(|d| d.id.as_str()));
            }
        }
    }
    found.retain(|id| definitions.all[*id].materialized != "ephemeral");
    found
}

fn acted<'d>(definitions: &'d Definitions, decision: &Decision, kinds: &[&str]) -> BTreeSet<&'d str> {
    let ids = definitions.all.values().filter(|d| kinds.contains(&d.kind.as_str()));
    ids.filter(|d| decision.action(&d.id) != Action::Reuse).map(|d| d.id.as_str()).collect()
}

#[test]
fn every_edit_rebuilds_what_it_must_and_nothing_else() {
    let cases: Cases = toml::from_str(&data("cases.toml")).expect("TOML");
    let table = data("edits.tsv");
    let known: BTreeSet<&str> = table.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    let covered: BTreeSet<&str> = cases.case.iter().map(|case| case.id.as_str()).collect();
    let missing: Vec<&&str> = known.difference(&covered).collect();
    assert!(missing.is_empty(), "edits without a case: {missing:?}");
    let wrong: Vec<String> = cases
        .case
        .par_iter()
        .inspect(|case| {
            assert!(known.contains(case.id.as_str()) || OWN.contains(&case.id.as_str()), "{}", case.id);
        })
        .flat_map_iter(check)
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Cases that are not in the table.
const OWN: [&str; 15] = [
    "lag_tolerance",
    "macro_override_package",
    "ref_of_two_packages",
    "dispatch_default",
    "dispatch_search",
    "environment_name",
    "body_in_quotes",
    "properties_read",
    "source_disabled",
    "hard_coded_table",
    "conditional_config",
    "event_time",
    "fixture_eol",
    "env_computed",
    "description_of_version",
];

/// The definitions of a project, which are the same whether or not `kept` are those of before.
fn recalled(project: &Path, facts: &Facts, kept: &[u8]) -> Definitions {
    let definitions = define::read(project, facts).expect("definitions");
    let (recalled, replaced) = define::read_or_recall(project, facts, kept).expect("definitions");
    assert_same(&recalled, &definitions);
    let (again, _) =
        define::read_or_recall(project, facts, &replaced.unwrap_or_default()).expect("definitions");
    assert_same(&again, &definitions);
    definitions
}

fn assert_same(recalled: &Definitions, definitions: &Definitions) {
    // What is only of use while definitions are made is not kept.
    let kept = |each: &Definition| Definition { reads_properties: BTreeSet::new(), ..each.clone() };
    assert!(recalled.all.keys().eq(definitions.all.keys()));
    for (id, definition) in &definitions.all {
        assert_eq!(kept(&recalled.all[id]), kept(definition));
    }
    assert_eq!((&recalled.schema, &recalled.faults), (&definitions.schema, &definitions.faults));
}

/// What a case gives other than it expects.
fn check(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    let folder = project(&case.project);
    let before = Case { project: case.project.clone(), ..Case::default() };
    let large = |last: &str| {
        if let Some(path) = &case.large {
            let rows = (1..150_000).map(|id| format!("{id},{id}\n")).collect::<Vec<_>>().concat();
            write(&folder.path().join(path), &format!("id,order_id\n{rows}{last}\n"));
        }
    };
    large("150000,1");
    let (definitions, kept) =
        define::read_or_recall(folder.path(), &facts(&before), b"").expect("definitions");
    let kept = kept.unwrap_or_default();
    let (mut records, mut observed) = built(&definitions);
    large("150000,2");
    happen(case, &definitions, &mut records, &mut observed);
    for edit in &case.edits {
        apply(folder.path(), edit, &case.id);
    }
    let seeds = tempfile::tempdir().expect("a folder");
    for (name, text) in &case.seeds {
        write(&seeds.path().join(name), text);
    }
    let given = (!case.seeds.is_empty()).then(|| seeds.path().to_path_buf());
    let facts = Facts { seeds: given, ..facts(case) };
    let mut definitions = recalled(folder.path(), &facts, &kept);
    adopt_parents(&mut definitions, &records);
    assert!(definitions.faults.is_empty(), "{}: {:?}", case.id, definitions.faults);
    if case.schema != "dev" {
        rename(&case.schema, &mut records, &mut observed);
    }
    let only = case.select.as_ref().map(|text| select::select(&definitions, text).expect("a selection"));
    let attempts = Attempts { only, ..Attempts::default() };
    let decision = decide(&definitions, &records, &observed, &attempts);
    let mut differ = |what: &str, found: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug| {
        let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
        if found != expected {
            wrong.push(format!("{} ({}): {what} {found}, expected {expected}", case.id, case.project));
        }
    };

    let mut expected = named(&definitions, &case.build);
    if case.select.is_none() {
        let is_always = |d: &&Definition| d.name == "outside" || d.name.starts_with("always_");
        expected.extend(definitions.all.values().filter(is_always).map(|d| d.id.as_str()));
    }
    let mut built = acted(&definitions, &decision, &["model", "seed", "snapshot"]);
    if case.coarse || case.project == "wide" {
        let is_coarse = |id: &&str| definitions.all[*id].class == Class::Coarse;
        built.retain(|id| !is_coarse(id) || expected.contains(id));
    }
    differ("built", &built, &expected);
    for id in built.symmetric_difference(&expected) {
        differ(id, &decision.verdicts.get(*id), &"as expected");
    }
    let names = |ids: BTreeSet<&str>| -> BTreeSet<String> {
        ids.into_iter().map(|id| definitions.all[id].name.clone()).collect()
    };
    let is_of_built = |d: &Definition| {
        d.parents.iter().any(|id| {
            expected.contains(id.as_str()) || case.also.iter().any(|name| id.ends_with(&format!(".{name}")))
        })
    };
    let is_whole = case.engine != "1.11" || case.is_new;
    let tests = definitions.all.values().filter(|d| d.kind == "test");
    let expected_tests: BTreeSet<String> = case.test.as_ref().map_or_else(
        || tests.filter(|d| is_of_built(d) || is_whole).map(|d| d.name.clone()).collect(),
        |names| names.iter().cloned().collect(),
    );
    if !(matches!(case.id.as_str(), "source_def" | "quoting")) {
        differ("tested", &names(acted(&definitions, &decision, &["test"])), &expected_tests);
    }
    let units: BTreeSet<String> = case.unit.iter().cloned().collect();
    differ("unit tests", &names(acted(&definitions, &decision, &["unit_test"])), &units);
    let gone: Vec<&str> =
        decision.removed.iter().filter_map(|record| record.relation_name.as_deref()).collect();
    differ("removed", &gone, &case.gone);
    if let Some(refreshed) = &case.refreshed {
        let found: Vec<&str> = decision
            .verdicts
            .iter()
            .filter(|(_, verdict)| verdict.refresh)
            .map(|(id, _)| definitions.all[id].name.as_str())
            .collect();
        differ("made from nothing", &found, refreshed);
    }
    wrong
}

#[test]
fn a_name_in_two_packages_is_resolved_as_the_engine_does() {
    let folder = project("mixed");
    let parents = |engine: &str| {
        let facts = Facts { engine: engine.into(), ..facts(&Case::default()) };
        let definitions = define::read(folder.path(), &facts).expect("definitions");
        definitions.all["model.tools.reads_both"].parents.clone()
    };
    assert_eq!(parents("1.11"), ["model.mixed.both".to_owned()].into());
    assert_eq!(parents("2.0"), ["model.tools.both".to_owned()].into());
    let flag = "flags: {require_ref_searches_node_package_before_root: true}\nname: mixed\n";
    let settings = fs::read_to_string(folder.path().join("dbt_project.yml")).expect("a file");
    write(&folder.path().join("dbt_project.yml"), &settings.replace("name: mixed\n", flag));
    assert_eq!(parents("1.11"), ["model.tools.both".to_owned()].into());
}

#[test]
fn a_tolerance_that_is_not_a_duration_is_an_error() {
    let folder = project("plain");
    write(&folder.path().join("models/b.sql"), "{{ config(meta={'lag_tolerance': '4 hourz'}) }}select 1\n");
    let error = define::read(folder.path(), &facts(&Case::default())).expect_err("no duration").to_string();
    assert!(error.contains("models/b.sql") && error.contains("30m, 4h or 1d"), "{error}");
}

#[test]
fn what_reads_a_coarse_view_follows_its_text() {
    let folder = project("dynamic");
    let read = || {
        let mut definitions = define::read(folder.path(), &facts(&Case::default())).expect("definitions");
        let (records, _) = built(&definitions);
        adopt_parents(&mut definitions, &records);
        definitions
    };
    let definitions = read();
    let (mut records, mut observed) = built(&definitions);
    let key = ("dev".to_owned(), "dynamic".to_owned());
    observed.texts = Some([(key.clone(), "text".to_owned())].into());
    let all = Attempts { done: definitions.all.keys().cloned().collect(), ..Attempts::default() };
    let version = decide(&definitions, &records, &observed, &all).versions["model.dynamic.dynamic"].clone();
    let reader = records.get_mut("model.dynamic.reads_dynamic").expect("a record");
    reader.built_from = format!("{{\"model.dynamic.dynamic\": \"{version}\"}}");
    apply(
        folder.path(),
        &Edit {
            file: "dbt_project.yml".into(),
            from: Some("unused: 1".into()),
            to: Some("unused: 2".into()),
            ..Edit::default()
        },
        "unused",
    );
    let definitions = read();
    let actions = |observed: &Observed, attempts: &Attempts| {
        let decision = decide(&definitions, &records, observed, attempts);
        (decision.action("model.dynamic.dynamic"), decision.action("model.dynamic.reads_dynamic"))
    };
    assert_eq!(actions(&observed, &Attempts::default()), (Action::Build, Action::Pending));
    let done = Attempts { done: ["model.dynamic.dynamic".to_owned()].into(), ..Attempts::default() };
    assert_eq!(actions(&observed, &done), (Action::Reuse, Action::Reuse));
    observed.texts = Some([(key, "other".to_owned())].into());
    assert_eq!(actions(&observed, &done), (Action::Reuse, Action::Build));
}

#[test]
fn who_reads_a_view_of_a_table_without_a_version_is_told_why() {
    let folder = project("plain");
    write(
        &folder.path().join("models/by_name.sql"),
        "{{ config(materialized='view') }}select * from archive\n",
    );
    write(&folder.path().join("models/reads_it.sql"), "select * from {{ ref('by_name') }}\n");
    let definitions = define::read(folder.path(), &facts(&Case::default())).expect("definitions");
    let (records, observed) = built(&definitions);
    let decision = decide(&definitions, &records, &observed, &Attempts::default());
    let reasons = &decision.verdicts["model.plain.reads_it"].reasons;
    let expected =
        "whether the data of by_name changed is unknown: it reads archive by name, which is not a `ref`";
    assert_eq!(reasons, &[expected]);
}

#[test]
fn a_seed_that_was_changed_by_hand_is_loaded_from_nothing() {
    let folder = project("shop");
    let definitions = define::read(folder.path(), &facts(&Case::default())).expect("definitions");
    let (records, mut observed) = built(&definitions);
    observed.relations.insert(("dev".to_owned(), "raw_orders".to_owned()), Some("other".into()));
    let decision = decide(&definitions, &records, &observed, &Attempts::default());
    assert!(decision.verdicts["seed.shop.raw_orders"].refresh);
}

#[test]
fn what_did_not_end_well_is_done_again() {
    let folder = project("shop");
    let mut definitions = define::read(folder.path(), &facts(&Case::default())).expect("definitions");
    let (records, observed) = built(&definitions);
    adopt_parents(&mut definitions, &records);
    assert!(decide(&definitions, &records, &observed, &Attempts::default()).is_idle());
    for (id, status) in [
        ("model.shop.report", ANNOUNCED),
        ("model.shop.report", "error"),
        ("test.shop.unique_orders_id", "fail"),
        ("test.shop.unique_orders_id", "warn"),
    ] {
        let mut records = records.clone();
        records.get_mut(id).expect("a record").status = status.into();
        let decision = decide(&definitions, &records, &observed, &Attempts::default());
        assert_eq!(decision.action(id), Action::Build, "{id} {status}");
        assert_eq!(decision.action("model.shop.items"), Action::Reuse);
    }
    let touched = |witness: Option<Option<String>>| {
        let mut observed = observed.clone();
        let key = ("dev".to_owned(), "items".to_owned());
        match witness {
            Some(witness) => observed.relations.insert(key, witness),
            None => observed.relations.remove(&key),
        };
        decide(&definitions, &records, &observed, &Attempts::default()).action("model.shop.items")
    };
    assert_eq!(touched(Some(Some("other".into()))), Action::Build);
    assert_eq!(touched(Some(None)), Action::Build);
    assert_eq!(touched(None), Action::Build);
}

#[test]
fn children_wait_for_the_data_of_a_node_that_is_built() {
    let folder = project("shop");
    let mut definitions = define::read(folder.path(), &facts(&Case::default())).expect("definitions");
    let (mut records, observed) = built(&definitions);
    adopt_parents(&mut definitions, &records);
    records.get_mut("model.shop.orders").expect("a record").definition = "other".into();
    let mut attempts = Attempts::default();
    let decision = decide(&definitions, &records, &observed, &attempts);
    let (wave, refresh) = decision.wave(&definitions, &attempts);
    assert!(
        !refresh && wave.contains("model.shop.orders") && wave.contains("test.shop.unique_orders_id"),
        "{wave:?}"
    );
    assert!(
        !wave.contains("model.shop.report") && !wave.contains("test.shop.accepted_values_report_mode__plain")
    );

    // Built, with the same data: nothing follows. With other data: all that reads it.
    records.get_mut("model.shop.orders").expect("a record").definition =
        definitions.all["model.shop.orders"].hash();
    attempts.done.extend(wave);
    assert!(decide(&definitions, &records, &observed, &attempts).is_idle());
    records.get_mut("model.shop.orders").expect("a record").data_version = Some("other".into());
    let decision = decide(&definitions, &records, &observed, &attempts);
    assert_eq!(decision.action("model.shop.report"), Action::Build);
    assert_eq!(decision.action("model.shop.history"), Action::Build);
    assert!(!decision.verdicts["model.shop.history"].refresh, "new data is added, not built from nothing");
}

#[test]
fn what_follows_a_failure_is_stopped() {
    let folder = project("shop");
    let definitions = define::read(folder.path(), &facts(&Case::default())).expect("definitions");
    let (_, observed) = built(&definitions);
    let attempts = Attempts {
        done: ["model.shop.orders".to_owned()].into(),
        failed: ["model.shop.orders".to_owned()].into(),
        ..Attempts::default()
    };
    let decision = decide(&definitions, &BTreeMap::new(), &observed, &attempts);
    let stopped = decision.stopped(&definitions, &attempts);
    assert!(stopped.contains("model.shop.report") && stopped.contains("model.shop.history"), "{stopped:?}");
    assert!(!stopped.contains("model.shop.items"));
}

#[test]
fn definitions_are_recalled_until_anything_that_they_are_read_from_differs() {
    let folder = project("shop");
    let read = |facts: &Facts, kept: &[u8]| {
        let (definitions, replaced) =
            define::read_or_recall(folder.path(), facts, kept).expect("definitions");
        assert_same(&definitions, &define::read(folder.path(), facts).expect("definitions"));
        replaced
    };
    let usual = facts(&Case::default());
    let kept = read(&usual, b"").expect("a file");
    assert!(read(&usual, &kept).is_none(), "nothing differs");
    assert!(read(&Facts { key: "another run".into(), ..usual.clone() }, &kept).is_none());
    for broken in [&kept[..kept.len() / 2], b"{}\n", b"\xff\n"] {
        assert!(read(&usual, broken).is_some());
    }
    let others = [
        Facts { period: "2026-01-02".into(), ..usual.clone() },
        Facts { vars: Some("{a: 1}".into()), ..usual.clone() },
        Facts { environment: [("SHOP".to_owned(), "1".to_owned())].into(), ..usual.clone() },
        Facts { schema: "pr_7".into(), ..usual.clone() },
        Facts { engine: "2.0".into(), ..usual.clone() },
    ];
    for other in others {
        assert!(read(&other, &kept).is_some(), "{other:?}");
    }
    let more = [
        ("models/new.sql", "select 1"),
        ("models/.dbtignore", "new.sql"),
        ("dbt_packages/tools/dbt_project.yml", "name: tools"),
    ];
    for (file, text) in more {
        let kept = read(&usual, b"").expect("a file");
        write(&folder.path().join(file), text);
        assert!(read(&usual, &kept).is_some(), "{file}");
    }
}

#[test]
fn definitions_that_may_differ_all_the_same_are_not_kept() {
    let kept = |folder: &tempfile::TempDir, facts: &Facts| {
        define::read_or_recall(folder.path(), facts, b"").expect("definitions").1
    };
    let (shop, usual) = (project("shop"), facts(&Case::default()));
    assert!(kept(&shop, &usual).is_some());
    let secret = ("DBT_ENV_SECRET_TOKEN".to_owned(), "a".to_owned());
    assert!(kept(&shop, &Facts { environment: [secret].into(), ..usual.clone() }).is_none());
    assert!(kept(&shop, &Facts { seeds: Some(shop.path().to_path_buf()), ..usual.clone() }).is_none());
    // One of its models reads a file that dbt knows nothing of.
    assert!(kept(&project("plain"), &usual).is_none());
}
