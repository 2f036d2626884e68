//! The context that dbt gives to templates: `ref`, `source`, `config`, `var`, `adapter`, the `dbt.*` macros
//! that every adapter has, and the rest. No function here fails because something is missing: the
//! rendered SQL is only checked, not run.

mod cross_database;
mod filters;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use self::cross_database::{cross_database, is_cross_database};
use super::macros::Library;
use super::values::{
    Dict, Execute, List, Macro, Placeholder, Relation, argument, ends_macro, identifier, items, keep,
    keep_in_namespace, note_uncertain, split, steps,
};

type Result<T = Value> = std::result::Result<T, Error>;

/// A function of the context.
struct Function<F> {
    name: &'static str,
    run: F,
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<F> Object for Function<F>
where
    F: Fn(&mut State<'_, '_>, &[Value]) -> Result + Send + Sync + 'static,
{
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result {
        (self.run)(state, args)
    }
}

/// An object of the context whose methods are functions: `adapter`, `dbt`, `config`.
struct Namespace<F> {
    name: &'static str,
    run: F,
}

impl<F> fmt::Debug for Namespace<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<F> Object for Namespace<F>
where
    F: Fn(&mut State<'_, '_>, &str, &[Value]) -> Result + Send + Sync + 'static,
{
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(Placeholder::of(format!("{}_{}", self.name, identifier(&key.to_string()))))
    }

