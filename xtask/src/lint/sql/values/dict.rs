//! Dicts as Python has them: they can be changed in place.

use std::fmt;
use std::sync::{Arc, Mutex};

use minijinja::value::{Enumerator, Object, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::{Result, keep_in, locked, split, steps};

/// A dict as Python has them: in the order of its first insertions.
pub(in super::super) struct Dict(Mutex<Vec<(Value, Value)>>);

impl Dict {
    pub(in super::super) fn of<K: Into<Value>>(pairs: impl IntoIterator<Item = (K, Value)>) -> Value {
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
