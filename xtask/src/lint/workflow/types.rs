//! The types of expressions: what a look-up gives, and what a comparison, function or index does with it.
//!
//! Only what is certain has a type; everything else is `Any`, which fits everywhere.

use std::collections::BTreeMap;

use super::expression::{Expression, Operator};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    Any,
    Null,
    Truth,
    Number,
    Text,
    List(Box<Self>),
    /// The values by name in lower case, and the type of all other names; without it they do not exist.
    Object(BTreeMap<String, Self>, Option<Box<Self>>),
}

/// A fault in the use of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    /// A name that does not exist: it gives an empty text.
    Undefined(String),
    /// A value of a type that does not fit.
    Misfit(String),
    /// A call that fails.
    Broken(String),
}

impl Type {
    pub(super) fn object(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        Self::Object(entries.into_iter().collect(), None)
    }

    pub(super) fn texts(names: &[&str]) -> Self {
        Self::object(names.iter().map(|name| ((*name).to_owned(), Self::Text)))
    }

    /// Any name, with values of one type.
    pub(super) fn map(value: Self) -> Self {
        Self::Object(BTreeMap::new(), Some(Box::new(value)))
    }

    /// The type of a value that has one or the other type.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Object(mut one, rest), Self::Object(other, other_rest)) => {
                for (name, value) in other {
                    let merged = match one.remove(&name) {
                        Some(known) => known.or(value),
                        None => value,
                    };
                    one.insert(name, merged);
                }
                let rest = match (rest, other_rest) {
                    (Some(rest), Some(other)) => Some(Box::new(rest.or(*other))),
                    (rest, other) => rest.or(other),
                };
                Self::Object(one, rest)
            }
            (Self::List(one), Self::List(other)) => Self::List(Box::new(one.or(*other))),
            _ => Self::Any,
        }
    }

    pub(super) fn of_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(_) => Self::Truth,
            serde_json::Value::Number(_) => Self::Number,
            serde_json::Value::String(_) => Self::Text,
            serde_json::Value::Array(items) => {
                Self::List(Box::new(items.iter().map(Self::of_json).reduce(Self::or).unwrap_or(Self::Any)))
            }
            serde_json::Value::Object(entries) => {
                Self::object(entries.iter().map(|(name, value)| (name.to_lowercase(), Self::of_json(value))))
            }
        }
    }

    /// Whether it has parts, so that it becomes the text `Object` or `Array` in a template.
    pub(super) fn is_compound(&self) -> bool {
        matches!(self, Self::List(_) | Self::Object(..))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Null => "null",
            Self::Truth => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List(_) => "a list",
            Self::Object(..) => "an object",
        }
    }
}

/// The type of an expression with these contexts; what is wrong in it is added to `faults`.
pub(super) fn infer(expression: &Expression, contexts: &dyn Contexts, faults: &mut Vec<Fault>) -> Type {
    match expression {
        Expression::Null => Type::Null,
        Expression::Truth(_) => Type::Truth,
        Expression::Number(_) => Type::Number,
        Expression::Text(_) => Type::Text,
        Expression::Context(name) => contexts.whole(name),
        Expression::Property(object, name) => {
            if let Expression::Context(context) = &**object {
                return of_context(context, name, contexts, faults);
            }
            let of = infer(object, contexts, faults);
            property(&of, name, &path(object), faults)
        }
        Expression::Index(object, index) => {
            let of = infer(object, contexts, faults);
            let by = infer(index, contexts, faults);
            indexed(of, &by, &path(object), faults)
        }
        Expression::All(object) => Type::List(Box::new(element(infer(object, contexts, faults)))),
        Expression::Call(name, arguments) => call(name, arguments, contexts, faults),
        Expression::Not(inner) => {
            infer(inner, contexts, faults);
            Type::Truth
        }
        Expression::Binary(operator, left, right) => {
            let left = infer(left, contexts, faults);
            let right = infer(right, contexts, faults);
            binary(*operator, left, right, faults)
        }
    }
}

/// The types of the contexts at the place of an expression.
pub(super) trait Contexts {
    fn whole(&self, context: &str) -> Type;

    /// One value of a context, without the cost of all the others.
    fn one(&self, context: &str, name: &str) -> Option<Type>;

    /// What to say of a name that a context does not have.
    fn missing(&self, context: &str, name: &str) -> Option<String>;
}

