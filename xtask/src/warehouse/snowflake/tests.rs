//! Every statement that goes to Snowflake, parsed with a Snowflake grammar; and thousands of hostile
//! texts at every place where text from outside ends in SQL: what comes out is one statement of the
//! intended kind on the intended, quoted name.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use regex::Regex;
use sqruff_lib::core::config::FluffConfig;
use sqruff_lib::core::linter::core::Linter;
use sqruff_lib::templaters::RAW_TEMPLATER;
use sqruff_lib_core::dialects::syntax::{SyntaxKind, SyntaxSet};
use sqruff_lib_core::parser::segments::{ErasedSegment, Tables};

use super::classify::{first_word, is_repeatable};
use super::lease;
use super::relation::Form;
use super::statements::{Database, Names};
use super::steps::{Step, chunks};
use super::*;
use crate::core::clock;
use crate::core::environment::{Comment, Evidence, Identifier, prove_droppable};
use crate::core::policy::Access;
use crate::ledger::{self, Adopt, Condemned, Need, Origin, State};
use crate::warehouse::literal;

thread_local! {
    static GRAMMAR: Linter = {
        let config = FluffConfig::from_source("[sqruff]\ndialect = snowflake\n", None);
        Linter::new(config, None, Some(&RAW_TEMPLATER), true).expect("a linter")
    };
}

/// What a text is, read with the grammar.
#[derive(Debug, PartialEq)]
struct Parsed {
    statements: Vec<SyntaxKind>,
    /// Quoted identifiers, unchanged.
    names: Vec<String>,
}

fn parse(sql: &str) -> Parsed {
    GRAMMAR.with(|grammar| {
        let tables = Tables::default();
        let parsed = grammar.parse_string(&tables, sql, None).expect("the text is read");
        assert!(parsed.violations.is_empty(), "{:?}\n{sql}", parsed.violations);
        let tree = parsed.tree.expect("a tree");
        let of =
            |kind: SyntaxKind| tree.recursive_crawl(&SyntaxSet::new(&[kind]), true, &SyntaxSet::EMPTY, true);
        assert!(of(SyntaxKind::Unparsable).is_empty(), "{sql}");
        let kind = |statement: &ErasedSegment| statement.segments().first().map(ErasedSegment::get_type);
        Parsed {
            statements: of(SyntaxKind::Statement).iter().filter_map(kind).collect(),
            names: of(SyntaxKind::QuotedIdentifier).iter().map(|name| name.raw().to_string()).collect(),
        }
    })
}

