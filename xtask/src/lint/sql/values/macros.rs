//! Macros as dbt calls them, and its `return`.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use super::{Dict, Result, argument, keep, split};

const RETURN: &str = "return() outside of a macro";
const RETURNED: &str = "returned";

/// dbt's `return(value)`: ends the macro with a value instead of its text.
pub(in super::super) fn ends_macro(state: &mut State<'_, '_>, args: &[Value]) -> Result {
    let (positional, named) = split(args)?;
    let value = argument(&positional, &named, 0, "data").unwrap_or_else(|| Value::from(()));
    let value = keep(state, &value)?;
    state.set_temp(RETURNED, value);
    Err(Error::new(ErrorKind::InvalidOperation, RETURN))
}

fn is_return(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<Error>().and_then(Error::detail) == Some(RETURN) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A macro as dbt calls it: it may return a value, and accepts `varargs` and `kwargs`.
#[derive(Debug)]
pub(in super::super) struct Macro {
    inner: Value,
    parameters: Vec<String>,
}

impl Macro {
    /// Wraps the macro that a template has just defined, and registers it for `dispatch` under its name.
    pub(in super::super) fn register(state: &mut State<'_, '_>, name: &str, inner: Value) -> Value {
        let parameters = inner
            .get_attr("arguments")
            .and_then(|names| names.try_iter().map(|names| names.map(|name| name.to_string()).collect()))
            .unwrap_or_default();
        let wrapped = Value::from_object(Self { inner, parameters });
        state.set_temp(&Self::temp(name), wrapped.clone());
        wrapped
    }

    /// The macro of that name, if the template or its prelude has one.
    pub(in super::super) fn known(state: &State<'_, '_>, name: &str) -> Option<Value> {
        state.get_temp(&Self::temp(name))
    }

    fn temp(name: &str) -> String {
        format!("macro:{name}")
    }

    fn takes(&self, name: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter == name)
    }
}

impl Object for Macro {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result {
        let (positional, named) = split(args)?;
        let extras = ["varargs", "kwargs"];
        let room = self.parameters.iter().filter(|name| !extras.contains(&name.as_str())).count();
        let mut values: Vec<Value> =
            positional.iter().map(|value| keep(state, value)).collect::<Result<_>>()?;
        let mut by_name: Vec<(String, Value)> = Vec::new();
        let mut spare: Vec<(String, Value)> = Vec::new();
        for name in named.args() {
            let value = named.get::<Value>(name)?;
            let belongs = name == "caller" || self.takes(name) || !self.takes("kwargs");
            if belongs { &mut by_name } else { &mut spare }.push((name.to_owned(), keep(state, &value)?));
        }
        if self.takes("varargs") {
            let more = values.split_off(room.min(values.len()));
            by_name.push(("varargs".to_owned(), keep(state, &Value::from(more))?));
        }
        if self.takes("kwargs") {
            by_name.push(("kwargs".to_owned(), Dict::of(spare)));
        }
        if !by_name.is_empty() {
            values.push(Kwargs::from_iter(by_name).into());
        }
        match self.inner.call(state, &values) {
            Err(error) if is_return(&error) => Ok(state.get_temp(RETURNED).unwrap_or_default()),
            called => called,
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("macro")
    }
}
