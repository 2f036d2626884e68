//! Values of YAML files as dbt reads them: expressions evaluated with the variables of the run, and names that the
//! project's own `generate_…_name` gives. What cannot be evaluated is said to be unknown.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Kwargs, Rest, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde_json::{Map, Value as Json};

use crate::core::yaml::{Node, Style, Value as Yaml};

/// Steps of one expression.
const FUEL: u64 = 200_000;

/// What expressions may read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) vars: BTreeMap<String, Json>,
    pub(crate) envs: Arc<BTreeMap<String, String>>,
    pub(crate) target: BTreeMap<String, String>,
    pub(crate) project: String,
}

/// Evaluates expressions with one set of variables.
#[derive(Debug)]
pub(crate) struct Renderer {
    env: Environment<'static>,
}

impl Renderer {
    pub(crate) fn new(known: &Known) -> Self {
        let mut env = Environment::new();
        env.set_fuel(Some(FUEL));
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        let vars = known.vars.clone();
        env.add_function("var", move |name: String, default: Rest<ValueOrKwargs>| {
            let found = vars.get(&name).map(value_of);
            found.or_else(|| default_of(default)).ok_or_else(|| missing(&format!("variable {name}")))
        });
        let envs = Arc::clone(&known.envs);
        env.add_function("env_var", move |name: String, default: Rest<ValueOrKwargs>| {
            let found = envs.get(&name).map(|text| Value::from(text.as_str()));
            found
                .or_else(|| default_of(default))
                .ok_or_else(|| missing(&format!("environment variable {name}")))
        });
        env.add_function("is_incremental", || false);
        for filter in ["as_bool", "as_native", "as_number", "as_text"] {
            env.add_filter(filter, |value: Value| value);
        }
        env.add_function("return", |value: Value| format!("\u{1}{value}\u{2}"));
        env.add_function("log", |_: Rest<Value>, _: Kwargs| "");
        env.add_global("target", Value::from_pairs(known.target.clone()));
        env.add_global("project_name", known.project.clone());
        env.add_global("execute", false);
        Self { env }
    }

    /// The value of a text of YAML.
    pub(crate) fn text(&self, text: &str) -> Option<Json> {
        if !text.contains("{{") && !text.contains("{%") {
            return Some(text.into());
        }
        let trimmed = text.trim();
        if let Some(inner) = trimmed.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"))
            && !inner.contains("{{")
            && let Ok(value) = self.env.compile_expression(inner.trim()).and_then(|it| it.eval(()))
        {
            return serde_json::to_value(&value).ok().map(native);
        }
        self.env.render_str(text, ()).ok().map(|text| native(text.into()))
    }

    /// What a call of one of `macros` gives, as dbt takes it for a name.
    pub(crate) fn call(&self, macros: &str, call: &str, context: &Value) -> Option<String> {
        let text = self.env.render_str(&format!("{macros}{{{{ {call} }}}}"), context).ok()?;
        let text = match text.split_once('\u{1}') {
            Some((_, rest)) => rest.split('\u{2}').next().unwrap_or_default(),
            None => text.as_str(),
        };
        Some(text.trim().to_owned())
    }

    /// The numbers of the `config(…)` calls that are made; `None` if it cannot be known.
    pub(crate) fn calls(&self, skeleton: &str) -> Option<Vec<usize>> {
        let text = self.env.render_str(skeleton, ()).ok()?;
        let calls = text.split(super::unit::CALL).skip(1);
        calls.map(|call| call.split_once(';')?.0.parse().ok()).collect()
    }

    /// A value of YAML as dbt reads it; expressions that cannot be evaluated stay as they are, with a mark.
    pub(crate) fn value(&self, node: &Node) -> Json {
        json(node, &|text| self.text(text).unwrap_or_else(|| format!("{UNKNOWN}{text}").into()))
    }
}

/// Marks the text of an expression that could not be evaluated.
pub(crate) const UNKNOWN: char = '\u{1}';

/// Whether a value holds an expression that could not be evaluated.
pub(crate) fn is_unknown(value: &Json) -> bool {
    match value {
        Json::String(text) => text.starts_with(UNKNOWN),
        Json::Array(items) => items.iter().any(is_unknown),
        Json::Object(map) => map.values().any(is_unknown),
        _ => false,
    }
}

pub(crate) fn value_of(json: &Json) -> Value {
    serde_json::from_value(json.clone()).unwrap_or(Value::UNDEFINED)
}

/// The second argument, by its place or its name.
fn default_of(given: Rest<ValueOrKwargs>) -> Option<Value> {
    let first = given.into_values().into_iter().next()?;
    if first.is_kwargs() {
        return first.get_attr("default").ok().filter(|value| !value.is_undefined());
    }
    Some(first)
}