#[track_caller]
fn expect(sql: &str, kind: SyntaxKind, names: &[&str]) {
    let parsed = parse(sql);
    assert_eq!(parsed.statements, [kind], "{sql}");
    let names: Vec<String> = names.iter().map(|name| super::super::quote(name)).collect();
    assert_eq!(parsed.names, names, "{sql}");
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn identifier(text: &str) -> Identifier {
    text.to_owned().try_into().expect("an identifier")
}

fn grant(role: &str, access: Access) -> Grant {
    Grant { role: identifier(role), access, kinds: Vec::new() }
}

fn snowflake() -> Snowflake {
    Snowflake::new(Settings {
        login: Login {
            account: "ORG-ACC".into(),
            user: Some("U".into()),
            role: "R".into(),
            warehouse: "W".into(),
            database: identifier("DB"),
            host: None,
            port: None,
            plain_http: false,
            way: Way::Password(Secret::new("x")),
        },
        driver: Driver::pinned(Path::new("/nowhere"), None),
        grants: vec![grant("READER", Access::Read), grant("WRITER", Access::Write)],
        tag: "{}".into(),
        ours: Ours::default(),
        patience: Patience::default(),
    })
}

/// All that provisioning, gc, locking and dropping send, as `--dry-run` prints it.
fn everything() -> Vec<String> {
    let warehouse = snowflake();
    let database = &warehouse.database;
    let issue = name("issue_42");
    let doomed = prove_droppable(
        issue.clone(),
        Evidence {
            marked_for: Some("issue_42"),
            comment: Comment::For("issue_42"),
            registered: true,
            other: None,
        },
    );
    let mut all = warehouse.provision_registry();
    all.extend(warehouse.provision(&issue));
    all.extend(warehouse.provision_ledger(&issue));
    all.extend(warehouse.provision(&name("prod")));
    all.extend(warehouse.comment(&issue, None));
    all.extend(warehouse.grant(&issue, None, true));
    all.extend(warehouse.grant(&issue, Some(r#"{"grants": {"WRITER": "write", "GONE": "write"}}"#), false));
    all.push(Statement::Sql(database.clone_table(
        "PROD",
        "ISSUE_42",
        &identifier("Facts"),
        Form::Table,
        true,
    )));
    all.push(Statement::Sql(database.clone_schema(&name("dev"), &issue, &Record::default())));
    all.push(Statement::Sql(database.drop_relation("ISSUE_42", &identifier("DAILY_KPIS"), Form::View)));
    all.extend(database.attempt(&issue).map(Statement::Sql));
    all.push(Statement::Sql(database.create_further("ISSUE_42_raw", &issue, &Applied::new())));
    all.push(Statement::Sql(database.clone_further(("DEV_raw", "ISSUE_42_raw"), &issue, &Record::default())));
    all.push(Statement::Sql(database.comment_on_further("ISSUE_42_raw", &issue, &Record::default())));
    all.push(Statement::Sql(database.drop_further("ISSUE_42_raw")));
    all.push(Statement::Sql(database.drop_schema(doomed.expect("droppable").name())));
    all.push(ledger::forget(&warehouse, &issue));
    let note = Condemned { schema_name: "issue_42".into(), reason: "r".into(), noted_at: clock::now() };
    all.push(ledger::condemn(&note).expect("a row"));
    all.push(ledger::spare(&warehouse, "issue_42"));
    let mut texts: Vec<String> = warehouse.steps(&all).into_iter().map(|step| step.sql).collect();
    texts.extend([
        database.contents(&["issue_42", "xtask_registry"], Names::Folded),
        database.contents(&["ISSUE_42_raw"], Names::Kept),
        database.contents(&["issue_42_raw"], Names::InAnyCase),
        lease::acquire(database, &issue, "01af", "{}", 300),
        lease::look(database, &issue),
        lease::prolong(database, &issue, "01af", 300),
        lease::bury(database, &issue, "01af"),
        lease::sweep(database, "stale_01af").expect("a tombstone"),
        lease::release(database, &issue),
        "rollback".to_owned(),
    ]);
    texts
}

#[test]
fn all_that_is_sent_is_snowflakes_sql() {
    for sql in everything() {
        // Snowflake's reference has a clone with the options of a schema, this grammar has each alone.
        let parts = match (sql.find(" clone "), sql.find(" with managed access")) {
            (Some(clone), Some(options)) => {
                let made = sql[..clone].replace("transient ", "");
                vec![
                    format!("{made}{}", &sql[clone..options]),
                    format!("{}{}", &sql[..clone], &sql[options..]),
                ]
            }
            // Nor does it support a bound value in a table function; a literal replaces it.
            _ => vec![sql.replace("parse_json(?)", "parse_json('[]')")],
        };
        for part in parts {
            assert_eq!(parse(&part).statements.len(), 1, "{part}");
        }
    }
}

/// A property that the grammar does not know yet.
static NEWER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"workload_identity = \([^)]*\)").expect("a pattern"));

#[test]
fn the_files_of_sql_are_snowflakes_sql() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/snowflake");
    for folder in [root.clone(), root.join("bootstrap")] {
        let entries =
            std::fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("an entry").path());
        let files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "sql")).collect();
        assert!(!files.is_empty(), "{}", folder.display());
        for path in files {
            let text = std::fs::read_to_string(&path).expect("a file");
            let text = NEWER.replace_all(&text, "disabled = false");
            assert!(!parse(&text).statements.is_empty(), "{}", path.display());
        }
    }
}

#[test]
fn environments_reach_snowflake_in_upper_case_and_quoted() {
    let issue = name("Issue_42");
    let database = Database::new(&identifier("LOGISTICS_DEMO"));
    let whole = ["LOGISTICS_DEMO", "ISSUE_42"];
    expect(&database.create_schema(&issue, &Applied::new()), SyntaxKind::CreateSchemaStatement, &whole);
    expect(&database.drop_schema(&issue), SyntaxKind::DropSchemaStatement, &whole);
    let cloned = database.clone_schema(&name("dev"), &issue, &Record::default());
    assert_eq!(
        cloned,
        "create transient schema \"LOGISTICS_DEMO\".\"ISSUE_42\" clone \"LOGISTICS_DEMO\".\"DEV\" with managed access \
         data_retention_time_in_days = 0 comment = '{\"environment\":\"issue_42\",\"tool\":\"xtask\"}'"
    );
    assert!(
        database.create_schema(&name("prod"), &Applied::new()).starts_with("create schema if not exists "),
        "no transient prod"
    );
}

