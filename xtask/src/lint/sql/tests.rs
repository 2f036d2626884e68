//! Cases of the SQL group: `tests/cases/sql/*.toml`, and what is certain about projects and their settings.

mod templates;

use std::path::{Path, PathBuf};

use super::jinja::Settings;
use super::macros::Library;
use super::*;
use crate::lint::rule::Parameters;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is below the root").to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ignore::Walk::new(folder)
        .map(|entry| entry.expect("the tree can be read").into_path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    found
}

fn folders(project: &str) -> Vec<(String, Role)> {
    let roles = [
        ("models", Role::Model),
        ("snapshots", Role::Snapshot),
        ("tests", Role::Test),
        ("analyses", Role::Analysis),
        ("macros", Role::Macro),
    ];
    roles.map(|(folder, role)| (format!("{project}{folder}"), role)).to_vec()
}

fn project(macros: Vec<String>, style: &str) -> Project {
    let inputs = Inputs {
        name: "shop".to_owned(),
        vars: serde_json::from_str(r#"{"window_days": 28, "methods": ["card", "voucher"]}"#)
            .expect("it is JSON"),
        adapter: "snowflake".to_owned(),
        folders: folders(""),
        macros,
        styles: vec![(".sqlfluff".to_owned(), style.to_owned())],
        ..Inputs::default()
    };
    Project::load(inputs, &Parameters::default()).expect("the settings are right")
}

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

fn shown(offence: &Offence) -> String {
    format!("{} {}:{}", offence.rule, offence.span.line, offence.span.column)
}

fn is_ours(offence: &Offence) -> bool {
    RULES.iter().any(|rule| rule.name == offence.rule)
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "a_model")]
    path: String,
    #[serde(default)]
    macros: Vec<String>,
    sql: String,
    /// The findings of our rules: `rule line:column`.
    #[serde(default)]
    found: Vec<String>,
    /// The findings of sqruff's rules; not compared if not given.
    style: Option<Vec<String>>,
    /// The text after `--fix`; if empty, `--fix` must change nothing.
    fix: Option<String>,
    /// Part of the first message.
    says: Option<String>,
}

fn a_model() -> String {
    "models/orders.sql".to_owned()
}