fn missing(what: &str) -> Error {
    Error::new(ErrorKind::UndefinedError, format!("{what} is not set"))
}

/// Text that reads as a truth value or number is one, as in dbt's native rendering.
fn native(value: Json) -> Json {
    let Json::String(text) = &value else { return value };
    match text.trim() {
        "True" | "true" => Json::Bool(true),
        "False" | "false" => Json::Bool(false),
        "None" | "null" | "none" => Json::Null,
        _ => value,
    }
}

/// YAML as JSON: what it says, not how it is written.
pub(crate) fn plain(node: &Node) -> Json {
    json(node, &|text| text.into())
}

fn json(node: &Node, text_of: &dyn Fn(&str) -> Json) -> Json {
    match &node.value {
        _ if node.is_null() => Json::Null,
        Yaml::Scalar { text, style: Style::Plain } => {
            node.truth().map_or_else(|| number(text).unwrap_or_else(|| text_of(text)), Json::Bool)
        }
        Yaml::Scalar { text, .. } => text_of(text),
        Yaml::Sequence(items) => items.iter().map(|item| json(item, text_of)).collect::<Vec<_>>().into(),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                if let Yaml::Scalar { text, .. } = &key.value {
                    map.insert(text.clone(), json(value, text_of));
                }
            }
            sorted(map)
        }
    }
}

fn sorted(map: Map<String, Json>) -> Json {
    let sorted: BTreeMap<String, Json> = map.into_iter().collect();
    Json::Object(sorted.into_iter().collect())
}

fn number(text: &str) -> Option<Json> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return (whole.to_string() == text).then(|| whole.into());
    }
    let float: f64 = text.parse().ok()?;
    serde_json::Number::from_f64(float).map(Json::Number)
}

/// How Python writes a value as text: the names of generic tests are made of it.
pub(crate) fn python_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => python_repr(other),
    }
}

fn python_repr(value: &Json) -> String {
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => format!("'{text}'"),
        Json::Array(items) => format!("[{}]", items.iter().map(python_repr).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("'{key}': {}", python_repr(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renderer() -> Renderer {
        let vars = [("load".to_owned(), Json::Bool(true)), ("n".to_owned(), 3.into())];
        let envs = [("E".to_owned(), "x".to_owned())];
        let target = [("schema".to_owned(), "dev".to_owned())];
        Renderer::new(&Known {
            vars: vars.into_iter().collect(),
            envs: Arc::new(envs.into_iter().collect()),
            target: target.into_iter().collect(),
            project: "p".into(),
        })
    }

    #[test]
    fn expressions_are_evaluated_or_unknown() {
        let renderer = renderer();
        for (text, value) in [
            ("plain", Some(Json::from("plain"))),
            ("{{ var('load', false) }}", Some(true.into())),
            ("{{ var('n') }}", Some(3.into())),
            ("{{ var('other', 'd') }}", Some("d".into())),
            ("{{ var('other', default='d') }}", Some("d".into())),
            ("{{ env_var('E', default='d') }}", Some("x".into())),
            ("a_{{ env_var('E') }}", Some("a_x".into())),
            ("{{ target.schema ~ '_y' }}", Some("dev_y".into())),
            ("{{ var('missing') }}", None),
            ("{{ 'true' if var('n') > 2 else 'false' }}", Some(true.into())),
        ] {
            assert_eq!(renderer.text(text), value, "{text}");
        }
    }

    #[test]
    fn conditions_decide_about_calls() {
        let calls = |text: &str| renderer().calls(text);
        assert_eq!(
            calls("{% if var('n') > 2 %}\u{3}0;{% else %}\u{3}1;{% endif %}\u{3}2;"),
            Some(vec![0, 2])
        );
        assert_eq!(calls("{% if unknown() %}\u{3}0;{% endif %}"), None);
    }

    #[test]
    fn a_macro_may_return_a_name() {
        let macros =
            "{% macro g(a) %}{% if a %}{{ return(a | upper) }}{% endif %}{{ target.schema }}{% endmacro %}";
        let renderer = renderer();
        assert_eq!(renderer.call(macros, "g('x')", &Value::UNDEFINED).as_deref(), Some("X"));
        assert_eq!(renderer.call(macros, "g(none)", &Value::UNDEFINED).as_deref(), Some("dev"));
    }

    #[test]
    fn yaml_values_are_compared_by_what_they_say() {
        let of = |text: &str| plain(&crate::core::yaml::parse_one(text).expect("YAML").expect("a document"));
        assert_eq!(of("{a: 1, b: [x, 'y']}"), of("b:\n- x\n- y\na: 1\n"));
        assert_ne!(of("{a: 1}"), of("{a: '1'}"));
        assert_eq!(python_text(&of("{a: [1, true, null, b]}")), "{'a': [1, True, None, 'b']}");
    }
}