#[test]
fn only_tombstones_are_swept() {
    let database = Database::new(&identifier("DB"));
    for other in ["environments", "lock_issue_1", "stale_", "stale_x y", "stale_\"x"] {
        assert_eq!(lease::sweep(&database, other), None, "{other}");
    }
}

#[test]
fn a_comment_names_its_environment_again() {
    let database = Database::new(&identifier("DB")).of(Some("shop"));
    let ours = database.comment(&name("issue_42"), &Record::default());
    assert_eq!(marked_for(&ours).as_deref(), Some("issue_42"));
    assert_eq!(project_of(&ours).as_deref(), Some("shop"));
    for other in
        ["", "hello", "{}", "{\"tool\":\"dbt\",\"environment\":\"issue_42\"}", "{\"tool\":\"xtask\"}"]
    {
        assert_eq!(marked_for(other), None, "{other}");
    }
}

#[test]
fn rows_that_belong_together_are_one_transaction() {
    let row = |text: &str| {
        let mut row = Row::new();
        row.insert("a".into(), text.into());
        row
    };
    let insert = |rows: Vec<Row>| Statement::Insert { table: Table::new("issue_1", "ledger_runs"), rows };
    let warehouse = snowflake();
    let sent = |change: &[Statement]| -> Vec<String> {
        warehouse.steps(change).iter().map(|step| first_word(&step.sql)).collect()
    };
    let drop = Statement::sql("drop schema x");
    assert_eq!(sent(&[insert(vec![row("1")])]), ["insert"]);
    assert_eq!(sent(&[insert(Vec::new())]), [""; 0]);
    assert_eq!(
        sent(&[drop.clone(), insert(vec![row("1")]), Statement::sql("delete from y"), drop]),
        ["drop", "begin", "insert", "delete", "commit", "drop"]
    );
    let rows: Vec<Row> = ["a", "b", "c"].map(row).into();
    let one = Value::Object(rows[0].clone()).to_string().len();
    assert_eq!(chunks(&rows, 2 * one).iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(chunks(&rows, 1).len(), 3, "a row larger than the limit still goes");
}

#[test]
fn only_what_does_nothing_twice_is_sent_twice() {
    for sql in [
        "select 1",
        "SHOW schemas",
        "create table if not exists a.b (c int)",
        "create transient schema if not exists x",
        "-- why\nselect 1",
        "/* a */ // b\n  -- c\nshow schemas",
        "(select 1) union all (select 2)",
        "select/**/1",
        "create /* x */ table -- y\n if not exists a.b (c int)",
        "with x as (select 1) select * from x",
        "desc table x",
        "select*from t",
        "select'x'",
        "-- $$\nselect $$ -- $$",
    ] {
        assert!(is_repeatable(sql), "{sql}");
    }
    for sql in [
        "insert into x select 'if not exists'",
        "create table x as select 1",
        "create schema x clone y comment = 'if not exists'",
        "drop schema if exists x",
        "update x set y = 1",
        "alter table x rename to y",
        "begin",
        "commit",
        "",
        "-- select 1",
        "/* select 1",
        "-- select\ninsert into x select 1",
        "/* if not exists */ create table x as select 1",
        "create table x /* if not exists */ as select 1",
        "//\ndelete from x",
        "/* a /* b */ select 1 */ delete from x",
        "with p as procedure () returns int language sql as $$ begin delete from t; end $$ call p()",
        "execute immediate $$ select 1 $$",
        "$$select 1$$",
        "call p()",
        "select_all",
    ] {
        assert!(!is_repeatable(sql), "{sql}");
    }
}

/// What people and attackers write: quotes, comments, statements, other scripts, control characters.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\"; drop database x; --".to_owned()),
        Just("GOLD CASCADE //".to_owned()),
        Just("';".to_owned()),
        Just("\\'".to_owned()),
        Just("\\".to_owned()),
        Just("$$".to_owned()),
        Just("/*".to_owned()),
        Just("*/".to_owned()),
        Just("\u{202e}".to_owned()),
        Just("\n".to_owned()),
        Just("{{ x }}".to_owned()),
        Just("?".to_owned()),
        Just(":1".to_owned()),
        Just("é".to_owned()),
        Just("issue_42".to_owned()),
        "[a-zA-Z_0-9 \"';\\\\.$/*#-]{0,12}",
        "[ -~]{0,12}",
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// An object's name from an issue, a role of the policy, another user's view, a database: text from outside
    /// appears in a statement only as one quoted identifier.
    #[test]
    fn a_hostile_name_stays_a_name(text in hostile()) {
        let issue = name("issue_42");
        let database = Database::new(&identifier("DB"));
        let Ok(outside) = Identifier::try_from(text.clone()) else {
            prop_assert!(text.is_empty() || text.chars().any(|c| c.is_control() || c == '\\'));
            return Ok(());
        };
        expect(&database.drop_relation("ISSUE_42", &outside, Form::View), SyntaxKind::DropViewStatement, &["DB", "ISSUE_42", &text]);
        let declared = grants::declared(&[grant(&text, Access::Write)], &issue);
        let place = database.schema("issue_42");
        for sql in grants::grants(&place, &declared).into_iter().chain(grants::revocations(&place, &declared, &Applied::new())) {
            expect(&sql, SyntaxKind::AccessStatement, &["DB", "ISSUE_42", &text]);
        }
        let hostile = Database::new(&outside);
        expect(&hostile.create_schema(&issue, &Applied::new()), SyntaxKind::CreateSchemaStatement, &[&text, "ISSUE_42"]);
        expect(&hostile.drop_schema(&issue), SyntaxKind::DropSchemaStatement, &[&text, "ISSUE_42"]);
    }

    /// Text inside a literal stays inside it.
    #[test]
    fn a_hostile_text_stays_a_literal(text in hostile()) {
        let issue = name("issue_42");
        let database = Database::new(&identifier("DB"));
        let lock = ["DB", "XTASK_REGISTRY", "LOCK_ISSUE_42"];
        expect(&lease::acquire(&database, &issue, &text, &text, 300), SyntaxKind::CreateTableStatement, &lock);
        expect(&lease::prolong(&database, &issue, &text, 300), SyntaxKind::UpdateStatement, &lock);
        let spare = ledger::spare(&snowflake(), &text);
        let Statement::Sql(sql) = spare else { panic!("SQL") };
        expect(&sql, SyntaxKind::DeleteStatement, &["DB", "XTASK_REGISTRY", "CONDEMNED"]);
        prop_assert!(!literal(&text).contains('\\'));
    }

    /// Rows are bound, so the statement is the same whatever they contain; and a name that does not fit the
    /// grammar is not an environment name.
    #[test]
    fn hostile_rows_and_schema_names_reach_no_sql(text in hostile()) {
        let origin = Origin { object_name: Some(text.clone()), created_by: Some(text.clone()), base: None };
        let mut warehouse = snowflake();
        let change = ledger::ensure(&mut warehouse, &name("issue_42"), &State::default(), &origin, Need::Environment, Adopt::default())
            .expect("statements");
        let steps = warehouse.steps(&change);
        for step in &steps {
            prop_assert!(text.trim().len() < 4 || !step.sql.contains(text.trim()) || text.contains("issue_42"), "{}", step.sql);
        }
        let marks: Vec<&Step> = steps.iter().filter(|step| !step.rows.is_empty()).collect();
        prop_assert_eq!(marks.len(), 2);
        for step in marks {
            prop_assert_eq!(step.rows[0].get("object_name").and_then(Value::as_str), Some(text.as_str()));
        }
        if let Ok(name) = text.parse::<Name>() {
            prop_assert!(name.as_str().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        }
    }
}

/// Snowflake gathers the tables of a whole database for a join, and refuses if they are too many (090030).
#[test]
fn what_exists_is_asked_of_the_schemas_concerned_only() {
    let database = Database::new(&identifier("DB"));
    for (names, schemas, tables) in [
        (Names::Folded, "s.schema_name in ('A', 'B')", "t.table_schema in ('A', 'B')"),
        (Names::Kept, "s.schema_name in ('a', 'B')", "t.table_schema in ('a', 'B')"),
        (Names::InAnyCase, "lower(s.schema_name) in ('a', 'b')", "lower(t.table_schema) in ('a', 'b')"),
    ] {
        let sql = database.contents(&["a", "B"], names);
        assert!(sql.contains(schemas) && sql.contains(tables), "{sql}");
    }
}
