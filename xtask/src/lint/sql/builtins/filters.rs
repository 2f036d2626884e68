//! Filters and tests that dbt has, or that differ in Python's Jinja.

use minijinja::{Environment, Value};

use super::super::values::Placeholder;

pub(super) fn add(env: &mut Environment<'static>) {
    for name in ["as_bool", "as_native", "as_number", "as_text"] {
        env.add_filter(name, |value: Value| value);
    }
    // As in Python's Jinja, text that is not a number counts as the default.
    env.add_filter("int", |value: Value, default: Option<Value>| {
        let whole = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok()).map(Value::from);
        let cut = || number(&value).and_then(|number| format!("{:.0}", number.trunc()).parse::<i64>().ok());
        whole.or_else(|| cut().map(Value::from)).or(default).unwrap_or_else(|| Value::from(0))
    });
    env.add_filter("float", |value: Value, default: Option<Value>| {
        number(&value).map(Value::from).or(default).unwrap_or_else(|| Value::from(0.0))
    });
    for name in ["wordwrap", "center", "filesizeformat", "striptags", "truncate", "xmlattr", "random"] {
        env.add_filter(name, |value: Value, _: minijinja::value::Rest<Value>| value);
    }
    let absent = |value: &Value| value.is_undefined() || value.downcast_object_ref::<Placeholder>().is_some();
    env.add_test("defined", move |value: Value| !absent(&value));
    env.add_test("undefined", move |value: Value| absent(&value));
    let default = move |value: Value, other: Option<Value>, even_false: Option<bool>| {
        if absent(&value) || (even_false == Some(true) && !value.is_true()) {
            other.unwrap_or_else(|| Value::from(""))
        } else {
            value
        }
    };
    env.add_filter("default", default);
    env.add_filter("d", default);
}

/// The number that a value is or that its text is.
fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None if value.is_number() => f64::try_from(value.clone()).ok(),
        None => None,
    }
}
