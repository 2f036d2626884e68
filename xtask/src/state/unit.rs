//! What one template (a model, a macro, a test, a hook) is made of and what it reads: found from its text, never
//! guessed. What the text does not say makes it coarse, or built every time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::config::is_neutral;
use super::fold::{self, Dialect, Folded, Word};
use crate::dbt::graph::jinja::{Call, Literal, Token, Tokens, calls, keyword, tokens};
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

const CLOCKS: [&str; 8] = [
    "current_date",
    "current_timestamp",
    "current_time",
    "localtime",
    "localtimestamp",
    "sysdate",
    "sysdate",
    "systimestamp",
];
/// Clocks that are functions only: as names without brackets they are columns.
const CLOCK_FUNCTIONS: [&str; 9] = [
    "now",
    "today",
    "getdate",
    "get_current_timestamp",
    "transaction_timestamp",
    "statement_timestamp",
    "clock_timestamp",
    "get_current_time",
    "current_localtimestamp",
];
/// Parts of the names above, to look for them quickly.
const HINTS_OF_CLOCKS: [&str; 8] =
    ["current_", "localtime", "now(", "sysdate", "systimestamp", "today(", "getdate", "_timestamp("];
const JINJA_CLOCKS: [&str; 6] = [
    "run_started_at",
    "current_timestamp",
    "current_timestamp_in_utc_backcompat",
    "snapshot_get_time",
    "datetime",
    "now",
];
const RANDOM: [&str; 11] = [
    "nextval",
    "random",
    "rand",
    "uuid",
    "gen_random_uuid",
    "uuid_string",
    "randstr",
    "uuidv4",
    "uuidv7",
    "setseed",
    "newid",
];
/// Ends the list of tables after `from`.
const AFTER_FROM: [&str; 13] = [
    "except",
    "fetch",
    "group",
    "having",
    "intersect",
    "limit",
    "offset",
    "order",
    "qualify",
    "select",
    "union",
    "where",
    "window",
];
/// All that property files and neutral configuration say of a node, and where it is.
pub(crate) const EVERYTHING: &str = "all";
/// Parts of that which templates name.
const PROPERTIES: [&str; 7] = ["columns", "config", "description", "docs", "meta", "path", "tags"];
/// Parts of `model` that count anyway.
const OF_THE_MODEL: [&str; 9] = [
    "alias",
    "compiled_code",
    "database",
    "language",
    "name",
    "package_name",
    "resource_type",
    "schema",
    "unique_id",
];
/// Macros of dbt's own that are handed the whole model and read nothing else of it than what counts anyway.
const HANDED_THE_MODEL: [&str; 2] = ["persist_docs", "submit_python_job"];
/// Functions of SQL that say where a session is.
const PLACES: [&str; 4] = ["current_catalog", "current_database", "current_schema", "current_schemas"];
const QUERIES: [&str; 8] = [
    "run_query",
    "statement",
    "load_result",
    "get_columns_in_relation",
    "get_columns_in_query",
    "load_relation",
    "get_column_values",
    "get_relation",
];
/// What asks for all that a schema holds.
const LISTS: [&str; 6] = [
    "check_schema_exists",
    "get_relations_by_pattern",
    "get_relations_by_prefix",
    "get_tables_by_pattern_sql",
    "list_relations",
    "list_relations_without_caching",
];
/// What a Python model reads with can be anything.
const PYTHON_READS: [&str; 9] = [
    "os.environ",
    "getenv",
    "open(",
    "requests",
    "urllib",
    "read_csv(",
    "read_parquet(",
    "read_json(",
    "read_excel(",
];

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

/// Whether these words are the name of a table with what holds it, and nothing else.
fn names_a_table(words: &[Word]) -> bool {
    let is_named = |word: &Word| match word {
        Word::Name(_) | Word::Quoted(_) => true,
        Word::Output { name, .. } => matches!(name.as_str(), "target" | "var" | "env_var"),
        _ => false,
    };
    let is_part = |word: &Word| match word {
        Word::Name(name) => !AFTER_FROM.contains(&name.as_str()),
        Word::Mark(mark) => *mark == '.',
        word => matches!(word, Word::Quoted(_) | Word::Output { .. }),
    };
    words.len() < 10
        && words.contains(&Word::Mark('.'))
        && words.iter().all(is_part)
        && words.iter().any(is_named)
}

