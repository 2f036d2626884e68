//! Lists as Python has them: they can be changed in place.

use std::fmt;
use std::sync::{Arc, Mutex};

use minijinja::value::{Enumerator, Object, ObjectRepr, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::{Result, items, keep_in, locked, steps};

/// A list as Python has them.
pub(in super::super) struct List(Mutex<Vec<Value>>);

impl List {
    pub(in super::super) fn of(items: impl IntoIterator<Item = Value>) -> Value {
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
