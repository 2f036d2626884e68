//! What one template (a model, a macro, a test, a hook) is made of and what it reads: found from its text, never
//! guessed. What the text does not say makes it coarse, or built every time.

mod calls;
mod names;
mod python;
mod words;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use self::python::python;
use self::words::names_a_table;
use super::fold::{self, Dialect, Folded, Word};
use crate::dbt::graph::jinja::{Call, Token, Tokens, calls, keyword, tokens};
use crate::system::digest::Digest;

/// A `ref`: package, name, version.
pub(crate) type Ref = (Option<String>, String, Option<String>);

/// Everything that a template says about itself.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate thing that the text says")]
pub(crate) struct Unit {
    /// Of the folded text.
    pub(crate) folded: String,
    /// Of the text as it is, but for line ends.
    pub(crate) raw: String,
    pub(crate) is_balanced: bool,
    /// Names in its Jinja: any of them may be a macro.
    pub(crate) names: BTreeSet<String>,
    /// Macros whose white space counts: called between quotes, in conditions, or for a variable put between quotes.
    pub(crate) exact_names: BTreeSet<String>,
    /// `adapter.dispatch(name, namespace)`.
    pub(crate) dispatches: BTreeSet<(String, Option<String>)>,
    pub(crate) refs: BTreeSet<Ref>,
    /// Named in SQL comments only: an order, not an input.
    pub(crate) hints: BTreeSet<Ref>,
    pub(crate) sources: BTreeSet<(String, String)>,
    pub(crate) vars: BTreeSet<String>,
    pub(crate) envs: BTreeSet<String>,
    /// Attributes of `target` that it reads; an empty name is all of it.
    pub(crate) target: BTreeSet<String>,
    /// Whether it reads the schema of `this` or `model`, or `schema` itself.
    pub(crate) reads_schema: bool,
    /// What it reads of what property files say about the node: columns, descriptions, `meta`, tags.
    pub(crate) reads_properties: BTreeSet<&'static str>,
    pub(crate) graph: Option<GraphUse>,
    /// Why it cannot be known what it reads.
    pub(crate) coarse: BTreeSet<String>,
    /// Whether it asks the warehouse while it is compiled.
    pub(crate) queries: bool,
    /// What it reads that has no version: why it is built every time.
    pub(crate) always: BTreeSet<String>,
    /// The clocks that it reads.
    pub(crate) clocks: BTreeSet<String>,
    /// What gives another result each time.
    pub(crate) random: BTreeSet<String>,
    /// Files that it reads by name.
    pub(crate) files: BTreeSet<String>,
    /// Names without a schema that follow `from` or `join`, and names that `with` gives: what is only in the first is
    /// a table that no node makes.
    pub(crate) tables: BTreeSet<String>,
    pub(crate) ctes: BTreeSet<String>,
    /// Whether it computes names of its subqueries, so that any of `tables` may be one.
    pub(crate) computes_ctes: bool,
    /// Texts of its Jinja that may be names of variables of the environment, or a part of one.
    pub(crate) texts: BTreeSet<String>,
    /// Variables and macros that name what follows `from` or `join`.
    pub(crate) table_vars: BTreeSet<String>,
    pub(crate) table_calls: BTreeSet<String>,
    /// Of a macro: whether all that it puts out is the name of a table.
    pub(crate) names_table: bool,
    /// Of a macro: whether it gives a value with `return` and puts out nothing.
    pub(crate) only_returns: bool,
    /// The conditions around its `config(…)` calls, with a mark for each call, if a condition decides about one.
    pub(crate) skeleton: Option<String>,
    /// The values of `config(…)` calls, the later last; an expression as its folded text.
    pub(crate) config: Vec<(String, Set)>,
    /// How many values there are after each call.
    config_ends: Vec<usize>,
    /// What names of the template mean, as far as they are texts or variables.
    locals: BTreeMap<String, Local>,
}

/// What a name of the template that is set to texts or variables may be.
#[derive(Clone, Debug, Default)]
struct Local {
    texts: Vec<String>,
    vars: Vec<String>,
    is_composed: bool,
    /// Whether the environment or the target is part of it.
    is_of_place: bool,
}

