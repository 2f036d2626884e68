//! Values that Jinja templates of dbt work with and minijinja lacks: lists and dicts that can be changed
//! in place, relations, macros that return a value, and placeholders for missing values.
//!
//! A placeholder never fails: a package that is not installed must not hide faults in the SQL around its
//! macro.

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{DynObject, Enumerator, Kwargs, Object, ObjectRepr, Rest, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

type Result<T = Value> = std::result::Result<T, Error>;

/// How deep values may be nested: deeper than in real templates, but not so deep that reading them exhausts the stack.
const DEEPEST: usize = 16;

/// The arguments by position and those by name.
pub(crate) fn split(args: &[Value]) -> Result<(Vec<Value>, Kwargs)> {
    let (Rest(positional), named): (Rest<Value>, Kwargs) = from_args(args)?;
    Ok((positional, named))
}

/// The argument at `index` or of that name.
pub(crate) fn argument(positional: &[Value], named: &Kwargs, index: usize, name: &str) -> Option<Value> {
    positional.get(index).cloned().or_else(|| named.get::<Value>(name).ok())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `value` as Python would keep it under a name: its lists and dicts can be changed in place. Each item costs a step.
pub(crate) fn keep(state: &State<'_, '_>, value: &Value) -> Result {
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
pub(crate) fn items(state: &State<'_, '_>, value: &Value) -> Result<Vec<Value>> {
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
pub(crate) fn keep_in_namespace(state: &State<'_, '_>, value: &Value) -> Result {
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
pub(crate) fn steps(length: usize) -> u64 {
    u64::try_from(length / 16).unwrap_or(u64::MAX)
}

/// A list as Python has them.
pub(crate) struct List(Mutex<Vec<Value>>);

impl List {
    pub(crate) fn of(items: impl IntoIterator<Item = Value>) -> Value {
        Value::from_object(Self(Mutex::new(items.into_iter().collect())))
    }

    /// A copy of its items. Comparing values may read this same list, so that is done without the lock.
    fn items(&self) -> Vec<Value> {
        locked(&self.0).clone()
    }

    fn position(&self, wanted: &Value) -> Option<usize> {
        self.items().iter().position(|item| item == wanted)
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[...]")
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let items = locked(&self.0);
        let index = key.as_i64()?;
        let index = if index < 0 { index + i64::try_from(items.len()).ok()? } else { index };
        items.get(usize::try_from(index).ok()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items())
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result {
        state.consume_fuel(steps(locked(&self.0).len()))?;
        let first = || args.first().cloned().unwrap_or_default();
        match method {
            "append" => {
                let item = keep_in(state, self, &first())?;
                locked(&self.0).push(item);
            }
            "extend" => {
                let more: Vec<Value> = items(state, &first())?
                    .iter()
                    .map(|item| keep_in(state, self, item))
                    .collect::<Result<_>>()?;
                locked(&self.0).extend(more);
            }
            "insert" => {
                let (index, item): (i64, Value) = from_args(args)?;
                let item = keep_in(state, self, &item)?;
                let mut items = locked(&self.0);
                let at = usize::try_from(index).unwrap_or(0).min(items.len());
                items.insert(at, item);
            }
            "pop" => {
                let mut items = locked(&self.0);
                let last = items.len().saturating_sub(1);
                let at = first().as_usize().unwrap_or(last);
                return if at < items.len() {
                    Ok(items.remove(at))
                } else {
                    Err(Error::new(ErrorKind::InvalidOperation, "pop from an empty list"))
                };
            }
            "remove" => {
                if let Some(at) = self.position(&first()) {
                    locked(&self.0).remove(at);
                }
            }
            "index" => {
                return self
                    .position(&first())
                    .map(Value::from)
                    .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "it is not in the list"));
            }
            "count" => {
                let wanted = first();
                return Ok(Value::from(self.items().iter().filter(|item| **item == wanted).count()));
            }
            "sort" => {
                let mut sorted = self.items();
                sorted.sort();
                *locked(&self.0) = sorted;
            }
            "reverse" => locked(&self.0).reverse(),
            "clear" => locked(&self.0).clear(),
            "copy" => return Ok(Self::of(self.items())),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }
        Ok(Value::from(()))
    }
}

/// A dict as Python has them: in the order of its first insertions.
pub(crate) struct Dict(Mutex<Vec<(Value, Value)>>);

impl Dict {
    pub(crate) fn of<K: Into<Value>>(pairs: impl IntoIterator<Item = (K, Value)>) -> Value {
        let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Value::from_object(Self(Mutex::new(pairs)))
    }

    /// A copy of its entries, to be compared without the lock as in [`List::items`].
    fn pairs(&self) -> Vec<(Value, Value)> {
        locked(&self.0).clone()
    }

    fn position(&self, key: &Value) -> Option<usize> {
        self.pairs().iter().position(|(known, _)| known == key)
    }

    fn find(&self, key: &Value) -> Option<Value> {
        self.pairs().into_iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    fn insert(&self, key: Value, value: Value) {
        let at = self.position(&key);
        let mut pairs = locked(&self.0);
        match at {
            Some(at) => pairs[at].1 = value,
            None => pairs.push((key, value)),
        }
    }
}

impl fmt::Debug for Dict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{...}")
    }
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.find(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(locked(&self.0).iter().map(|(key, _)| key.clone()).collect())
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result {
        state.consume_fuel(steps(locked(&self.0).len()))?;
        Ok(match method {
            "get" => {
                let (key, default): (Value, Option<Value>) = from_args(args)?;
                self.find(&key).or(default).unwrap_or_else(|| Value::from(()))
            }
            "items" => self.pairs().into_iter().map(|(key, value)| Value::from(vec![key, value])).collect(),
            "keys" => self.pairs().into_iter().map(|(key, _)| key).collect(),
            "values" => self.pairs().into_iter().map(|(_, value)| value).collect(),
            "update" => {
                let (positional, named) = split(args)?;
                for other in positional {
                    for key in other.try_iter()? {
                        let value = keep_in(state, self, &other.get_item(&key)?)?;
                        self.insert(keep_in(state, self, &key)?, value);
                    }
                }
                for key in named.args() {
                    self.insert(Value::from(key), keep_in(state, self, &named.get::<Value>(key)?)?);
                }
                Value::from("")
            }
            "setdefault" => {
                let (key, default): (Value, Option<Value>) = from_args(args)?;
                if let Some(known) = self.find(&key) {
                    return Ok(known);
                }
                let value = keep_in(state, self, &default.unwrap_or_else(|| Value::from(())))?;
                self.insert(keep_in(state, self, &key)?, value.clone());
                value
            }
            "pop" => {
                let (key, default): (Value, Option<Value>) = from_args(args)?;
                match self.position(&key) {
                    Some(at) => locked(&self.0).remove(at).1,
                    None => default.unwrap_or_else(|| Value::from(())),
                }
            }
            "clear" => {
                locked(&self.0).clear();
                Value::from(())
            }
            "copy" => Self::of(self.pairs()),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }
}

/// The value of `ref`, `source` and `this`: it renders as the relation's own name, with which columns
/// are qualified.
#[derive(Debug)]
pub(crate) struct Relation {
    pub(crate) name: String,
}

impl Relation {
    pub(crate) fn of(name: &str) -> Value {
        Value::from_object(Self { name: name.to_owned() })
    }
}

impl Object for Relation {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let path = ["database", "schema", "identifier"];
        Some(match key.as_str()? {
            "database" => Value::from("target_database"),
            "schema" => Value::from("target_schema"),
            "identifier" | "name" | "table" | "alias" => Value::from(self.name.clone()),
            "type" => Value::from("table"),
            "path" | "include_policy" | "quote_policy" => {
                Dict::of(path.map(|part| (part, Value::from(part == "identifier"))))
            }
            flag if flag.starts_with("is_") => Value::from(flag == "is_table"),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, _: &[Value]) -> Result {
        Ok(match method {
            "get" => Value::from(()),
            "render" => Value::from(identifier(&self.name)),
            // `include`, `quote`, `without_identifier`, `incorporate`, …: still a relation.
            _ => Value::from_dyn_object(self.clone()),
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&identifier(&self.name))
    }
}

/// `text` as SQL reads one name.
pub(crate) fn identifier(text: &str) -> String {
    let mut name: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    name
}

/// A missing value: a macro of an absent package, an unknown name, the result of a query.
/// It is false, it can be called, read and looped over, and it renders as a name.
#[derive(Debug)]
pub(crate) struct Placeholder {
    path: String,
    /// How many loops over placeholders led to this one.
    depth: usize,
}

thread_local! {
    /// Whether the current rendering used a value that only a run knows.
    static UNCERTAIN: Cell<bool> = const { Cell::new(false) };
}

/// Starts to watch for placeholders.
pub(crate) fn watch() {
    UNCERTAIN.set(false);
}

/// Records that a value may differ from dbt's.
pub(crate) fn note_uncertain() {
    UNCERTAIN.set(true);
}

/// Whether a placeholder was used since [`watch`].
pub(crate) fn is_uncertain() -> bool {
    UNCERTAIN.get()
}

/// `execute`: false while dbt parses, true when it builds. Code that depends on it is only a part of what will run.
#[derive(Debug)]
pub(crate) struct Execute;

impl Object for Execute {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        note_uncertain();
        false
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        note_uncertain();
        f.write_str("False")
    }
}

impl Placeholder {
    pub(crate) fn of(path: impl Into<String>) -> Value {
        Self::at(path.into(), 0)
    }

    fn at(mut path: String, depth: usize) -> Value {
        note_uncertain();
        // A placeholder of a placeholder of …: a loop in the template must not create unbounded names.
        if path.len() > 120 {
            path.truncate(path.floor_char_boundary(120));
        }
        Value::from_object(Self { path, depth })
    }

    fn called(&self, args: &[Value]) -> Value {
        if self.path.ends_with("group_by")
            && let Some(columns) = args.first().and_then(Value::as_usize)
        {
            let numbers: Vec<String> = (1..=columns.clamp(1, 200)).map(|number| number.to_string()).collect();
            return Value::from(format!("group by {}", numbers.join(", ")));
        }
        Self::at(self.path.clone(), self.depth)
    }
}

impl Object for Placeholder {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(Self::at(format!("{}_{}", self.path, identifier(&key.to_string())), self.depth))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        // One item, so that a loop over it produces output; but reading items of items must end.
        if self.depth == DEEPEST {
            return Enumerator::Empty;
        }
        Enumerator::Values(vec![Self::at(format!("{}_item", self.path), self.depth + 1)])
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.path.cmp(&other.path))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        note_uncertain();
        false
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result {
        Ok(self.called(args))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result {
        Ok(Self { path: format!("{}_{}", self.path, identifier(method)), depth: self.depth }.called(args))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        note_uncertain();
        f.write_str(&identifier(&self.path))
    }
}

const RETURN: &str = "return() outside of a macro";
const RETURNED: &str = "returned";

/// dbt's `return(value)`: ends the macro with a value instead of its text.
pub(crate) fn ends_macro(state: &mut State<'_, '_>, args: &[Value]) -> Result {
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
pub(crate) struct Macro {
    inner: Value,
    parameters: Vec<String>,
}

impl Macro {
    /// Wraps the macro that a template has just defined, and registers it for `dispatch` under its name.
    pub(crate) fn register(state: &mut State<'_, '_>, name: &str, inner: Value) -> Value {
        let parameters = inner
            .get_attr("arguments")
            .and_then(|names| names.try_iter().map(|names| names.map(|name| name.to_string()).collect()))
            .unwrap_or_default();
        let wrapped = Value::from_object(Self { inner, parameters });
        state.set_temp(&Self::temp(name), wrapped.clone());
        wrapped
    }

    /// The macro of that name, if the template or its prelude has one.
    pub(crate) fn known(state: &State<'_, '_>, name: &str) -> Option<Value> {
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