/// A Python model: every byte counts, but for line ends.
pub(crate) fn python(text: &str) -> Unit {
    let digest = Digest::default().with(fold::unix_lines(text)).short();
    let mut unit = Unit { folded: digest.clone(), raw: digest, is_balanced: true, ..Unit::default() };
    let words = tokens(text, 0..text.len(), true);
    for call in calls(&words) {
        if let Some(("dbt", name)) = call.name.rsplit_once('.') {
            let call = Call { name: name.to_owned(), ..call };
            unit.reads_properties.extend(text.contains("meta").then_some("meta"));
            if matches!(name, "ref" | "source" | "config") {
                unit.take_call(&call, text, false);
            }
        }
    }
    // Any name may be a module.
    unit.names.extend(words.iter().filter_map(|(token, _)| match token {
        Token::Name(name) => Some(format!("import {name}")),
        _ => None,
    }));
    unit.always.extend(
        PYTHON_READS.iter().filter(|reads| text.contains(**reads)).map(|reads| format!("uses `{reads}`")),
    );
    unit
}

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

impl Unit {
    fn take_names(&mut self, words: &Tokens<'_>, is_definition: bool, is_exact: bool) {
        // The words that open a definition name it and its parameters; their defaults count.
        let skip = if is_definition { 2 + lead(words) } else { 0 };
        for (at, (token, _)) in words.iter().enumerate().skip(skip) {
            let Token::Name(name) = token else { continue };
            let before = at.checked_sub(1).map(|at| &words[at].0);
            let next = words.get(at + 1).map(|(token, _)| token);
            let is_attribute = before == Some(&Token::Mark('.'));
            let is_argument = next == Some(&Token::Mark('='))
                && words.get(at + 2).map(|(token, _)| token) != Some(&Token::Mark('='))
                && matches!(before, Some(Token::Mark('(' | ',')));
            if is_argument {
                continue;
            }
            self.names.insert((*name).to_owned());
            // A macro that is looked up by its name: `package['macro']`.
            if let Some([(Token::Mark('['), _), (Token::Text(looked_up), _), (Token::Mark(']'), _)]) =
                words.get(at + 1..at + 4)
            {
                self.names.insert((*looked_up).to_owned());
            }
            if is_exact {
                self.exact_names.insert((*name).to_owned());
            }
            if JINJA_CLOCKS.contains(name) && (*name != "now" || is_attribute) {
                self.clocks.insert((*name).to_owned());
            }
            if !is_attribute {
                self.take_global(name, words.get(at + 1..).unwrap_or_default());
            }
        }
    }

    /// What is read of the node itself that only property files and neutral configuration say.
    fn take_model(&mut self, words: &Tokens<'_>, parameters: &BTreeSet<&str>) {
        let is_handed_over = words
            .iter()
            .any(|(token, _)| matches!(token, Token::Name(name) if HANDED_THE_MODEL.contains(name)));
        for (at, (token, _)) in words.iter().enumerate() {
            if let Token::Text(text) = token {
                let is_name = text.len() > 2 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                self.texts.extend(is_name.then(|| text.to_uppercase()));
            }
            let Token::Name(name) = token else { continue };
            let is_attribute = at > 0 && words[at - 1].0 == Token::Mark('.');
            if is_attribute || parameters.contains(name) {
                continue;
            }
            let attribute = attribute_of(words.get(at + 1..).unwrap_or_default());
            match *name {
                "model" => {
                    let is_known = attribute.is_some_and(|attribute| OF_THE_MODEL.contains(&attribute));
                    if !(is_known || attribute.is_none() && is_handed_over) {
                        self.reads_properties.insert(attribute.map_or(EVERYTHING, property));
                    }
                }
                "config" => {
                    self.reads_properties.extend(neutral_read(words.get(at + 1..).unwrap_or_default()));
                }
                _ => {}
            }
        }
    }