impl Unit {
    /// The values of one `config(…)` call.
    pub(crate) fn config_of(&self, call: usize) -> &[(String, Set)] {
        let start = call.checked_sub(1).map_or(0, |before| self.config_ends[before]);
        self.config_ends.get(call).map_or(&[], |end| &self.config[start..*end])
    }
}

/// What is read of `graph`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GraphUse {
    Sources,
    All,
}

/// A value in a `config(…)` call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Set {
    Value(serde_json::Value),
    /// A template decides: its text.
    Expression(String),
}

/// All that property files and neutral configuration say of a node, and where it is.
pub(crate) const EVERYTHING: &str = "all";

/// A stretch of a file: a whole model, or one macro with the words that open it.
pub(crate) fn sql(text: &str, dialect: Dialect) -> Unit {
    read(text, dialect, false)
}

/// A macro: what follows its call may continue its last line.
pub(crate) fn of_macro(text: &str, dialect: Dialect) -> Unit {
    read(text, dialect, true)
}

fn read(text: &str, dialect: Dialect, is_macro: bool) -> Unit {
    let mut folded = fold::fold(text, dialect);
    if is_macro && folded.ends_in_comment {
        folded.bytes.push(1);
    }
    let mut unit = Unit {
        folded: Digest::default().with(&folded.bytes).short(),
        raw: Digest::default().with(fold::unix_lines(text)).short(),
        is_balanced: folded.is_balanced,
        ..Unit::default()
    };
    let quoted = quoted_names(text, &folded);
    let mut parameters = BTreeSet::new();
    for tag in &folded.tags {
        let words = tokens(text, tag.inner.clone(), false);
        let word = if tag.is_output { "" } else { keyword(&text[tag.inner.clone()]) };
        let is_definition =
            matches!(word, "macro" | "test" | "data_test" | "materialization" | "snapshot" | "docs");
        if word.starts_with("end") || word == "raw" {
            continue;
        }
        let is_exact = tag.in_quotes
            || matches!(word, "if" | "elif" | "for")
            || (word == "set"
                && words
                    .get(1 + lead(&words))
                    .is_some_and(|(token, _)| matches!(token, Token::Name(name) if quoted.contains(*name))));
        if is_definition {
            parameters.extend(parameters_of(&words));
        }
        unit.take_names(&words, is_definition, is_exact);
        unit.take_model(&words, &parameters);
        unit.take_lookups(&words);
        unit.take_relations(&words);
        for call in calls(&words) {
            unit.take_call(&call, text, tag.in_comment && tag.is_output);
        }
        unit.take_local(word, &words);
        unit.take_literal_sql(&words, is_definition);
    }
    unit.take_words(&folded.words);
    if is_macro {
        unit.names_table = unit.refs.is_empty() && unit.sources.is_empty() && names_a_table(&folded.words);
        let is_return = |word: &Word| matches!(word, Word::Output { name, .. } if name == "return");
        unit.only_returns = unit.names.contains("return") && folded.words.iter().all(is_return);
    } else if has_conditional_config(text, &folded) {
        unit.skeleton = Some(skeleton(text, &folded));
    }
    unit
}

fn is_config(call: &Call<'_>) -> bool {
    call.name == "config"
}

fn has_conditional_config(text: &str, folded: &Folded) -> bool {
    let conditional = folded.tags.iter().filter(|tag| tag.depth > 0);
    conditional.into_iter().any(|tag| calls(&tokens(text, tag.inner.clone(), false)).iter().any(is_config))
}

/// What decides about `config(…)` calls, with a mark for each of them.
fn skeleton(text: &str, folded: &Folded) -> String {
    let mut found = String::new();
    let mut count = 0_usize;
    for tag in &folded.tags {
        let code = &text[tag.inner.clone()];
        let words = tokens(text, tag.inner.clone(), false);
        let word = if tag.is_output { "" } else { keyword(code) };
        let is_value = words.iter().any(|(token, _)| *token == Token::Mark('='));
        if matches!(word, "if" | "elif" | "else" | "endif" | "for" | "endfor") || word == "set" && is_value {
            found.extend(["{%", code, "%}"]);
        }
        for _ in calls(&words).iter().filter(|call| is_config(call)) {
            found.extend([CALL.to_string(), count.to_string(), ";".to_owned()]);
            count += 1;
        }
    }
    found
}

