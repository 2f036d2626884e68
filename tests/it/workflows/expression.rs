//! GitHub's expressions, as docs.github.com/actions/reference/workflows-and-actions/expressions describes them: operators, their loose
//! equality, and the functions that our workflows use. Anything else is a panic, not a guess.

use serde_json::Value;

/// What an expression can ask for.
pub(super) trait Context {
    /// `github.ref`, `needs.plan.outputs.action`, …: the path, property by property.
    fn lookup(&self, path: &[String]) -> Value;
    /// `success`, `failure`, `cancelled`; `always` is always.
    fn status(&self, function: &str) -> bool;
}

/// A text with `${{ }}` in it, as a step's `env` or a group's name: the value itself if the text is just one
/// expression, else a string.
pub(super) fn template(text: &str, context: &dyn Context) -> Value {
    if let Some(inner) = only_expression(text) {
        return evaluate(inner, context);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        let (inner, behind) = after.split_once("}}").unwrap_or_else(|| panic!("not closed: {text}"));
        out.push_str(before);
        out.push_str(&string(&evaluate(inner, context)));
        rest = behind;
    }
    Value::String(out + rest)
}

fn only_expression(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${{")?.strip_suffix("}}")?;
    (!inner.contains("}}")).then_some(inner)
}

/// An `if`: an expression with or without `${{ }}`. Without a status function `success() &&` is prepended.
pub(super) fn condition(text: Option<&Value>, context: &dyn Context) -> bool {
    let text = match text {
        None => return context.status("success"),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => panic!("no condition: {other}"),
    };
    let value = if text.contains("${{") { template(&text, context) } else { evaluate(&text, context) };
    let has_status = ["success(", "failure(", "cancelled(", "always("].iter().any(|call| text.contains(call));
    (has_status || context.status("success")) && truthy(&value)
}

pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

pub(super) fn string(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(_) => "Array".to_owned(),
        Value::Object(_) => "Object".to_owned(),
        // All numbers are floating-point numbers: 1 is written `1`.
        Value::Number(number) => number.as_f64().unwrap().to_string(),
        Value::Bool(flag) => flag.to_string(),
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Null => 0.0,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Number(number) => number.as_f64().unwrap(),
        Value::String(text) if text.trim().is_empty() => 0.0,
        Value::String(text) => text.trim().parse().unwrap_or(f64::NAN),
        Value::Array(_) | Value::Object(_) => f64::NAN,
    }
}

/// Strings are equal in any case; values of different types are compared as numbers.
#[expect(clippy::float_cmp, reason = "that is what GitHub does")]
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one.to_lowercase() == other.to_lowercase(),
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Null, Value::Null) => true,
        _ => number(one) == number(other),
    }
}

pub(super) fn evaluate(text: &str, context: &dyn Context) -> Value {
    let mut reader = Reader { tokens: tokens(text), at: 0, text, context };
    let value = reader.or();
    assert_eq!(reader.at, reader.tokens.len(), "what follows the expression: {text}");
    value
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(f64),
    Sign(&'static str),
}

fn tokens(text: &str) -> Vec<Token> {
    const SIGNS: [&str; 13] = ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", ",", "."];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('\'') {
            let mut literal = String::new();
            let mut inside = after;
            loop {
                let (piece, behind) = inside.split_once('\'').unwrap_or_else(|| panic!("not closed: {text}"));
                literal.push_str(piece);
                inside = behind;
                match inside.strip_prefix('\'') {
                    Some(more) => {
                        literal.push('\'');
                        inside = more;
                    }
                    None => break,
                }
            }
            tokens.push(Token::Text(literal));
            rest = inside.trim_start();
            continue;
        }
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = rest[sign.len()..].trim_start();
            continue;
        }
        let end =
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len());
        assert!(end > 0, "{rest:?} in {text}");
        let word = &rest[..end];
        tokens.push(word.parse().map_or_else(|_| Token::Word(word.to_owned()), Token::Number));
        rest = rest[end..].trim_start();
    }
    tokens
}

struct Reader<'a> {
    tokens: Vec<Token>,
    at: usize,
    text: &'a str,
    context: &'a dyn Context,
}