    /// A relation that is looked up by its name: which one is known if the names are those of a node.
    fn take_lookups(&mut self, words: &Tokens<'_>) {
        const KNOWN: [&str; 6] = ["this", "identifier", "relation", "ref", "source", "model"];
        let is_known = |token: &Token<'_>| matches!(token, Token::Name(name) if KNOWN.contains(name));
        let calls = words.windows(2).enumerate();
        for (at, _) in calls
            .filter(|(_, pair)| (&pair[0].0, &pair[1].0) == (&Token::Name("get_relation"), &Token::Mark('(')))
        {
            // The name of an argument says nothing.
            let rest = &words[at + 2..];
            let mut values = rest
                .iter()
                .enumerate()
                .filter(|(at, _)| rest.get(at + 1).is_none_or(|(token, _)| *token != Token::Mark('=')));
            if !values.any(|(_, (token, _))| is_known(token)) {
                self.always.insert("looks up a relation by its name, which is not a `ref`".to_owned());
            }
        }
    }

    /// A name of dbt's own, and what is looked up in it.
    fn take_global(&mut self, name: &str, rest: &[(Token<'_>, Range<usize>)]) {
        let attribute = attribute_of(rest);
        match name {
            "target" => {
                let attribute = match attribute {
                    Some("get") => match rest.get(3) {
                        Some((Token::Text(name), _)) => name,
                        _ => "",
                    },
                    other => other.unwrap_or_default(),
                };
                self.target.insert(attribute.to_owned());
            }
            "this" | "model" if matches!(attribute, Some("schema" | "database")) => self.reads_schema = true,
            "schema" | "database" if attribute.is_none() && rest.is_empty() => self.reads_schema = true,
            "graph" => {
                let of = if attribute == Some("sources") { GraphUse::Sources } else { GraphUse::All };
                self.graph = self.graph.max(Some(of));
            }
            "selected_resources" => self.graph = Some(GraphUse::All),
            "context" => {
                self.coarse.insert("looks up names in `context`".to_owned());
            }
            "dbt_metadata_envs" => {
                self.coarse.insert("reads `dbt_metadata_envs`".to_owned());
            }
            "invocation_id" | "invocation_args_dict" | "thread_id" => {
                self.random.insert(name.to_owned());
            }
            _ => {}
        }
    }

    fn take_call(&mut self, call: &Call<'_>, text: &str, is_hint: bool) {
        let name = call.name.as_str();
        let last = name.rsplit('.').next().unwrap_or_default();
        let texts: Vec<Option<&str>> = call.positional().map(Literal::text).collect();
        match last {
            "ref" if matches!(name, "ref" | "builtins.ref") => self.take_ref(call, is_hint),
            "source" if matches!(name, "source" | "builtins.source") => match texts.as_slice() {
                [Some(source), Some(table)] => {
                    self.sources.insert(((*source).to_owned(), (*table).to_owned()));
                }
                _ if name == "source" => {
                    self.coarse.insert("computes the name of a source".to_owned());
                }
                _ => {}
            },
            "var" | "has_var" if matches!(name, "var" | "var.has_var") => match argument(call, "name", 0) {
                Some(Literal::Text(name)) => {
                    self.vars.insert((*name).to_owned());
                }
                _ => {
                    self.coarse.insert("computes the name of a variable".to_owned());
                }
            },
            "env_var" if name == "env_var" => match argument(call, "var", 0) {
                Some(Literal::Text(name)) => {
                    self.envs.insert((*name).to_owned());
                }
                _ => {
                    self.coarse.insert("computes the name of an environment variable".to_owned());
                }
            },
            "dispatch" => match argument(call, "macro_name", 0) {
                Some(Literal::Text(macro_name)) => {
                    let namespace = argument(call, "macro_namespace", 1);
                    if matches!(namespace, Some(Literal::Dynamic)) {
                        self.coarse.insert("computes where a dispatched macro is looked for".to_owned());
                    }
                    let namespace = namespace.and_then(Literal::text).map(str::to_owned);
                    self.dispatches.insert(((*macro_name).to_owned(), namespace));
                }
                _ => {
                    self.coarse.insert("computes the name of a dispatched macro".to_owned());
                }
            },
            "config" if name == "config" => {
                self.take_config(call, text);
                self.config_ends.push(self.config.len());
            }
            _ if QUERIES.contains(&last) => self.queries = true,
            _ if LISTS.contains(&last) => {
                self.queries = true;
                self.always.insert(format!("asks with `{last}` what is in a schema"));
            }
            _ => {}
        }
    }

    fn take_ref(&mut self, call: &Call<'_>, is_hint: bool) {
        let version = call.arguments.iter().find(|(name, _)| matches!(name, Some("v" | "version")));
        let version = match version.map(|(_, value)| value) {
            None => None,
            Some(Literal::Text(text) | Literal::Number(text)) => Some((*text).to_owned()),
            Some(_) => {
                self.coarse.insert("computes the version of a `ref`".to_owned());
                None
            }
        };
        let texts: Vec<Option<&str>> = call.positional().map(Literal::text).collect();
        let found = match texts.as_slice() {
            [Some(name)] => (None, (*name).to_owned(), version),
            [Some(package), Some(name)] => (Some((*package).to_owned()), (*name).to_owned(), version),
            // A macro of the project's own around dbt's `ref`: the call that it wraps says what is read.
            _ if call.name == "builtins.ref" => return,
            _ => {
                self.coarse.insert("computes the name in a `ref`".to_owned());
                return;
            }
        };
        if is_hint {
            self.hints.insert(found)
        } else {
            self.refs.insert(found)
        };
    }

    fn take_config(&mut self, call: &Call<'_>, text: &str) {
        for value in call.positional() {
            if let Literal::Pairs(pairs) = value {
                for (key, value) in pairs {
                    if let Some(key) = key.text() {
                        self.config.push((key.to_owned(), set(key, value, call, text)));
                    }
                }
            } else {
                self.config.push(("*".to_owned(), Set::Expression(code_of(call, text))));
            }
        }
        for (name, value) in &call.arguments {
            if let Some(name) = name {
                self.config.push(((*name).to_owned(), set(name, value, call, text)));
            }
        }
    }

    /// The name of a relation that is made of texts, and not of what is known about a node.
    fn take_relations(&mut self, words: &Tokens<'_>) {
        const KNOWN: [&str; 6] = ["this", "model", "ref", "source", "relation", "config"];
        let is_made = |at: &usize| {
            (&words[*at].0, &words[at + 1].0, &words[at + 2].0)
                == (&Token::Name("Relation"), &Token::Mark('.'), &Token::Name("create"))
        };
        for at in (0..words.len().saturating_sub(2)).filter(is_made) {
            let given = &words[at + 3..];
            let is_known =
                given.iter().any(|(token, _)| matches!(token, Token::Name(name) if KNOWN.contains(name)));
            let is_named = given.windows(3).any(|three| {
                matches!(three[0].0, Token::Name("identifier" | "schema"))
                    && three[1].0 == Token::Mark('=')
                    && matches!(three[2].0, Token::Text(_) | Token::Name("target" | "var" | "env_var"))
            });
            if is_named && !is_known {
                self.always.insert("makes the name of a relation that is not a `ref`".to_owned());
            }
        }
    }

    /// Names that are set to texts or variables, since they may be names of tables.
    fn take_local(&mut self, word: &str, words: &Tokens<'_>) {
        let between = if word == "set" { Token::Mark('=') } else { Token::Name("in") };
        if !matches!(word, "set" | "for") {
            return;
        }
        let start = 1 + lead(words);
        let Some([(Token::Name(name), _), (mark, _)]) = words.get(start..start + 2) else { return };
        if *mark != between {
            return;
        }
        let values = &words[start + 2..];
        let mut local = Local::default();
        for (at, (token, _)) in values.iter().enumerate() {
            let is_attribute = at > 0 && values[at - 1].0 == Token::Mark('.');
            match token {
                Token::Text(text) => local.texts.push((*text).to_owned()),
                Token::Mark('~' | '+') => local.is_composed = true,
                Token::Name("env_var" | "target") => local.is_of_place = true,
                Token::Name("var") => match values.get(at + 2) {
                    Some((Token::Text(name), _)) => local.vars.push((*name).to_owned()),
                    _ => local.is_of_place = true,
                },
                Token::Name(_) if is_attribute => {}
                Token::Name(other) => match self.locals.get(*other).cloned() {
                    Some(known) => {
                        local.texts.extend(known.texts);
                        local.vars.extend(known.vars);
                        local.is_composed |= known.is_composed;
                        local.is_of_place |= known.is_of_place;
                    }
                    None => return,
                },
                _ => {}
            }
        }
        local.texts.retain(|text| !local.vars.contains(text));
        self.locals.insert((*name).to_owned(), local);
    }

    /// Queries that are written between the quotes of Jinja, as `run_query("select …")`, and clocks in any text.
    fn take_literal_sql(&mut self, words: &Tokens<'_>, is_definition: bool) {
        const NAMES: [&str; 9] =
            ["var", "ref", "source", "env_var", "get", "require", "dispatch", "has_var", "doc"];
        for (at, (token, _)) in words.iter().enumerate().skip(if is_definition { 2 } else { 0 }) {
            let Token::Text(text) = token else { continue };
            let caller = match at.checked_sub(2).map(|at| (&words[at].0, &words[at + 1].0)) {
                Some((Token::Name(name), Token::Mark('('))) => name,
                _ => "",
            };
            if NAMES.contains(&caller) {
                continue;
            }
            let lower = text.trim_start().to_lowercase();
            let first = lower.split_whitespace().next().unwrap_or_default();
            let is_asked = matches!(caller, "run_query" | "execute" | "add_query" | "get_single_value");
            let is_query = lower.contains(char::is_whitespace)
                && (matches!(first, "select" | "with") || is_asked && first == "from");
            if is_asked && matches!(first, "call" | "desc" | "describe" | "pragma" | "show" | "summarize") {
                self.queries = true;
                self.always.insert(format!("asks with `{first}` what the warehouse holds"));
            } else if is_query {
                self.queries |= is_asked;
                let mut folded = fold::fold(text, Dialect::DuckDb).words;
                // What the text is joined with.
                if let Some((Token::Mark('~' | '+'), _)) = words.get(at + 1) {
                    folded.push(Word::output(&words[at + 2..].to_vec()));
                }
                self.take_words(&folded);
            } else if HINTS_OF_CLOCKS.iter().any(|hint| lower.contains(hint)) {
                let folded = fold::fold(text, Dialect::DuckDb).words;
                for (at, word) in folded.iter().enumerate() {
                    let is_called = folded.get(at + 1) == Some(&Word::Mark('('));
                    let is_part = at > 0 && folded[at - 1] == Word::Mark('.');
                    if let (Word::Name(name), false) = (word, is_part) {
                        self.take_clock(name, is_called);
                    }
                }
            }
        }
    }

    fn take_words(&mut self, words: &[Word]) {
        let mut functions: Vec<Option<&str>> = Vec::new();
        // Of each bracket that is open: whether the tables after a `from` are being listed in it.
        let mut listing = vec![false];
        let is_revoking = words.iter().any(|word| name_of(word) == Some("revoke"));
        self.take_ctes(words);
        for (at, word) in words.iter().enumerate() {
            let rest = words.get(at + 1..).unwrap_or_default();
            match word {
                Word::Mark('(') => {
                    functions.push(at.checked_sub(1).and_then(|at| name_of(&words[at])));
                    listing.push(false);
                }
                Word::Mark(')') => {
                    functions.pop();
                    listing.pop();
                }
                Word::Mark(',') if listing.last() == Some(&true) => self.take_table(rest),
                Word::Name(name) => {
                    let is_called = words.get(at + 1) == Some(&Word::Mark('('));
                    let is_part = at > 0 && words[at - 1] == Word::Mark('.');
                    if !is_part {
                        self.take_function(name, is_called, words.get(at + 1..).unwrap_or_default());
                    }
                    if matches!(name.as_str(), "from" | "join") {
                        let inside = functions.last().copied().flatten();
                        let is_other =
                            matches!(inside, Some("extract" | "trim" | "substring" | "overlay" | "position"))
                                || at > 0 && matches!(name_of(&words[at - 1]), Some("delete" | "distinct"))
                                || is_revoking;
                        if !is_other {
                            self.take_table(rest);
                            listing.pop();
                            listing.push(true);
                        }
                    } else if !is_part && AFTER_FROM.contains(&name.as_str()) {
                        listing.pop();
                        listing.push(false);
                    }
                }
                _ => {}
            }
        }
    }

    /// The names that `with` gives to subqueries: what is before `as (`.
    fn take_ctes(&mut self, words: &[Word]) {
        for (at, word) in words.iter().enumerate() {
            let opens = |from: usize| words.get(from) == Some(&Word::Mark('('));
            let is_hint = |from: usize| matches!(words.get(from), Some(Word::Name(name)) if matches!(name.as_str(), "materialized" | "not" | "using"));
            let is_as = matches!(word, Word::Name(name) if name == "as");
            if !is_as || !(opens(at + 1) || is_hint(at + 1)) {
                continue;
            }
            let before = match at.checked_sub(1) {
                // With the names of its columns.
                Some(last) if words[last] == Word::Mark(')') => {
                    let open = words[..last].iter().rposition(|word| *word == Word::Mark('('));
                    open.and_then(|open| open.checked_sub(1))
                }
                other => other,
            };
            // A part of the name is computed.
            let is_composed = before
                .and_then(|at| at.checked_sub(1))
                .is_some_and(|at| matches!(words[at], Word::Output { .. }));
            match before.filter(|_| !is_composed).map(|at| &words[at]) {
                Some(Word::Name(name)) => drop(self.ctes.insert(name.clone())),
                Some(Word::Quoted(name)) => drop(self.ctes.insert(name.to_lowercase())),
                _ => self.computes_ctes = true,
            }
        }
    }

    fn take_clock(&mut self, name: &str, is_called: bool) {
        if CLOCKS.contains(&name) || (is_called && CLOCK_FUNCTIONS.contains(&name)) {
            self.clocks.insert(name.to_owned());
        }
    }

    fn take_function(&mut self, name: &str, is_called: bool, rest: &[Word]) {
        self.take_clock(name, is_called);
        self.reads_schema |= PLACES.contains(&name);
        if is_called && RANDOM.contains(&name) {
            self.random.insert(name.to_owned());
        }
        if is_called && is_reader(name) {
            let mut found = false;
            for word in rest[1..].iter().filter(|word| !matches!(word, Word::Mark('[' | ','))) {
                let Word::Text(file) = word else { break };
                self.take_file(file);
                found = true;
            }
            if !found {
                self.always.insert(format!("`{name}` reads a file whose name is computed"));
            }
        }
    }

    /// What follows `from` or `join`.
    fn take_table(&mut self, rest: &[Word]) {
        match rest {
            [Word::Text(file), ..] => self.take_file(file),
            [Word::Mark('@'), ..] => {
                self.always.insert("reads a stage, whose files have no version".to_owned());
            }
            [Word::Name(name), Word::Mark('('), ..] if name == "identifier" => {
                self.always.insert("computes the name of a table with `identifier`".to_owned());
            }
            [
                Word::Name(schema) | Word::Quoted(schema),
                Word::Mark('.'),
                Word::Name(table) | Word::Quoted(table),
                after @ ..,
            ] if after.first() != Some(&Word::Mark('(')) => {
                self.always.insert(format!("reads {schema}.{table} by name, which is not a source"));
            }
            [Word::Output { .. }, Word::Mark('.'), Word::Name(table) | Word::Quoted(table), ..] => {
                self.always.insert(format!("computes the name of what holds {table}"));
            }
            [Word::Output { .. }, Word::Mark('('), ..] => {}
            [Word::Output { name, text }, ..] => self.take_computed_table(name, text),
            [Word::Quoted(name) | Word::Name(name), after @ ..]
                if !matches!(after.first(), Some(Word::Mark('(' | '.') | Word::Output { .. }))
                    && !matches!(
                        name.as_str(),
                        "dual" | "lateral" | "only" | "select" | "table" | "values"
                    ) =>
            {
                self.tables.insert(name.to_lowercase());
            }
            _ => {}
        }
    }

    /// What follows `from` or `join` is put out by Jinja that begins with `name`.
    fn take_computed_table(&mut self, name: &str, text: &str) {
        let of_place = || "computes the name of a table, which is not a `ref`".to_owned();
        match name {
            "env_var" | "target" => drop(self.always.insert(of_place())),
            "var" if text.is_empty() => drop(self.always.insert(of_place())),
            "var" => drop(self.table_vars.insert(text.to_owned())),
            _ => match self.locals.get(name).cloned() {
                Some(local) if local.is_of_place => drop(self.always.insert(of_place())),
                Some(local) if local.is_composed => {
                    // Parts of the name of a subquery, unless something holds it.
                    if !local.vars.is_empty() || local.texts.iter().any(|text| text.contains('.')) {
                        self.always.insert(of_place());
                    }
                }
                Some(local) => {
                    self.table_vars.extend(local.vars);
                    for text in local.texts.iter().filter(|text| !text.is_empty()) {
                        if text.contains('.') {
                            self.always.insert(format!("reads {text} by name, which is not a source"));
                        } else {
                            self.tables.insert(text.to_lowercase());
                        }
                    }
                }
                None => drop(self.table_calls.insert(name.to_owned())),
            },
        }
    }

    fn take_file(&mut self, file: &str) {
        if file.contains("://") {
            self.always.insert(format!("reads {file}, whose version is unknown"));
        } else if !file.is_empty() {
            self.files.insert(file.to_owned());
        }
    }
}

/// Functions that read a file or another database.
fn is_reader(name: &str) -> bool {
    name.starts_with("read_")
        || name.ends_with("_scan")
        || matches!(
            name,
            "st_read"
                | "sniff_csv"
                | "glob"
                | "parquet_metadata"
                | "parquet_schema"
                | "parquet_file_metadata"
        )
}

/// What is looked up in a name.
fn attribute_of<'a>(rest: &[(Token<'a>, Range<usize>)]) -> Option<&'a str> {
    match rest {
        [(Token::Mark('.'), _), (Token::Name(name), _), ..]
        | [(Token::Mark('['), _), (Token::Text(name), _), (Token::Mark(']'), _), ..] => Some(*name),
        _ => None,
    }
}