/// Before the number of a `config(…)` call.
pub(crate) const CALL: char = '\u{3}';

/// The names of what a macro is given.
fn parameters_of<'a>(words: &Tokens<'a>) -> Vec<&'a str> {
    let pairs = words.windows(2);
    pairs
        .filter_map(|pair| match (&pair[0].0, &pair[1].0) {
            (Token::Mark('(' | ','), Token::Name(name)) => Some(*name),
            _ => None,
        })
        .collect()
}

fn lead(words: &Tokens<'_>) -> usize {
    usize::from(matches!(words.first(), Some((Token::Mark('-' | '+'), _))))
}

/// Names put out between quotes of SQL.
fn quoted_names<'a>(text: &'a str, folded: &Folded) -> BTreeSet<&'a str> {
    let tags = folded.tags.iter().filter(|tag| tag.in_quotes);
    tags.flat_map(|tag| tokens(text, tag.inner.clone(), false))
        .filter_map(|(token, _)| match token {
            Token::Name(name) => Some(name),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Unit {
        sql(text, Dialect::DuckDb)
    }

    #[test]
    fn reads_are_found() {
        let unit = of("{{ config(materialized='table', tags=['a']) }}
            -- depends_on: {{ ref('hint') }}
            select {{ f(x) }}, '{{ var(\"v\", 1) }}', current_date, t.now, random()
            from {{ ref('p', 'a', v=2) }} join {{ source('s', 't') }} on {{ env_var('E') }}
            {% if target.name == 'x' %} where {{ adapter.dispatch('d', 'pkg')() }} {% endif %}");
        assert_eq!(unit.refs.iter().next(), Some(&(Some("p".into()), "a".into(), Some("2".into()))));
        assert_eq!(unit.hints.len(), 1);
        assert_eq!(unit.sources.iter().next(), Some(&("s".into(), "t".into())));
        assert!(unit.vars.contains("v") && unit.envs.contains("E") && unit.target.contains("name"));
        assert!(unit.names.contains("f") && !unit.exact_names.contains("f"));
        assert_eq!(unit.clocks.iter().collect::<Vec<_>>(), ["current_date"]);
        assert_eq!(unit.random.len(), 1);
        assert_eq!(unit.dispatches.iter().next(), Some(&("d".into(), Some("pkg".into()))));
        assert_eq!(unit.config[0], ("materialized".into(), Set::Value("table".into())));
        assert!(unit.coarse.is_empty() && unit.always.is_empty());
    }

    #[test]
    fn what_cannot_be_known_is_coarse_or_always() {
        for text in ["{{ ref(x) }}", "{{ var(x) }}", "{{ context['a'] }}", "{{ adapter.dispatch(x)() }}"] {
            assert_eq!(of(text).coarse.len(), 1, "{text}");
        }
        for text in [
            "select * from raw.orders",
            "select * from read_csv({{ x }})",
            "select * from 's3://b/x.csv'",
            "{% set r = run_query('select a from information_schema.tables') %}",
            "select * from {{ ref('x') }} a, raw.orders b",
            "select * from \"raw\".\"orders\"",
            "{{ adapter.get_relation(target.database, 'raw', 'orders') }}",
            "{{ dbt_utils.get_relations_by_pattern('raw', '%') }}",
            "{% set r = run_query('show tables') %}",
            "{% set r = run_query('from raw.orders') %}",
            "{% set r = run_query('select max(id) from ' ~ target.schema ~ '.orders') %}",
            "{% set t = 'raw.orders' %} select * from {{ t }}",
            "{% for t in ['raw.a'] %} select * from {{ t }} {% endfor %}",
            "{% set t = target.schema ~ '_raw.a' %} select * from {{ t }}",
            "select * from {{ env_var('TABLE') }}",
            "{{ api.Relation.create(schema='raw', identifier='orders') }}",
        ] {
            assert_eq!(of(text).always.len(), 1, "{text}");
        }
        for text in [
            "select extract(day from t.d) from {{ ref('x') }}",
            "select a is distinct from t.b from x",
            "select (select 1 from {{ ref('x') }}), t.b from {{ ref('y') }} t where a in (1, 2)",
            "{% set r = adapter.get_relation(this.database, this.schema, this.identifier) %}",
            "select * from 'a.csv' join read_csv('b.csv', header = true) using (id)",
            "{% set c = ['a', 'b'] %} with a as (select 1), b as (select 2) {% for x in c %} select * from {{ x }} {% endfor %}",
            "{% set r = ref('x') %} select * from {{ r }}",
            "{% set r = run_query('select max(id) from ' ~ ref('x')) %}",
            "{{ api.Relation.create(schema=this.schema, identifier='x') }}",
        ] {
            assert!(of(text).always.is_empty(), "{text} {:?}", of(text).always);
        }
        assert_eq!(of("from 'a.csv' join read_csv(['b.csv', 'c.csv'])").files.len(), 3);
        assert_eq!(of("select * from {{ var('t') }}").table_vars, ["t".to_owned()].into());
        assert!(of("{{ adapter.dispatch('a', packages()) }}").coarse.len() == 1);
    }

    #[test]
    fn clocks_in_texts_of_jinja_are_found() {
        assert!(
            !of("{{ dbt_utils.date_spine(start_date=\"date '2020-01-01'\", end_date='current_date') }}")
                .clocks
                .is_empty()
        );
        assert!(!of("{{ f(where='d < now()') }}").clocks.is_empty());
        assert!(of("{{ var('current_date') }}").clocks.is_empty());
    }

    #[test]
    fn a_macro_may_name_a_table() {
        let of = |body: &str| of_macro(&format!("{{% macro m(x) %}}{body}{{% endmacro %}}"), Dialect::DuckDb);
        assert!(of("{{ target.database }}.raw.{{ x }}").names_table);
        assert!(of("raw.{{ x }}").names_table);
        assert!(!of("{{ x.schema }}.{{ x.identifier }}").names_table);
        assert!(!of("select a.{{ x }} from {{ ref('a') }} a").names_table);
        assert!(of("{% if x %}{{ return(1) }}{% endif %} {% do return(2) %}").only_returns);
        assert!(!of("a {{ return(1) }}").only_returns && !of("{{ x }} {% do return(2) %}").only_returns);
    }

    #[test]
    fn a_table_is_what_no_with_names() {
        let unit = of(
            "with a as (select 1), b (x) as materialized (select * from a) select * from b join raw on 1 = 1",
        );
        let tables: Vec<_> = unit.tables.difference(&unit.ctes).collect();
        assert_eq!(tables, ["raw"]);
        assert!(of("select * from {{ ref('a') }}, unnest([1]) as u").tables.is_empty());
        assert!(of("with {{ n }} as (select 1) select * from x").computes_ctes);
        assert!(of("with {{ n }}_values as (select 1) select * from x_values").computes_ctes);
        assert!(of("delete from log where id = 1").tables.is_empty());
    }

    #[test]
    fn what_property_files_say_counts_where_it_is_read() {
        for text in [
            "{{ model.columns }}",
            "{{ model['description'] }}",
            "{{ config.get('meta') }}",
            "{{ config.get(x) }}",
            "{{ config.meta_get('a') }}",
            "{{ f(model) }}",
        ] {
            assert!(!of(text).reads_properties.is_empty(), "{text}");
        }
        for text in [
            "{{ model.name }}",
            "{{ config.get('materialized') }}",
            "{{ persist_docs(this, model) }}",
            "{{ this.columns }}",
        ] {
            assert!(of(text).reads_properties.is_empty(), "{text}");
        }
        assert_eq!(of("{{ model.columns }}{{ model.fqn }}").reads_properties, ["columns", "path"].into());
        let given = of_macro("{% macro m(model) %}{{ model.columns }}{% endmacro %}", Dialect::DuckDb);
        assert!(given.reads_properties.is_empty());
    }

    #[test]
    fn white_space_of_a_macro_counts_where_it_ends_up_between_quotes() {
        assert!(of("select '{{ m() }}'").exact_names.contains("m"));
        assert!(of("{% set x = m() %} select '{{ x }}'").exact_names.contains("m"));
        assert!(of("{% if m() == 'x' %}{% endif %}").exact_names.contains("m"));
        assert!(!of("{% set x = m() %} select {{ x }}").exact_names.contains("m"));
    }
}
