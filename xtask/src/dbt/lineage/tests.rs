//! Each SQL with the columns that it makes, and what those are made from.

use super::*;

/// `raw` has the columns `id`, `name`, `amount`, `day`; `items` has `id`, `price`; those of `src` are not known.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let known = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    catalog.add("raw", r#""db"."main"."raw""#, known(&["id", "name", "amount", "day"]));
    catalog.add("items", "db.main.items", known(&["id", "price"]));
    catalog.add("src", "db.main.src", None);
    catalog.add("own", "db.main.own", known(&["id", "name"]));
    catalog
}

/// `a: raw.id` a line; `?` is unsure, `=` identity, `~` transformation, `+` aggregation, `if` and `over` are indirect.
fn follow(sql: &str, columns: &[&str]) -> Vec<String> {
    let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    let lineage = catalog().follow("own", sql, warehouse::Dialect::DuckDb, &columns);
    let text = |(input, kind): (&Input, &Kind)| {
        let mark = match kind {
            Kind::Conditional => "if ",
            Kind::Window => "over ",
            Kind::Identity => "=",
            Kind::Transformation => "~",
            Kind::Aggregation => "+",
        };
        format!("{mark}{}.{}", input.id, input.column)
    };
    let line = |name: &String| match lineage.columns.get(name) {
        None => format!("{name}: ?"),
        Some(inputs) => format!("{name}: {}", inputs.iter().map(text).collect::<Vec<_>>().join(" ")),
    };
    assert_eq!(lineage.columns.len() + lineage.unsure, columns.len());
    columns.iter().map(line).collect()
}

#[track_caller]
fn expect(sql: &str, lines: &[&str]) {
    let columns: Vec<&str> = lines.iter().map(|line| line.split(": ").next().expect("a name")).collect();
    let columns: Vec<&str> = columns.into_iter().map(|name| name.trim_end_matches(':')).collect();
    let lines: Vec<String> = lines
        .iter()
        .map(|line| if line.ends_with(':') { format!("{line} ") } else { (*line).to_owned() })
        .collect();
    assert_eq!(follow(sql, &columns), lines, "{sql}");
}

#[test]
fn columns_are_followed_through_ctes_and_joins() {
    expect(
        "with a as (select * from db.main.raw), b as (select id as key, amount * 2 as double from a)
         select b.key, double, items.price from b left join db.main.items as items on b.key = items.id",
        &["key: =raw.id", "double: ~raw.amount", "price: =items.price"],
    );
    expect(
        r#"select "raw".id, upper(name) as name, 1 as one from "db"."main"."raw""#,
        &["id: =raw.id", "name: ~raw.name", "one:"],
    );
    expect(
        "select r.id, (select max(price) from db.main.items as i where i.id = r.id) as most from db.main.raw as r",
        &["id: =raw.id", "most: +items.price"],
    );
    expect("select * from (select id, name from db.main.raw) as t(a, b)", &["a: =raw.id", "b: =raw.name"]);
    expect("from db.main.items", &["id: =items.id", "price: =items.price"]);
}

#[test]
fn how_a_column_is_made_is_known() {
    expect(
        "select day, sum(amount) as total, count(*) as n, max(case when name = 'x' then amount end) as x,
             sum(amount) filter (where id > 1) as some, row_number() over (partition by day order by id) as nth,
             lag(amount) over w as before
         from db.main.raw group by day window w as (order by day)",
        &[
            "day: =raw.day",
            "total: +raw.amount",
            "n:",
            "x: +raw.amount if raw.name",
            "some: +raw.amount if raw.id",
            "nth: over raw.day over raw.id",
            "before: ~raw.amount over raw.day",
        ],
    );
    expect(
        "select cast(id as varchar) as a, id::int as b, dateadd(day, 1, day) as c, amount between 1 and 2 as d,
             coalesce(name, 'x') as e, name in (select name from db.main.own) as f, extract(year from day) as g
         from db.main.raw",
        &[
            "a: ~raw.id",
            "b: ~raw.id",
            "c: ~raw.day",
            "d: ~raw.amount",
            "e: ~raw.name",
            "f: ~raw.name",
            "g: ~raw.day",
        ],
    );
}

