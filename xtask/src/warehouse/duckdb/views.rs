//! The views of a copied database: their text names the database that they were made in.
//!
//! dbt writes such names in full, `"dev"."main"."orders"`, so they can be distinguished from anything else and are made names of
//! the copy. A view that names its old database in any other way is left out, and the next run builds it: kept, it would
//! go on reading the base.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use super::copy::{is_word, quoted};
use super::look::text;
use crate::core::environment::Name;
use crate::warehouse::{Row, literal, quote};

/// A view that is made again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    /// In full, as SQL takes it.
    pub(super) place: String,
    pub(super) name: String,
    /// What follows the name in its definition: columns, if it lists them, and the query.
    pub(super) rest: String,
}

/// The statements that make the views of a copied database name the database that it is now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Remade {
    pub(super) drop: String,
    pub(super) create: String,
}

/// The queries whose answers [`remade`] takes: the views of a database, and the comments on columns.
pub(super) fn questions(database: &str) -> String {
    let own = format!("database_name = {}", literal(database));
    format!(
        "select schema_name, view_name as name, sql, comment from duckdb_views()
         where {own} and not internal order by view_oid;
         select c.schema_name, c.table_name as name, c.column_name, c.comment
         from duckdb_columns() as c
         where c.{own} and c.comment is not null order by all"
    )
}

/// What has to be sent to a copy of the database `base`, so that its views name the database that it is now.
pub(super) fn remade(answers: Vec<Vec<Row>>, base: &Name, database: &str) -> Remade {
    let mut answers = answers.into_iter();
    let (views, columns) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());
    let stale: Vec<&Row> = views.iter().filter(|row| mentions(text(row, "sql"), base.as_str())).collect();
    if stale.is_empty() {
        return Remade::default();
    }
    let drop: Vec<String> = stale.iter().map(|row| format!("drop view {};", place(database, row))).collect();
    let drop = drop.join("\n");
    let mut comments: BTreeMap<String, String> = BTreeMap::new();
    for row in stale.iter().copied().chain(&columns).filter(|row| !text(row, "comment").is_empty()) {
        let (place, comment) = (place(database, row), literal(text(row, "comment")));
        let statement = match row.get("column_name") {
            None => format!("comment on view {place} is {comment};\n"),
            Some(_) => {
                format!("comment on column {place}.{} is {comment};\n", quote(text(row, "column_name")))
            }
        };
        comments.entry(place).or_default().push_str(&statement);
    }
    let again: Vec<View> = stale.iter().filter_map(|row| view(row, base.as_str(), database)).collect();
    let mut create = String::new();
    for view in in_order(again) {
        let _ = writeln!(create, "create view {}{};", view.place, view.rest);
        create.push_str(comments.get(&view.place).map(String::as_str).unwrap_or_default());
    }
    Remade { drop, create }
}

/// The views of the current database.
pub(super) const ALL: &str = "select schema_name, view_name as name, sql from duckdb_views() \
     where database_name = current_database() and not internal";

/// Schema and name of those views that `remake` makes again, or that do not name their database; none if one of them
/// has to be left out, since others may read it.
pub(super) fn remakeable(views: &[Row], base: &Name) -> Vec<(String, String)> {
    // The name of the copy plays no part in what can be made again.
    let is_kept =
        |row: &Row| !mentions(text(row, "sql"), base.as_str()) || view(row, base.as_str(), "").is_some();
    if !views.iter().all(is_kept) {
        return Vec::new();
    }
    views.iter().map(|row| (text(row, "schema_name").to_owned(), text(row, "name").to_owned())).collect()
}

fn place(database: &str, row: &Row) -> String {
    [database, text(row, "schema_name"), text(row, "name")].map(quote).join(".")
}

/// The view of `row` in `database`, or `None` if it still names the database `from`.
fn view(row: &Row, from: &str, database: &str) -> Option<View> {
    let definition = text(row, "sql").trim_end().trim_end_matches(';');
    let rest = after_name(definition.strip_prefix("CREATE VIEW ")?);
    let rest = renamed(rest, from, &|schema| Some((database.to_owned(), schema.to_owned())));
    let name = text(row, "name").to_owned();
    (!mentions(&rest, from)).then(|| View { place: place(database, row), name, rest })
}

/// What follows a name of one or more parts.
pub(super) fn after_name(text: &str) -> &str {
    let mut rest = text;
    loop {
        rest = &rest[token(rest)..];
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None => return rest,
        }
    }
}

/// The length of the first word, quoted text or other character.
fn token(text: &str) -> usize {
    match text.chars().next() {
        None => 0,
        Some(mark @ ('\'' | '"')) => quoted(text, mark),
        Some(c) if is_word(c) => text.find(|c| !is_word(c)).unwrap_or(text.len()),
        Some(c) => c.len_utf8(),
    }
}

