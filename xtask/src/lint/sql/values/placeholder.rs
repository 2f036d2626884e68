//! Values that only a run knows, or that come from a package that is not there, and the note that one was used.
//!
//! A placeholder never fails: a package that is not installed must not hide faults in the SQL around its
//! macro.

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr};
use minijinja::{State, Value};

use super::{DEEPEST, Result, identifier};

/// A missing value: a macro of an absent package, an unknown name, the result of a query.
/// It is false, it can be called, read and looped over, and it renders as a name.
#[derive(Debug)]
pub(in super::super) struct Placeholder {
    path: String,
    /// How many loops over placeholders led to this one.
    depth: usize,
}

thread_local! {
    /// Whether the current rendering used a value that only a run knows.
    static UNCERTAIN: Cell<bool> = const { Cell::new(false) };
}

/// Starts to watch for placeholders.
pub(in super::super) fn watch() {
    UNCERTAIN.set(false);
}

/// Records that a value may differ from dbt's.
pub(in super::super) fn note_uncertain() {
    UNCERTAIN.set(true);
}

/// Whether a placeholder was used since [`watch`].
pub(in super::super) fn is_uncertain() -> bool {
    UNCERTAIN.get()
}

/// `execute`: false while dbt parses, true when it builds. Code that depends on it is only a part of what will run.
#[derive(Debug)]
pub(in super::super) struct Execute;

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
    pub(in super::super) fn of(path: impl Into<String>) -> Value {
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