#[test]
fn stars_unions_and_joins_by_name_are_expanded() {
    expect(
        "select * exclude (day) replace (amount + 1 as amount) from db.main.raw",
        &["id: =raw.id", "name: =raw.name", "amount: ~raw.amount"],
    );
    expect(
        "select * from db.main.raw join db.main.items using (id)",
        &["id: =raw.id", "name: =raw.name", "amount: =raw.amount", "day: =raw.day", "price: =items.price"],
    );
    expect("select id from db.main.raw full join db.main.items using (id)", &["id: ~items.id ~raw.id"]);
    expect(
        "select id, amount from db.main.raw union all select id, price from db.main.items",
        &["id: =items.id =raw.id", "amount: =items.price =raw.amount"],
    );
    expect(
        "select id, amount from db.main.raw union all by name select price as amount, id from db.main.items",
        &["id: =items.id =raw.id", "amount: =items.price =raw.amount"],
    );
    expect(
        "with recursive t as (select id, day from db.main.raw union all select id, day + 1 from t) select * from t",
        &["id: =raw.id", "day: ~raw.day"],
    );
    expect("select t.* from db.main.items as t", &["id: =items.id", "price: =items.price"]);
}

#[test]
fn a_relation_of_unknown_columns_passes_names_on() {
    expect(
        "with source as (select * from db.main.src), renamed as (select id as key, upper(name) as name from source)
         select * from renamed",
        &["key: =src.id", "name: ~src.name"],
    );
    expect("select * from db.main.src", &["a: =src.a"]);
    // Which of the two has it is not known.
    expect("select x, s.y from db.main.src as s join db.main.src as t on s.a = t.a", &["x: ?", "y: =src.y"]);
    // A column named so in `src` would come first.
    expect("select a as b, b || 'x' as c from db.main.src", &["b: =src.a", "c: ?"]);
}

#[test]
fn an_alias_of_the_same_list_is_used_unless_a_column_has_its_name() {
    expect(
        "select amount + 1 as more, more * 2 as most, upper(name) as name, name || 'x' as again from db.main.raw",
        &["more: ~raw.amount", "most: ~raw.amount", "name: ~raw.name", "again: ~raw.name"],
    );
}

#[test]
fn what_is_not_understood_is_unsure_and_never_guessed() {
    for sql in [
        "select columns(*) from db.main.raw",
        "select * from read_csv('x.csv')",
        "select id, name from db.main.elsewhere",
        "select id, name from db.main.raw; select 1",
        "pivot db.main.raw on name using sum(amount)",
        "not SQL at all",
        "",
        "select id, name from db.main.raw natural join db.main.own",
        // Both have it.
        "select id as id, raw2.name as name from db.main.raw as raw1, db.main.own as raw3",
    ] {
        assert_eq!(follow(sql, &["id", "name"]), ["id: ?", "name: ?"], "{sql}");
    }
    // One column that is not understood leaves the others.
    expect("select id, u.x as name from db.main.raw, unnest([1, 2]) as u(x)", &["id: =raw.id", "name: ?"]);
    // The table has a column more than the query, as an incremental model or a snapshot may.
    expect("select id from db.main.raw", &["id: =raw.id", "dbt_valid_to: ?"]);
}

#[test]
fn a_model_that_reads_itself_is_not_made_from_itself() {
    expect(
        "select id, name from db.main.raw union all select id, name from db.main.own",
        &["id: =raw.id", "name: =raw.name"],
    );
}

#[test]
fn deep_sql_ends() {
    let chain = vec!["name"; 20_000].join(" || ");
    expect(&format!("select {chain} as long from db.main.raw"), &["long: ~raw.name"]);
    let nested = format!("{}select id from db.main.raw{}", "select * from (".repeat(500), ")".repeat(500));
    assert_eq!(follow(&nested, &["id"]), ["id: ?"]);
}

#[test]
fn lambdas_and_fields_are_followed() {
    expect(
        "select list_transform([amount], x -> x + id) as list, r.name.first as field from db.main.raw as r",
        &["list: ~raw.amount ~raw.id", "field: ~raw.name"],
    );
}