/// A query in which names of three parts that begin with the database `from` begin with the database and schema that
/// `to` gives for their schema.
pub(super) fn renamed(query: &str, from: &str, to: &dyn Fn(&str) -> Option<(String, String)>) -> String {
    let mut out = String::with_capacity(query.len() + 16);
    let mut rest = query;
    while !rest.is_empty() {
        let (first, after) = rest.split_at(token(rest));
        rest = after;
        let schema = after.strip_prefix('.').unwrap_or_default();
        let schema = &schema[..token(schema)];
        let is_database = first.trim_matches('"') == from
            && !out.ends_with('.')
            && !schema.is_empty()
            && after[1 + schema.len()..].starts_with('.');
        match to(schema.trim_matches('"')).filter(|_| is_database) {
            Some((database, new)) => {
                let _ = write!(out, "{}.{}", quote(&database), quote(&new));
                rest = &after[1 + schema.len()..];
            }
            None => out.push_str(first),
        }
    }
    out
}

/// Whether `name` is in `text` as a whole word.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Views that others read come before those. Names that are columns elsewhere can make a circle: then one of them is first.
pub(super) fn in_order(views: Vec<View>) -> Vec<View> {
    let reads = reads(&views);
    let mut order = Vec::with_capacity(views.len());
    let mut is_met = vec![false; views.len()];
    for first in 0..views.len() {
        let mut open = vec![(first, false)];
        while let Some((at, is_done)) = open.pop() {
            if is_done {
                order.push(at);
            } else if !std::mem::replace(&mut is_met[at], true) {
                open.push((at, true));
                open.extend(reads[at].iter().map(|at| (*at, false)));
            }
        }
    }
    let mut views: Vec<Option<View>> = views.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| views[at].take()).collect()
}

/// Of each view: which of the others its query mentions.
fn reads(views: &[View]) -> Vec<Vec<usize>> {
    let mut words: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut others = Vec::new();
    for (at, view) in views.iter().enumerate() {
        if view.name.chars().all(is_word) {
            words.entry(&view.name).or_default().push(at);
        } else {
            others.push(at);
        }
    }
    let of_one = |at: usize, view: &View| {
        let known = view.rest.split(|c| !is_word(c)).filter_map(|word| words.get(word)).flatten();
        let odd = others.iter().filter(|other| mentions(&view.rest, &views[**other].name));
        let found: BTreeSet<usize> = known.chain(odd).copied().filter(|other| *other != at).collect();
        found.into_iter().collect()
    };
    views.iter().enumerate().map(|(at, view)| of_one(at, view)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(name: &str, sql: &str) -> Row {
        serde_json::from_value(json!({"schema_name": "main", "name": name, "sql": sql})).expect("a row")
    }

    #[test]
    fn names_in_full_become_names_of_the_copy() {
        for (sql, expected) in [
            ("CREATE VIEW v AS SELECT * FROM dev.main.x;", Some(r#" AS SELECT * FROM "pr_7"."main".x"#)),
            (
                r#"CREATE VIEW raw."v ""1""" (c, d) AS SELECT 1 AS " AS ", a.dev FROM "dev"."main_raw"."x.y" AS a;"#,
                None,
            ),
            (
                r#"CREATE VIEW raw."v ""1""" (c, d) AS SELECT 1 FROM "dev"."main_raw"."x.y" AS a;"#,
                Some(r#" (c, d) AS SELECT 1 FROM "pr_7"."main_raw"."x.y" AS a"#),
            ),
            ("CREATE VIEW v AS SELECT * FROM dev.x;", None),
            ("CREATE VIEW v AS SELECT * FROM read_parquet('/w/dev/x.parquet');", None),
            ("CREATE VIEW v AS SELECT dev.main.b FROM prod.main.x AS dev;", None),
        ] {
            let made = view(&row("v", sql), "dev", "pr_7").map(|view| view.rest);
            assert_eq!(made.as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn views_are_copied_if_all_can_be_made_again() {
        let base: Name = "dev".parse().expect("a name");
        let names =
            |rows: &[Row]| remakeable(rows, &base).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        let plain = row("a", "CREATE VIEW a AS SELECT 1;");
        let full = row("b", "CREATE VIEW b AS SELECT * FROM dev.main.x;");
        let other = row("c", "CREATE VIEW c AS SELECT 'dev' AS origin FROM dev.main.b;");
        assert_eq!(names(&[plain.clone(), full.clone()]), ["a", "b"]);
        assert!(names(&[plain, full, other]).is_empty());
    }

    #[test]
    fn only_whole_words_are_mentions() {
        assert!(mentions("from dev.x", "dev") && mentions("'dev'", "dev"));
        assert!(!mentions("from dev_2.x, mydev", "dev"));
    }

    #[test]
    fn views_come_after_those_that_they_read() {
        let view = |name: &str, rest: &str| View { place: name.into(), name: name.into(), rest: rest.into() };
        let names =
            |views: Vec<View>| -> Vec<String> { in_order(views).into_iter().map(|view| view.name).collect() };
        let chain = vec![view("a", "from d.main.b"), view("b", "from d.main.c"), view("c", "from d.main.t")];
        assert_eq!(names(chain), ["c", "b", "a"]);
        assert_eq!(names(vec![view("a", "b"), view("b", "a")]).len(), 2);
        assert_eq!(
            names(vec![view("a", "from d.main.\"b c\""), view("b c", "from d.main.ab")]),
            ["b c", "a"]
        );
        let long: Vec<View> =
            (0..3000).map(|at| view(&format!("v{at}"), &format!("from d.main.v{}", at + 1))).collect();
        assert_eq!(names(long).first().map(String::as_str), Some("v2999"));
    }
}