    /// `config(…)` can be called itself; the others cannot.
    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result {
        (self.run)(state, "", args)
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result {
        (self.run)(state, method, args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn function(
    env: &mut Environment<'static>,
    name: &'static str,
    run: impl Fn(&mut State<'_, '_>, &[Value]) -> Result + Send + Sync + 'static,
) {
    env.add_global(name, Value::from_object(Function { name, run }));
}

fn namespace(
    env: &mut Environment<'static>,
    name: &'static str,
    run: impl Fn(&mut State<'_, '_>, &str, &[Value]) -> Result + Send + Sync + 'static,
) {
    env.add_global(name, Value::from_object(Namespace { name, run }));
}

/// The facts about a project that the context needs.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) vars: BTreeMap<String, Value>,
    /// The prefixes of dispatched macros, best first: `snowflake`, `default`.
    pub(crate) adapters: Vec<String>,
    pub(crate) library: Arc<Library>,
    /// The packages whose macros the library has.
    pub(crate) packages: Vec<String>,
}

/// Adds everything to the environment.
pub(crate) fn install(env: &mut Environment<'static>, facts: &Arc<Facts>) {
    internal(env);
    relations(env);
    settings(env, facts);
    adapter(env, facts);
    python(env);
    constants(env, facts);
    filters::add(env);
}

/// Functions that rewritten templates call (see `macros`).
fn internal(env: &mut Environment<'static>) {
    function(env, "__keep", |state, args| keep(state, &args.first().cloned().unwrap_or_default()));
    function(env, "__keep_in_namespace", |state, args| {
        keep_in_namespace(state, &args.first().cloned().unwrap_or_default())
    });
    function(env, "__macro", |state, args| match args {
        [name, inner] => Ok(Macro::register(state, &name.to_string(), inner.clone())),
        _ => Err(Error::from(ErrorKind::MissingArgument)),
    });
    // Replacements for an expression that cannot be evaluated: one value, or rows of several.
    function(env, "__placeholder", |_, args| {
        Ok(Placeholder::of(args.first().map_or_else(|| "placeholder".to_owned(), ToString::to_string)))
    });
    function(env, "__rows", |_, args| {
        let width = args.first().and_then(Value::as_usize).unwrap_or(1).clamp(1, 50);
        let row: Vec<Value> = (0..width).map(|at| Placeholder::of(format!("placeholder_{at}"))).collect();
        Ok(Value::from(vec![if width == 1 { row[0].clone() } else { Value::from(row) }]))
    });
    function(env, "return", ends_macro);
    function(env, "namespace", |state, args| {
        let (positional, named) = split(args)?;
        let mut pairs: Vec<(String, Value)> = Vec::new();
        for other in &positional {
            for key in other.try_iter()? {
                pairs.push((key.to_string(), keep(state, &other.get_item(&key)?)?));
            }
        }
        for key in named.args() {
            pairs.push((key.to_owned(), keep(state, &named.get::<Value>(key)?)?));
        }
        minijinja::functions::namespace(Some(Dict::of(pairs).into()))
    });
}

fn relations(env: &mut Environment<'static>) {
    let reference = |_: &mut State<'_, '_>, args: &[Value]| {
        let (positional, _) = split(args)?;
        let name =
            positional.last().ok_or_else(|| Error::new(ErrorKind::MissingArgument, "ref needs a model"))?;
        Ok(Relation::of(&name.to_string()))
    };
    let source = |_: &mut State<'_, '_>, args: &[Value]| match split(args)?.0.as_slice() {
        [_, table] => Ok(Relation::of(&table.to_string())),
        _ => Err(Error::new(ErrorKind::MissingArgument, "source needs the source's name and the table's")),
    };
    function(env, "ref", reference);
    function(env, "source", source);
    let builtins = [
        ("ref", Value::from_object(Function { name: "ref", run: reference })),
        ("source", Value::from_object(Function { name: "source", run: source })),
    ];
    env.add_global("builtins", Dict::of(builtins));
    function(env, "load_relation", |_, args| Ok(args.first().cloned().unwrap_or_default()));
    namespace(env, "api", |_, method, args| {
        let (_, named) = split(args)?;
        let name =
            named.get::<Value>("identifier").map_or_else(|_| method.to_owned(), |name| name.to_string());
        Ok(Relation::of(&name))
    });
}

fn settings(env: &mut Environment<'static>, facts: &Arc<Facts>) {
    namespace(env, "config", |_, method, args| {
        let (positional, named) = split(args)?;
        // A disabled model is never built, so its text may depend on settings that are not here.
        let enabled = named
            .get::<Value>("enabled")
            .ok()
            .or_else(|| positional.first().and_then(|given| given.get_item(&Value::from("enabled")).ok()))
            .filter(|value| !value.is_undefined());
        if enabled.is_some_and(|value| !value.is_true()) {
            note_uncertain();
        }
        Ok(match method {
            "get" | "meta_get" => {
                argument(&positional, &named, 1, "default").unwrap_or_else(|| Value::from(()))
            }
            "require" => Placeholder::of("config_value"),
            _ => Value::from(""),
        })
    });
    let vars = facts.clone();
    namespace(env, "var", move |state, method, args| {
        let (positional, named) = split(args)?;
        let name = positional.first().map(ToString::to_string).unwrap_or_default();
        if method == "has_var" {
            return Ok(Value::from(vars.vars.contains_key(&name)));
        }
        let given = vars.vars.get(&name).cloned().or_else(|| argument(&positional, &named, 1, "default"));
        given.map_or_else(|| Ok(Placeholder::of(name)), |value| keep(state, &value))
    });
    function(env, "env_var", |_, args| {
        // The user's environment must not change the findings.
        let (positional, named) = split(args)?;
        let name = positional.first().map(ToString::to_string).unwrap_or_default();
        Ok(argument(&positional, &named, 1, "default").unwrap_or_else(|| {
            note_uncertain();
            Value::from(identifier(&name))
        }))
    });
    function(env, "is_incremental", |state, _| Ok(state.lookup("__incremental").unwrap_or_default()));
    function(env, "should_full_refresh", |_, _| Ok(Value::from(false)));
    for silent in ["log", "print", "debug", "set_sql_header", "store_result", "store_raw_result", "write"] {
        function(env, silent, |_, _| Ok(Value::from("")));
    }
    namespace(env, "exceptions", |_, _, _| {
        // It may end the rendering: the rest is not what dbt would write.
        note_uncertain();
        Ok(Value::from(""))
    });
}

fn adapter(env: &mut Environment<'static>, facts: &Arc<Facts>) {
    let dispatching = facts.clone();
    namespace(env, "adapter", move |_, method, args| match method {
        "dispatch" => {
            let (positional, named) = split(args)?;
            let name = argument(&positional, &named, 0, "macro_name").unwrap_or_default().to_string();
            let package = argument(&positional, &named, 1, "macro_namespace").map(|name| name.to_string());
            Ok(dispatched(&dispatching, name, package))
        }
        "quote" | "quote_as_configured" => {
            Ok(Value::from(format!("\"{}\"", args.first().cloned().unwrap_or_default())))
        }
        "get_relation" | "load_relation" => Ok(Placeholder::of("relation")),
        _ => Ok(Placeholder::of(format!("adapter_{method}"))),
    });
    namespace(env, "dbt", |_, method, args| cross_database(method, args));
    let own = facts.clone();
    env.add_global(
        facts.name.clone(),
        Value::from_object(Namespace {
            name: "project",
            run: move |state: &mut State<'_, '_>, method: &str, args: &[Value]| match Macro::known(
                state, method,
            ) {
                Some(found) => found.call(state, args),
                None => Placeholder::of(format!("{}_{method}", own.name)).call(state, args),
            },
        }),
    );
    for package in &facts.packages {
        let name = package.clone();
        env.add_global(
            package.clone(),
            Value::from_object(Namespace {
                name: "package",
                run: move |state: &mut State<'_, '_>, method: &str, args: &[Value]| match Macro::known(
                    state,
                    &format!("{name}.{method}"),
                ) {
                    Some(found) => found.call(state, args),
                    None => Placeholder::of(format!("{name}_{method}")).call(state, args),
                },
            }),
        );
    }
    function(env, "statement", |state, args| {
        if let Ok(caller) = split(args)?.1.get::<Value>("caller") {
            caller.call(state, &[])?;
        }
        Ok(Value::from(""))
    });
    for (name, result) in [("run_query", "query_result"), ("load_result", "query_result")] {
        function(env, name, move |_, _| Ok(Placeholder::of(result)));
    }
}

/// The macro that `adapter.dispatch` chooses, as something to call: the project's own comes first, then that of the
/// package that dispatches.
fn dispatched(facts: &Arc<Facts>, name: String, package: Option<String>) -> Value {
    let facts = facts.clone();
    Value::from_object(Function {
        name: "dispatched",
        run: move |state: &mut State<'_, '_>, args: &[Value]| {
            let variants: Vec<String> = facts
                .adapters
                .iter()
                .map(|adapter| format!("{adapter}__{name}"))
                .chain(facts.library.variants(&name).iter().cloned())
                .collect();
            let named: Vec<&String> = package.iter().chain(&facts.packages).collect();
            let of_packages = variants
                .iter()
                .flat_map(|variant| named.iter().map(move |package| format!("{package}.{variant}")));
            let found =
                variants.iter().cloned().chain(of_packages).find_map(|full| Macro::known(state, &full));
            match found {
                Some(found) => found.call(state, args),
                None => cross_database(&name, args),
            }
        },
    })
}

fn python(env: &mut Environment<'static>) {
    function(env, "zip", |state, args| {
        let mut columns = Vec::new();
        for list in split(args)?.0 {
            columns.push(items(state, &list)?);
        }
        let rows = columns.iter().map(Vec::len).min().unwrap_or(0);
        Ok((0..rows).map(|row| columns.iter().map(|column| column[row].clone()).collect::<Value>()).collect())
    });
    function(env, "set", |state, args| {
        let mut distinct: Vec<Value> = Vec::new();
        for item in args.first().map(|list| items(state, list)).transpose()?.unwrap_or_default() {
            state.consume_fuel(steps(distinct.len()))?;
            if !distinct.contains(&item) {
                distinct.push(item);
            }
        }
        keep(state, &Value::from(distinct))
    });
    for (name, filter) in [("tojson", "tojson"), ("toyaml", "tojson")] {
        function(env, name, move |state, args| state.apply_filter(filter, &args[..args.len().min(1)]));
    }
    function(env, "fromjson", |_, args| {
        let (positional, named) = split(args)?;
        let text = positional.first().map(ToString::to_string).unwrap_or_default();
        let default = || argument(&positional, &named, 1, "default").unwrap_or_else(|| Value::from(()));
        Ok(serde_json::from_str::<serde_json::Value>(&text)
            .map_or_else(|_| default(), |json| from_json(&json)))
    });
    function(env, "fromyaml", |_, _| Ok(Placeholder::of("yaml")));
    function(env, "local_md5", |_, args| {
        let text = args.first().map(ToString::to_string).unwrap_or_default();
        Ok(Value::from(format!("{:032x}", crc32fast::hash(text.as_bytes()))))
    });
    // Dates are numbers here, so that they can be added and compared; their methods are in `jinja`.
    namespace(env, "datetime", |_, _, _| Ok(Value::from(NOW)));
}

/// The moment that `run_started_at` is in every rendering: the same input gives the same findings.
const NOW: i64 = 1_704_067_200;

fn constants(env: &mut Environment<'static>, facts: &Arc<Facts>) {
    let moment = || {
        Value::from_object(Namespace {
            name: "moment",
            run: |_: &mut State<'_, '_>, _: &str, _: &[Value]| Ok(Value::from(NOW)),
        })
    };
    let of_datetime = [("datetime", moment()), ("date", moment()), ("timedelta", moment())];
    let regex = Value::from_object(Namespace {
        name: "re",
        run: |state: &mut State<'_, '_>, method: &str, args: &[Value]| {
            let text = |at: usize| args.get(at).map(ToString::to_string).unwrap_or_default();
            // Python's syntax is almost that of this library; what it lacks leaves the text as it is.
            let Ok(pattern) = regex::Regex::new(&text(0)) else {
                note_uncertain();
                return Ok(args.get(if method == "sub" { 2 } else { 1 }).cloned().unwrap_or_default());
            };
            Ok(match method {
                "sub" => {
                    let (subject, instead) = (text(2), references(&text(1)));
                    state.consume_fuel(steps(subject.len()))?;
                    Value::from(pattern.replace_all(&subject, instead.as_str()).into_owned())
                }
                "findall" => {
                    let found: Vec<Value> =
                        pattern.find_iter(&text(1)).map(|found| Value::from(found.as_str())).collect();
                    keep(state, &Value::from(found))?
                }
                "split" => {
                    let parts: Vec<Value> = pattern.split(&text(1)).map(Value::from).collect();
                    keep(state, &Value::from(parts))?
                }
                _ => {
                    note_uncertain();
                    Value::from(())
                }
            })
        },
    });
    let modules = [
        ("datetime", Dict::of(of_datetime)),
        ("re", regex),
        ("pytz", Placeholder::of("pytz")),
        ("itertools", Placeholder::of("itertools")),
    ];
    env.add_global("modules", Dict::of(modules));
    let target = [
        ("name", "dev"),
        ("type", facts.adapters.first().map_or("snowflake", String::as_str)),
        ("database", "target_database"),
        ("dbname", "target_database"),
        ("schema", "target_schema"),
        ("profile_name", &facts.name),
        ("warehouse", "target_warehouse"),
        ("role", "target_role"),
        ("user", "target_user"),
        ("account", "target_account"),
    ];
    let target = target.map(|(key, value)| (key, Value::from(value)));
    env.add_global("target", Dict::of(target.into_iter().chain([("threads", Value::from(4))])));
    let empty = || Dict::of(Vec::<(&str, Value)>::new());
    let graph = ["nodes", "sources", "exposures", "metrics", "groups"].map(|kind| (kind, empty()));
    env.add_global("graph", Dict::of(graph));
    env.add_global(
        "flags",
        Dict::of([("FULL_REFRESH", Value::from(false)), ("WHICH", Value::from("compile"))]),
    );
    env.add_global("execute", Value::from_object(Execute));
    env.add_global("run_started_at", Value::from(NOW));
    let texts = [
        ("project_name", facts.name.as_str()),
        ("dbt_version", "1.11.0"),
        ("invocation_id", "00000000-0000-0000-0000-000000000000"),
        ("database", "target_database"),
        ("schema", "target_schema"),
        ("thread_id", "Thread-1"),
    ];
    for (name, text) in texts {
        env.add_global(name, Value::from(text));
    }
    for name in ["selected_resources", "pre_hooks", "post_hooks"] {
        env.add_global(name, Value::from(Vec::<Value>::new()));
    }
    env.add_global("invocation_args_dict", empty());
    env.add_global("dbt_metadata_envs", empty());
    env.add_global("context", Placeholder::of("context"));
}

/// Python's references to groups in this library's syntax: `\\1` is `${1}`.
fn references(instead: &str) -> String {
    let mut out = String::new();
    let mut chars = instead.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                out.extend(["${", digit.encode_utf8(&mut [0; 4]), "}"]);
                chars.next();
            }
            ('$', _) => out.push_str("$$"),
            _ => out.push(c),
        }
    }
    out
}

/// A JSON value as a template value.
pub(crate) fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => {
            number.as_i64().map(Value::from).or_else(|| number.as_f64().map(Value::from)).unwrap_or_default()
        }
        serde_json::Value::String(text) => Value::from(text.clone()),
        serde_json::Value::Array(items) => List::of(items.iter().map(from_json)),
        serde_json::Value::Object(items) => {
            Dict::of(items.iter().map(|(key, item)| (key.clone(), from_json(item))))
        }
    }
}

/// A bare name that the template does not define: one of dbt's macros, or a placeholder.
pub(crate) fn unknown(name: &str) -> Value {
    if is_cross_database(name) {
        let owned = name.to_owned();
        return Value::from_object(Function {
            name: "cross-database macro",
            run: move |_: &mut State<'_, '_>, args: &[Value]| cross_database(&owned, args),
        });
    }
    Placeholder::of(name)
}