/// What is looked up in `config` that only property files and neutral configuration say.
fn neutral_read(rest: &[(Token<'_>, Range<usize>)]) -> Option<&'static str> {
    match attribute_of(rest)? {
        "get" | "require" => match rest.get(3) {
            Some((Token::Text(key), _)) => is_neutral(key).then(|| property(key)),
            _ => Some(EVERYTHING),
        },
        attribute if attribute.starts_with("meta") => Some("meta"),
        attribute => is_neutral(attribute).then(|| property(attribute)),
    }
}

/// The part of property files that a name means.
fn property(name: &str) -> &'static str {
    match name {
        "fqn" | "original_file_path" => "path",
        _ => PROPERTIES.into_iter().find(|part| *part == name).unwrap_or(EVERYTHING),
    }
}

fn name_of(word: &Word) -> Option<&str> {
    match word {
        Word::Name(name) => Some(name),
        _ => None,
    }
}

/// An argument by its name or its place.
fn argument<'c, 'a>(call: &'c Call<'a>, name: &str, at: usize) -> Option<&'c Literal<'a>> {
    let named = call.arguments.iter().find(|(other, _)| *other == Some(name)).map(|(_, value)| value);
    named.or_else(|| call.positional().nth(at))
}

fn code_of(call: &Call<'_>, text: &str) -> String {
    let words = tokens(text, call.place.clone(), false);
    words.iter().map(|(_, place)| &text[place.clone()]).collect::<Vec<_>>().join(" ")
}

fn set(key: &str, value: &Literal<'_>, call: &Call<'_>, text: &str) -> Set {
    json(value).map_or_else(|| Set::Expression(expression(key, call, text)), Set::Value)
}

/// The expression that `key` is set to; the whole call where it cannot be cut out.
fn expression(key: &str, call: &Call<'_>, text: &str) -> String {
    let words = tokens(text, call.place.clone(), false);
    let start = words.windows(2).position(|pair| {
        matches!((&pair[0].0, &pair[1].0), (Token::Name(name) | Token::Text(name), Token::Mark('=' | ':')) if *name == key)
    });
    let Some(start) = start else { return code_of(call, text) };
    let mut depth = 0_usize;
    let mut found = Vec::new();
    for (token, place) in &words[start + 2..] {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}' | ',') if depth == 0 => break,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        found.push(&text[place.clone()]);
    }
    found.join(" ")
}

/// A literal as a value; `None` where part of it depends on the run.
fn json(value: &Literal<'_>) -> Option<serde_json::Value> {
    Some(match value {
        Literal::Text(text) => (*text).into(),
        Literal::Number(number) => {
            serde_json::from_str(number).unwrap_or_else(|_| serde_json::Value::String((*number).to_owned()))
        }
        Literal::Truth(truth) => (*truth).into(),
        Literal::Nothing => serde_json::Value::Null,
        Literal::List(items) => items.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        Literal::Pairs(pairs) => {
            let mut map = BTreeMap::new();
            for (key, value) in pairs {
                map.insert(key.text()?.to_owned(), json(value)?);
            }
            serde_json::Value::Object(map.into_iter().collect())
        }
        Literal::Dynamic => return None,
    })
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