fn of_context(context: &str, name: &str, contexts: &dyn Contexts, faults: &mut Vec<Fault>) -> Type {
    let lower = name.to_lowercase();
    if let Some(found) = contexts.one(context, &lower) {
        return found;
    }
    let whole = contexts.whole(context);
    let is_missing = matches!(&whole, Type::Object(known, None) if !known.contains_key(&lower));
    match contexts.missing(context, name).filter(|_| is_missing) {
        Some(message) => {
            faults.push(Fault::Undefined(message));
            Type::Any
        }
        None => property(&whole, name, &format!("`{context}`"), faults),
    }
}

fn path(expression: &Expression) -> String {
    expression.path().map_or_else(|| "this value".to_owned(), |path| format!("`{}`", path.join(".")))
}

fn property(of: &Type, name: &str, path: &str, faults: &mut Vec<Fault>) -> Type {
    match of {
        Type::Object(known, rest) => {
            if let Some(found) = known.get(&name.to_lowercase()) {
                return found.clone();
            }
            if let Some(rest) = rest {
                return (**rest).clone();
            }
            let message = if known.is_empty() {
                format!("{path} has no `{name}`: it is empty here")
            } else {
                let names: Vec<&str> = known.keys().map(String::as_str).take(20).collect();
                format!("{path} has no `{name}`; it has {}", names.join(", "))
            };
            faults.push(Fault::Undefined(message));
            Type::Any
        }
        // The same property of each element.
        Type::List(item) => match &**item {
            Type::Any => Type::Any,
            item => Type::List(Box::new(property(item, name, path, faults))),
        },
        Type::Text | Type::Number | Type::Truth => {
            faults.push(Fault::Misfit(format!("{path} is {}, which has no `{name}`", of.name())));
            Type::Any
        }
        Type::Any | Type::Null => Type::Any,
    }
}

fn indexed(of: Type, by: &Type, path: &str, faults: &mut Vec<Fault>) -> Type {
    let fits = match of {
        Type::Object(..) => matches!(by, Type::Any | Type::Text),
        Type::List(_) => matches!(by, Type::Any | Type::Number | Type::Text),
        _ => true,
    };
    if !fits {
        faults.push(Fault::Misfit(format!("{path} is {}, and its index is {}", of.name(), by.name())));
    }
    match of {
        Type::List(item) => *item,
        of => element(of),
    }
}

/// What one of its values is.
fn element(of: Type) -> Type {
    match of {
        Type::List(item) => *item,
        Type::Object(known, rest) => {
            known.into_values().chain(rest.map(|rest| *rest)).reduce(Type::or).unwrap_or(Type::Any)
        }
        _ => Type::Any,
    }
}

fn binary(operator: Operator, left: Type, right: Type, faults: &mut Vec<Fault>) -> Type {
    match operator {
        Operator::Or | Operator::And => return left.or(right),
        Operator::Equal | Operator::Unequal => {
            if never_equal(&left, &right) {
                let message = format!("{} and {} are never equal", left.name(), right.name());
                faults.push(Fault::Misfit(message));
            }
        }
        _ => {
            let unordered = |kind: &&Type| matches!(kind, Type::Null | Type::Truth) || kind.is_compound();
            if let Some(kind) = [&left, &right].into_iter().find(unordered) {
                faults.push(Fault::Misfit(format!("{} has no order to compare", kind.name())));
            }
        }
    }
    Type::Truth
}

/// Whether a comparison of the two is false in every run: GitHub compares lists and objects by identity.
fn never_equal(left: &Type, right: &Type) -> bool {
    match (left, right) {
        (Type::Any | Type::Null, _) | (_, Type::Any | Type::Null) | (Type::Object(..), Type::Object(..)) => {
            false
        }
        (Type::List(left), Type::List(right)) => {
            !matches!((&**left, &**right), (Type::Any, _) | (_, Type::Any)) && left.name() != right.name()
        }
        _ => left.is_compound() || right.is_compound(),
    }
}

fn call(name: &str, arguments: &[Expression], contexts: &dyn Contexts, faults: &mut Vec<Fault>) -> Type {
    let given: Vec<Type> = arguments.iter().map(|argument| infer(argument, contexts, faults)).collect();
    match name {
        "fromjson" => from_json(arguments, &given, faults),
        "case" => {
            // Every second argument is a condition; the last is the default.
            let values = given.iter().enumerate().filter(|(at, _)| at % 2 == 1 || at + 1 == given.len());
            values.map(|(_, value)| value.clone()).reduce(Type::or).unwrap_or(Type::Any)
        }
        "format" => {
            placeholders(arguments, faults);
            takes_texts(name, &given, faults);
            Type::Text
        }
        "startswith" | "endswith" => {
            takes_texts(name, &given, faults);
            Type::Truth
        }
        "hashfiles" => {
            takes_texts(name, &given, faults);
            Type::Text
        }
        "contains" => {
            if matches!(given.first(), Some(Type::Object(..))) {
                faults.push(Fault::Misfit("`contains` searches a text or a list, not an object".to_owned()));
            }
            Type::Truth
        }
        "join" | "tojson" => Type::Text,
        _ => Type::Truth,
    }
}