impl Reader<'_> {
    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Sign(other)) if *other == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) {
        assert!(self.take(sign), "{sign} is missing in {}", self.text);
    }

    /// `||` and `&&` give one of their operands, as in JavaScript.
    fn or(&mut self) -> Value {
        let mut value = self.and();
        while self.take("||") {
            let other = self.and();
            value = if truthy(&value) { value } else { other };
        }
        value
    }

    fn and(&mut self) -> Value {
        let mut value = self.comparison();
        while self.take("&&") {
            let other = self.comparison();
            value = if truthy(&value) { other } else { value };
        }
        value
    }

    fn comparison(&mut self) -> Value {
        let mut value = self.unary();
        loop {
            if self.take("==") {
                value = Value::Bool(equal(&value, &self.unary()));
            } else if self.take("!=") {
                value = Value::Bool(!equal(&value, &self.unary()));
            } else {
                return value;
            }
        }
    }

    fn unary(&mut self) -> Value {
        if self.take("!") {
            return Value::Bool(!truthy(&self.unary()));
        }
        if self.take("(") {
            let value = self.or();
            self.expect(")");
            return value;
        }
        let token =
            self.tokens.get(self.at).unwrap_or_else(|| panic!("it ends early: {}", self.text)).clone();
        self.at += 1;
        match token {
            Token::Text(text) => Value::String(text),
            Token::Number(number) => serde_json::json!(number),
            Token::Word(word) => match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ if self.take("(") => self.call(&word),
                _ => self.path(word),
            },
            Token::Sign(sign) => panic!("{sign} in {}", self.text),
        }
    }

    fn path(&mut self, first: String) -> Value {
        let mut path = vec![first];
        while self.take(".") {
            match self.tokens.get(self.at) {
                Some(Token::Word(word)) => path.push(word.clone()),
                other => panic!("{other:?} in {}", self.text),
            }
            self.at += 1;
        }
        self.context.lookup(&path)
    }

    fn call(&mut self, name: &str) -> Value {
        let mut given = Vec::new();
        while !self.take(")") {
            given.push(self.or());
            assert!(
                self.take(",") || matches!(self.tokens.get(self.at), Some(Token::Sign(")"))),
                "{}",
                self.text
            );
        }
        let lower = |value: &Value| string(value).to_lowercase();
        match (name, given.as_slice()) {
            ("always", []) => Value::Bool(true),
            ("success" | "failure" | "cancelled", []) => Value::Bool(self.context.status(name)),
            ("contains", [Value::Array(all), one]) => Value::Bool(all.iter().any(|other| equal(other, one))),
            ("contains", [text, part]) => Value::Bool(lower(text).contains(&lower(part))),
            ("startsWith", [text, start]) => Value::Bool(lower(text).starts_with(&lower(start))),
            ("endsWith", [text, end]) => Value::Bool(lower(text).ends_with(&lower(end))),
            ("toJSON", [value]) => Value::String(serde_json::to_string_pretty(value).unwrap()),
            ("fromJSON", [text]) => serde_json::from_str(&string(text)).unwrap(),
            ("format", [text, values @ ..]) => {
                Value::String(values.iter().enumerate().fold(string(text), |text, (at, value)| {
                    text.replace(&format!("{{{at}}}"), &string(value))
                }))
            }
            ("hashFiles", [_, ..]) => Value::String("0123abcd".to_owned()),
            _ => panic!("{name} with {} arguments in {}", given.len(), self.text),
        }
    }
}

/// The documented rules, each by its own example.
#[test]
fn expressions_mean_what_github_documents() {
    struct Documented;
    impl Context for Documented {
        fn lookup(&self, path: &[String]) -> Value {
            match path.join(".").as_str() {
                "github.ref" => "refs/heads/main".into(),
                "needs.a.result" => "skipped".into(),
                _ => Value::Null,
            }
        }
        fn status(&self, function: &str) -> bool {
            function == "failure"
        }
    }
    let of = |text: &str| evaluate(text, &Documented);
    for text in [
        "'It''s' == 'it''S'",
        "null == 0",
        "'' == 0",
        "'1' == 1",
        "true == 1",
        "!('a' == 1)",
        "'a' != 'b' && !false",
        "github.ref == 'REFS/heads/main'",
        "github.nothing == ''",
        "startsWith(github.ref, 'Refs/Heads/')",
        "contains('Hello world', 'llo')",
        "failure() && !success() && !cancelled() && always()",
        "false || true && true",
        "(true || true) && true",
        "needs.a.result == 'skipped'",
        "format('a-{0}-{1}', 1, true) == 'a-1-true'",
    ] {
        assert_eq!(of(text), Value::Bool(true), "{text}");
    }
    assert_eq!(of("'' && 'x' || 'y'"), "y");
    assert_eq!(of("'a' != '' && 'snowflake' || 'local'"), "snowflake");
    assert_eq!(template("a-${{ 1 == 1 }}-${{ 'b' }}", &Documented), "a-true-b");
    assert_eq!(template("${{ true }}", &Documented), true);

    let holds = |text: &str| condition(Some(&Value::String(text.to_owned())), &Documented);
    assert!(!holds("true"), "without a status function, success() is put before it");
    assert!(holds("${{ !cancelled() && needs.a.result == 'skipped' }}"));
    assert!(holds("${{ false }} && always()"), "text around an expression makes a string, which is true");
    assert!(!condition(None, &Documented));
}
