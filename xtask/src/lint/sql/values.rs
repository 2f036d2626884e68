//! Values that Jinja templates of dbt work with and minijinja lacks: lists and dicts that can be changed
//! in place, relations, macros that return a value, and placeholders for missing values.

mod dict;
mod list;
mod macros;
mod placeholder;
mod relation;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Kwargs, Object, Rest, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

pub(super) use self::dict::Dict;
pub(super) use self::list::List;
pub(super) use self::macros::{Macro, ends_macro};
pub(super) use self::placeholder::{Execute, Placeholder, is_uncertain, note_uncertain, watch};
pub(super) use self::relation::{Relation, identifier};

type Result<T = Value> = std::result::Result<T, Error>;

/// How deep values may be nested: deeper than in real templates, but not so deep that reading them exhausts the stack.
const DEEPEST: usize = 16;

/// The arguments by position and those by name.
pub(super) fn split(args: &[Value]) -> Result<(Vec<Value>, Kwargs)> {
    let (Rest(positional), named): (Rest<Value>, Kwargs) = from_args(args)?;
    Ok((positional, named))
}

/// The argument at `index` or of that name.
pub(super) fn argument(positional: &[Value], named: &Kwargs, index: usize, name: &str) -> Option<Value> {
    positional.get(index).cloned().or_else(|| named.get::<Value>(name).ok())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `value` as Python would keep it under a name: its lists and dicts can be changed in place. Each item costs a step.
pub(super) fn keep(state: &State<'_, '_>, value: &Value) -> Result {
    kept(state, value, 0)
}

fn kept(state: &State<'_, '_>, value: &Value, depth: usize) -> Result {
    if value.is_tuple() || value.is_kwargs() || depth > DEEPEST {
        return Ok(value.clone());
    }
    match value.kind() {
        // A lazily computed value, such as a sum of lists, is a list in Python.
        ValueKind::Iterable => Ok(List::of(items(state, value)?)),
        ValueKind::Seq if is_plain(value) => {
            let items = items(state, value)?;
            let items = items.iter().map(|item| kept(state, item, depth + 1)).collect::<Result<Vec<_>>>()?;
            Ok(List::of(items))
        }
        ValueKind::Map if is_plain(value) => {
            let pairs = items(state, value)?.into_iter().map(|key| {
                let item = value.get_item(&key).unwrap_or_default();
                Ok((key, kept(state, &item, depth + 1)?))
            });
            Ok(Dict::of(pairs.collect::<Result<Vec<(Value, Value)>>>()?))
        }
        _ => Ok(value.clone()),
    }
}

/// The items that a loop over `value` would visit. Each item costs a step: a sum of sums may be too long for memory.
pub(super) fn items(state: &State<'_, '_>, value: &Value) -> Result<Vec<Value>> {
    value.try_iter()?.map(|item| state.consume_fuel(1).map(|()| item)).collect()
}

/// Whether the value is a literal list or dict of minijinja, and not one of the many objects that behave
/// like one: a macro, a namespace, a placeholder.
fn is_plain(value: &Value) -> bool {
    let name = value.as_object().map_or("", |object| object.type_name());
    name.contains("::Vec<") || name.contains("IndexMap<") || name.contains("BTreeMap<")
}

/// [`keep`] for a value added to `home`. A value that contains itself would be read forever, so it is an error.
fn keep_in<T: Object + 'static>(state: &State<'_, '_>, home: &Arc<T>, value: &Value) -> Result {
    let home = Arc::as_ptr(home).cast::<()>();
    let is_home = |value: &Value| {
        let list = value.downcast_object_ref::<List>().map(|list| std::ptr::from_ref(list).cast());
        let dict = value.downcast_object_ref::<Dict>().map(|dict| std::ptr::from_ref(dict).cast());
        list.or(dict).is_some_and(|place: *const ()| std::ptr::eq(place, home))
    };
    if holds(state, value, &is_home, 0)? {
        return Err(Error::new(ErrorKind::InvalidOperation, "a list or dict cannot hold itself"));
    }
    keep(state, value)
}

/// [`keep`] for an attribute of a namespace, which may not contain another namespace: it could then contain itself.
pub(super) fn keep_in_namespace(state: &State<'_, '_>, value: &Value) -> Result {
    let is_namespace =
        |value: &Value| value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace"));
    if holds(state, value, &is_namespace, 0)? {
        return Err(Error::new(ErrorKind::InvalidOperation, "a namespace cannot hold a namespace"));
    }
    keep(state, value)
}

/// Whether something of that kind is `value` or is in it. Each visit costs a step.
fn holds(
    state: &State<'_, '_>,
    value: &Value,
    wanted: &dyn Fn(&Value) -> bool,
    depth: usize,
) -> Result<bool> {
    if value.as_object().is_none() || value.downcast_object_ref::<Placeholder>().is_some() {
        return Ok(false);
    }
    state.consume_fuel(1)?;
    if depth > DEEPEST {
        let message = format!("lists and dicts are nested more than {DEEPEST} levels deep");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    if wanted(value) {
        return Ok(true);
    }
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map) {
        return Ok(false);
    }
    for item in items(state, value)? {
        if holds(state, &item, wanted, depth + 1)? {
            return Ok(true);
        }
        // Iterating over a map gives its keys.
        if value.kind() == ValueKind::Map
            && holds(state, &value.get_item(&item).unwrap_or_default(), wanted, depth + 1)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The cost of a method of a list or dict of that length, in addition to its items.
pub(super) fn steps(length: usize) -> u64 {
    u64::try_from(length / 16).unwrap_or(u64::MAX)
}