fn takes_texts(name: &str, given: &[Type], faults: &mut Vec<Fault>) {
    for (at, kind) in given.iter().enumerate().filter(|(_, kind)| kind.is_compound()) {
        let message = format!("argument {} of `{name}` is {}; it takes a text", at + 1, kind.name());
        faults.push(Fault::Misfit(message));
    }
}

fn from_json(arguments: &[Expression], given: &[Type], faults: &mut Vec<Fault>) -> Type {
    if let Some(Expression::Text(text)) = arguments.first() {
        return match serde_json::from_str::<serde_json::Value>(text) {
            Ok(json) => Type::of_json(&json),
            Err(error) => {
                faults.push(Fault::Broken(format!("`fromJSON` fails: the text is not JSON ({error})")));
                Type::Any
            }
        };
    }
    if given.first().is_some_and(Type::is_compound) {
        faults.push(Fault::Misfit("`fromJSON` takes a text".to_owned()));
    }
    Type::Any
}

/// Whether the numbers in `{0}` fit the number of arguments.
fn placeholders(arguments: &[Expression], faults: &mut Vec<Fault>) {
    let Some(Expression::Text(pattern)) = arguments.first() else { return };
    let given = arguments.len() - 1;
    let plain = pattern.replace("{{", "").replace("}}", "");
    let numbers: Vec<usize> = plain
        .split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}').and_then(|(number, _)| number.parse().ok()))
        .collect();
    for number in numbers.iter().filter(|number| **number >= given) {
        let message = format!("`format` has no argument for {{{number}}}: {given} follow the pattern");
        faults.push(Fault::Broken(message));
    }
    for unused in (0..given).filter(|at| !numbers.contains(at)) {
        faults.push(Fault::Misfit(format!("`format` does not use argument {{{unused}}}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Few;

    impl Contexts for Few {
        fn whole(&self, context: &str) -> Type {
            match context {
                "matrix" => Type::object([
                    ("os".to_owned(), Type::Text),
                    ("list".to_owned(), Type::List(Box::new(Type::Truth))),
                    ("node".to_owned(), Type::texts(&["version"])),
                ]),
                "vars" => Type::map(Type::Text),
                _ => Type::Any,
            }
        }

        fn one(&self, _: &str, _: &str) -> Option<Type> {
            None
        }

        fn missing(&self, _: &str, _: &str) -> Option<String> {
            None
        }
    }

    fn faults(text: &str) -> (Type, Vec<Fault>) {
        let mut faults = Vec::new();
        let expression = Expression::parse(text).expect(text);
        (infer(&expression, &Few, &mut faults), faults)
    }

    #[test]
    fn certain_values_have_types() {
        for (text, kind) in [
            ("matrix.os", Type::Text),
            ("vars.A", Type::Text),
            ("github.event.x", Type::Any),
            ("matrix.os == 'x'", Type::Truth),
            ("fromJSON('[1]')", Type::List(Box::new(Type::Number))),
            ("fromJSON(vars.A)", Type::Any),
            ("matrix.os || 1", Type::Any),
            ("case(true, 'a', 'b')", Type::Text),
            ("matrix.node.*", Type::List(Box::new(Type::Text))),
        ] {
            assert_eq!(faults(text), (kind, Vec::new()), "{text}");
        }
    }

    #[test]
    fn faults_are_found_at_any_depth() {
        for text in [
            "matrix.arch",
            "matrix.node.name",
            "matrix.os.name",
            "vars.A.b",
            "matrix.node[1]",
            "matrix.node == 'x'",
            "matrix.list != 1",
            "1 > null",
            "true < false",
            "fromJSON('{')",
            "format('{0} {1}', 1)",
            "format('{0}', 1, 2)",
            "startsWith(matrix.node, 'a')",
            "contains(matrix.node, 'a')",
            "!(github.a && matrix.arch)",
        ] {
            assert_eq!(faults(text).1.len(), 1, "{text}: {:?}", faults(text).1);
        }
        for text in ["format('{{0}}')", "null == matrix.os", "matrix.list[0]", "github.event.a['b'].c[0]"] {
            assert!(faults(text).1.is_empty(), "{text}: {:?}", faults(text).1);
        }
    }
}