#[test]
fn cases_hold() {
    let style = read(&root().join(".sqlfluff"));
    let mut wrong = Vec::new();
    for file in files(&root().join("tests/cases/sql"), ".toml") {
        let cases: Cases =
            toml::from_str(&read(&file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for case in cases.case {
            let project = project(case.macros.clone(), &style);
            let source = source(&case.path, &case.sql);
            let offences = check(&source, &project).expect("offences").offences;
            let (ours, theirs): (Vec<&Offence>, Vec<&Offence>) = offences.iter().partition(|o| is_ours(o));
            let list = |offences: &[&Offence]| offences.iter().map(|o| shown(o)).collect::<Vec<_>>();
            if list(&ours) != case.found {
                wrong.push(format!("{}: found {ours:#?}", case.name));
            }
            if case.style.as_ref().is_some_and(|style| *style != list(&theirs)) {
                wrong.push(format!("{}: style {theirs:#?}", case.name));
            }
            if let Some(says) = &case.says
                && !offences.first().is_some_and(|offence| offence.message.contains(says))
            {
                wrong.push(format!("{}: says {offences:#?}", case.name));
            }
            if let Some(wanted) = &case.fix {
                let fixed = fix(&source, &project, &|_| false).unwrap_or_default();
                if fixed != *wanted {
                    wrong.push(format!("{}: fixed to\n{fixed}", case.name));
                }
                if !fixed.is_empty() && fix(&self::source(&case.path, &fixed), &project, &|_| false).is_some()
                {
                    wrong.push(format!("{}: fixing twice changes more", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_rule_can_be_explained() {
    let theirs = described();
    assert!(theirs.len() > 60);
    for rule in &theirs {
        assert!(!rule.summary.is_empty() && !rule.explanation.is_empty(), "{}", rule.name);
        assert!(rule.url().contains(rule.code), "{}", rule.name);
        assert!(RULES.iter().all(|ours| ours.name != rule.name), "{} has two meanings", rule.name);
    }
}

/// Files that dbt accepts, with packages that are not installed and values that only a run knows.
#[test]
fn nothing_is_certain_about_what_is_not_here() {
    let project = project(Vec::new(), "[sqlfluff]\ndialect = snowflake\nrules = LT02\n");
    for (text, is_read) in [
        ("-- a comment\n{{ dbt_utils.date_spine(datepart=\"day\") }}\n", true),
        (
            "with days as (\n    -- the calendar\n    {{ dbt_date.dates(n=365) }}\n)\nselect d from days\n",
            true,
        ),
        ("{% set a, b = my_pkg.two() %}\n{% set c = my_pkg.things() + [1] %}\nselect a from x\n", true),
        ("{% set d = 'x' + my_pkg.thing() %}\nselect a from x where b > {{ my_pkg.q() }}\n", true),
        (
            "{% for i in range(env_var('N_DAYS')|int) %}{% endfor %}{% for i in range(var('n')) %}{% endfor %}select 1\n",
            true,
        ),
        (
            "select {{ dbt.dateadd(datepart=\"day\", interval=+1, from_date_or_timestamp=\"a\") }} as b from x\n",
            true,
        ),
        ("select '{{ \"%03d\" % 7 }}' as c, {{ +1 }} as a, '{{ 'x'.zfill(3) }}' as d from x\n", true),
        ("{{ audit_helper.compare(a_query='x') }}\n", true),
        ("select a from x where a = 1 {{ my_pkg.and_more() }} order by a {{ my_pkg.limit() }}\n", true),
        ("select a {{ my_pkg.clause() }} (b from x\n", false),
        ("{% if execute %}{% set n = run_query('x').columns[0][0] %}select {{ n }} as a{% endif %}\n", true),
    ] {
        let checked = check(&source("models/x.sql", text), &project).expect("offences");
        let unread = |offence: &&Offence| [TEMPLATE.name, PARSE.name].contains(&offence.rule.as_ref());
        assert!(checked.offences.iter().find(unread).is_none(), "{text}: {:?}", checked.offences);
        assert_eq!(checked.unknown.is_none(), is_read, "{text}: {:?}", checked.unknown);
    }
}

#[test]
fn each_project_has_its_own_macros_and_variables() {
    let one = |name: &str, body: &str, who: &str| {
        Inputs {
        name: name.to_owned(),
        vars: serde_json::from_str(&format!("{{\"who\": \"{who}\"}}")).expect("it is JSON"),
        macros: vec![format!("{{% macro tbl(a) %}}{body}{{% endmacro %}}")],
        packages: vec![("util".to_owned(), vec!["{% macro tbl(a) %}{{ deep(a) }}{% endmacro %}{% macro deep(a) %}of_util_{{ a }}{% endmacro %}".to_owned()])],
        ..Inputs::default()
    }
    };
    let inputs = Inputs {
        projects: vec![
            ("alpha/".to_owned(), one("alpha", "of_alpha", "ann")),
            ("beta/".to_owned(), one("beta", "of_beta", "bob")),
        ],
        ..Inputs::default()
    };
    let project = Project::load(inputs, &Parameters::default()).expect("the settings are right");
    let rendered = |path: &str| {
        let text = "{{ tbl(1) }} {{ util.tbl(2) }} {{ var('who') }}";
        let renderer = project.renderer(path);
        let (pieces, _) = renderer.nature(text).expect("it is whole");
        renderer.render(text, &pieces, "x", false, Guess::Names).expect("it renders").text
    };
    assert_eq!(rendered("alpha/models/a.sql"), "of_alpha of_util_2 ann");
    assert_eq!(rendered("beta/models/a.sql"), "of_beta of_util_2 bob");
}

#[test]
fn settings_are_honoured_wherever_they_are_written() {
    let found = |files: &[(&str, &str)], text: &str| {
        let styles = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let project =
            Project::load(Inputs { styles, ..Inputs::default() }, &Parameters::default()).expect("settings");
        let checked = check(&source("a/b.sql", text), &project).expect("offences");
        let rules: Vec<String> = checked.offences.iter().map(|offence| offence.rule.to_string()).collect();
        (rules, checked.warnings.len(), checked.unknown.is_some())
    };
    let clean = (Vec::new(), 0, false);
    let case = "SELECT a from t\n";
    let only = |rules: &str| format!("[sqlfluff]\ndialect = ansi\nrules = {rules}\n");
    assert_eq!(found(&[(".sqlfluff", &only("L010"))], case).0, ["capitalisation.keywords"]);
    assert_eq!(found(&[("a/tox.ini", &only("CP*"))], case).0, ["capitalisation.keywords"]);
    let toml = "[tool.sqlfluff.core]\ndialect = 'ansi'\nrules = 'CP01'\nwarnings = 'CP01'\n";
    assert_eq!(found(&[("pyproject.toml", toml)], case), (Vec::new(), 1, false));
    assert_eq!(found(&[(".sqlfluff", &only("CP01")), ("a/.sqlfluffignore", "b.*\n")], case), clean);
    assert_eq!(found(&[(".sqlfluff", &only("CP01"))], "SELECT a from t -- noqa: L010\n"), clean);
    assert_eq!(found(&[(".sqlfluff", &only("CP01"))], "-- noqa: disable=CP01\nSELECT a\nfrom t\n"), clean);
    let heedless = format!("{}disable_noqa = true\n", only("CP01"));
    assert_eq!(found(&[(".sqlfluff", &heedless)], "SELECT a from t -- noqa\n").0.len(), 1);
    let raw = format!("{}templater = raw\n", only("CP01"));
    assert_eq!(found(&[(".sqlfluff", &raw)], "select {{ a }} from t\n").0, ["sql-parse"]);
    let parsing = format!("{}ignore = parsing\n", only("CP01"));
    assert_eq!(found(&[(".sqlfluff", &parsing)], "select (a from t\n"), clean);
    let python = format!("{}templater = python\n", only("CP01"));
    assert!(found(&[(".sqlfluff", &python)], case).2);
    let macros = "[sqlfluff:templater:jinja:macros]\nm = {% macro cents(x) %}({{ x }} / 100){% endmacro %}\n\
                  [sqlfluff:templater:jinja:context]\nname = amount\n";
    let own = format!("{}{macros}", only("CP01"));
    assert_eq!(found(&[(".sqlfluff", &own)], "select {{ cents(name) }} as a from t\n"), clean);
    assert_eq!(found(&[(".sqlfluff", &only("LT99,CP01"))], case).0, ["capitalisation.keywords"]);
}

/// Thousands of qualified columns are looked up in linear time, with the findings of sqruff's own rule.
#[test]
fn a_wide_select_is_checked_by_all_rules() {
    let project = project(Vec::new(), "[sqlfluff]\ndialect = snowflake\nrules = RF01\n");
    let columns: Vec<String> = (0..2_000).map(|at| format!("    coalesce(a.c_{at}, 0) as c_{at}")).collect();
    for (from, found) in [("t as a", 0), ("t as b", 2_000)] {
        let text = format!("select\n{}\nfrom {from}\n", columns.join(",\n"));
        let file = source("scripts/wide.sql", &text);
        let offences = check(&file, &project).expect("offences").offences;
        assert_eq!(offences.len(), found, "{:?}", offences.first());
        assert!(offences.iter().all(|offence| offence.rule == "references.from"));
    }
}

/// The findings of one rule on a file, as lines; and whether the file counts as not fully checked.
fn lines_of(project: &Project, path: &str, text: &str, rule: &str) -> (Vec<usize>, bool) {
    let checked = check(&source(path, text), project).expect("offences");
    let found = checked.offences.iter().filter(|offence| offence.rule == rule);
    (found.map(|offence| offence.span.line).collect(), checked.unknown.is_some())
}

/// What two parsers refuse is broken; what one of them reads, or what dbt never builds, is not.
#[test]
fn sql_is_broken_only_if_no_doubt_is_left() {
    let given = project(Vec::new(), "[sqlfluff]\ndialect = duckdb\nrules = LT02\n");
    let parse = |project: &Project, path: &str, text: &str| lines_of(project, path, text, PARSE.name);
    let broken = "select a b c from x\n";
    assert_eq!(parse(&given, "models/a.sql", broken), (vec![1], false));
    let trailing = "select a from x where b >= coalesce((select max(b), from x), '1')\n";
    assert_eq!(parse(&given, "models/a.sql", trailing), (vec![], true));
    let disabled = format!("{{{{ config(enabled=var('x', false)) }}}}\n{broken}");
    assert_eq!(parse(&given, "models/a.sql", &disabled), (vec![], true));
    let enabled = format!("{{{{ config(enabled=true) }}}}\n{broken}");
    assert_eq!(parse(&given, "models/a.sql", &enabled), (vec![2], false));
    assert_eq!(parse(&given, "models/bigquery/a.sql", broken), (vec![], true));
    assert_eq!(
        parse(&given, "models/a.sql", "select a from x left join{{ ref('y') }} on x.a = y.a\n"),
        (vec![], true)
    );
    // dbt reads only definitions in the folder of macros, and no SQL in a file of tags.
    assert_eq!(parse(&given, "macros/a.sql", "{% macro a() %}1{% endmacro %}}\n"), (vec![], false));
    assert_eq!(parse(&given, "models/a.sql", "{{ ref('b') }}\n"), (vec![], false));
    // Statements of administration are not known to be broken; the rules look at those before it.
    let script = "select a from x;\ndrop schema b;\nshow dynamic tables in schema b;\n";
    assert_eq!(parse(&given, "scripts/a.sql", script), (vec![], true));
    let destruction = lines_of(&given, "scripts/a.sql", script, unguarded_destruction::RULE.name);
    assert_eq!(destruction, (vec![2], true));
    let alert = "create alert a if (exists (select 1)) then call b();\n";
    assert_eq!(parse(&given, "scripts/a.sql", alert), (vec![], true));
    assert_eq!(parse(&given, "scripts/a.sql", "show tables;\nselec a from x;\n"), (vec![2], false));
    assert_eq!(parse(&given, "models/a.sql", alert), (vec![1], false));

    let inputs = Inputs { folders: folders(""), ..Inputs::default() };
    let assumed = Project::load(inputs, &Parameters::default()).expect("settings");
    let of_bigquery = "select * except (a) from `p.d.t` where b = r'x'\n";
    assert_eq!(parse(&assumed, "models/a.sql", of_bigquery), (vec![], true));
    assert_eq!(parse(&assumed, "models/a.sql", broken), (vec![1], false));
}

/// In dbt a source may have the name of the CTE that reads it; sqruff's search for its columns never ends.
#[test]
fn a_cte_that_reads_its_own_name_is_checked() {
    let project = project(Vec::new(), "[sqlfluff]\ndialect = snowflake\nrules = AM04, CP01\n");
    let text = "with a as (\n    select 1 as x from (select 1 as y) as u\n),\n\nb as (\n    select s.*, rr.x\n    \
                from {{ source('raw', 'b') }} as s\n    left join a as rr on s.id = rr.x\n)\n\nselect * from b as s\n";
    assert_eq!(lines_of(&project, "models/m.sql", text, "ambiguous.column_count"), (vec![11], false));
    let named = text.replace("select * from b as s", "SELECT s.id from b as s");
    assert_eq!(lines_of(&project, "models/m.sql", &named, "ambiguous.column_count"), (vec![], false));
    assert_eq!(lines_of(&project, "models/m.sql", &named, "capitalisation.keywords"), (vec![11], false));
}

#[test]
fn verdicts_are_those_of_sqlfluff_where_sqruff_differs() {
    let with = |rules: &str, dialect: &str| {
        project(Vec::new(), &format!("[sqlfluff]\ndialect = {dialect}\nrules = {rules}\n"))
    };
    let lines = |project: &Project, text: &str, rule: &str| lines_of(project, "models/m.sql", text, rule).0;
    // Names of CTEs are not aliases, and keywords of Snowflake are known.
    let text = "with final as (\n    select\n        a as environment,\n        b as final\n    from t\n)\n\nselect * from final\n";
    let keywords = "references.keywords";
    assert_eq!(lines(&with("RF04", "snowflake"), text, keywords), [3, 4]);
    assert_eq!(lines(&with("RF04", "duckdb"), text, keywords), [0; 0]);
    let settings = "[sqlfluff]\ndialect = snowflake\nrules = RF04\n[sqlfluff:rules:RF04]\n";
    let ignoring = project(Vec::new(), &format!("{settings}ignore_words = environment,final\n"));
    assert_eq!(lines(&ignoring, text, keywords), [0; 0]);
    let none = project(Vec::new(), &format!("{settings}unquoted_identifiers_policy = none\n"));
    assert_eq!(lines(&none, text, keywords), [0; 0]);
    // Quotes do not make an alias another one in DuckDB; they do in Snowflake.
    let quoted = "select \"a\".b from t as A\n";
    assert_eq!(lines(&with("AL05", "duckdb"), quoted, "aliasing.unused"), [0; 0]);
    assert_eq!(lines(&with("AL05", "snowflake"), quoted, "aliasing.unused"), [1]);
    // A tag is not content, and white space that a tag removes is not there.
    let start = "layout.start_of_file";
    assert_eq!(lines(&with("LT13", "ansi"), "\n{{ config(a=1) }}\nselect 1\n", start), [1]);
    assert_eq!(lines(&with("LT13", "ansi"), "{{ config(a=1) }}\n\nselect 1\n", start), [0; 0]);
    assert_eq!(lines(&with("LT13", "ansi"), "\n{%- set a = 1 %}\nselect 1\n", start), [0; 0]);
}

/// Loops over empty lists and branches that are off are checked for style, and only for that.
#[test]
fn text_that_no_run_reaches_is_checked_for_style() {
    let project = project(Vec::new(), "[sqlfluff]\ndialect = snowflake\nrules = CP01, AL05\n");
    let keywords = |text: &str| lines_of(&project, "models/m.sql", text, "capitalisation.keywords");
    let text = "select\n    a\n    {% for x in var('none', []) %}\n    , {{ x }} AS {{ x }}_b\n    {% endfor %}\nfrom t\n";
    assert_eq!(keywords(text), (vec![4], false));
    let text =
        "select a\nfrom t\n{% if var('late', false) %}\nWHERE a > 1\n{% else %}\nwhere a > 2\n{% endif %}\n";
    assert_eq!(keywords(text), (vec![4], false));
    let text = "select a\nfrom t\n{% if not var('late', false) %}\nwhere a > 1\n{% elif x %}\nwhere b\n{% else %}\nWHERE a > 2\n{% endif %}\n";
    assert_eq!(keywords(text).0, [0; 0]);
    let text = "select a\nfrom t\n{% if var('late', false) %}\n) select (\n{% endif %}\n";
    assert_eq!(keywords(text), (vec![], false));
}

#[test]
fn parameters_of_client_libraries_are_read() {
    let style = "[sqlfluff]\ndialect = ansi\nrules = CP01\ntemplater = placeholder\n[sqlfluff:templater:placeholder]\n\
                 param_style = pyformat\n";
    let rule = "capitalisation.keywords";
    let project = project(Vec::new(), style);
    let text = "select a from t where b = %(city)s\nAND c = 1\n";
    assert_eq!(lines_of(&project, "scripts/a.sql", text, rule), (vec![2], false));
    let unknown = self::project(Vec::new(), &style.replace("pyformat", "other"));
    assert_eq!(lines_of(&unknown, "scripts/a.sql", text, rule), (vec![], true));
}

#[test]
fn python_functions_of_templates_have_python_results() {
    let project = project(Vec::new(), "[sqlfluff]\ndialect = snowflake\nrules = CP01\n");
    let renderer = project.renderer("models/m.sql");
    let text_of = |text: &str| {
        let (pieces, _) = renderer.nature(text).expect("it is whole");
        renderer.render(text, &pieces, "m", false, Guess::Names).expect("it renders").text
    };
    assert_eq!(text_of("{{ modules.re.sub('[^a-z]+', '_', \"blue's 2\") }}"), "blue_s_");
    assert_eq!(text_of("{{ modules.re.sub('(a)(b)', '\\\\2\\\\1', 'ab') }}"), "ba");
    assert_eq!(text_of("{{ modules.re.split(',', 'a,b') | join('+') }}"), "a+b");
    assert_eq!(
        text_of("{{ 'x' | int }} {{ 'x' | float }} {{ '7' | int }} {{ 'x' | int(3) }} {{ 3.7 | int }}"),
        "0 0.0 7 3 3"
    );
}
