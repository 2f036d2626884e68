//! The expression language of GitHub Actions, `${{ … }}`: a parser with positions, and the queries that rules need.
//!
//! Pure. Sizes are bounded, since expressions come from files of any origin.

mod tokens;

use self::tokens::{Token, tokens, word};
use std::fmt;

/// GitHub's own limit is 21,000 characters for an expression.
const MOST_TOKENS: usize = 5_000;
const MOST_DEPTH: usize = 50;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    Null,
    Truth(bool),
    Number(f64),
    Text(String),
    /// `github`, `env`, …; lower case, as GitHub compares them.
    Context(String),
    /// `object.name`, and `object['name']`.
    Property(Box<Self>, String),
    Index(Box<Self>, Box<Self>),
    /// `object.*` and `object[*]`.
    All(Box<Self>),
    Call(String, Vec<Self>),
    Not(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// Why a text is not an expression, and at which byte of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) offset: usize,
    pub(crate) message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

const CONTEXTS: [&str; 12] = [
    "github", "env", "vars", "job", "jobs", "steps", "runner", "secrets", "strategy", "matrix", "needs",
    "inputs",
];

/// Names in lower case, with the fewest and the most arguments.
const FUNCTIONS: [(&str, usize, usize); 13] = [
    ("contains", 2, 2),
    ("startswith", 2, 2),
    ("endswith", 2, 2),
    ("format", 1, usize::MAX),
    ("join", 1, 2),
    ("tojson", 1, 1),
    ("fromjson", 1, 1),
    ("hashfiles", 1, usize::MAX),
    ("case", 3, usize::MAX),
    ("success", 0, usize::MAX),
    ("always", 0, 0),
    ("cancelled", 0, 0),
    ("failure", 0, usize::MAX),
];

/// Functions that return the state of the run so far: an `if` without one implies "and nothing failed or was
/// skipped".
const STATUS: [&str; 4] = ["success", "always", "cancelled", "failure"];

impl Expression {
    /// Parses the text between `${{` and `}}`, or the whole of an `if`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, end: text.len() };
        if tokens.is_empty() {
            return Err(Error { offset: 0, message: "an empty expression".to_owned() });
        }
        let expression = parser.or()?;
        match tokens.get(parser.at) {
            None => Ok(expression),
            Some((_, offset)) => {
                Err(Error { offset: *offset, message: format!("unexpected `{}`", word(&text[*offset..])) })
            }
        }
    }

    /// Every look-up in it: `github.event.issue.title`, with `*` for computed parts.
    pub(crate) fn paths(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        self.walk(&mut |each| found.extend(each.path()));
        found
    }

    /// Look-ups that can become part of the result's text. Those that are only compared or tested cannot.
    pub(crate) fn results(&self) -> Vec<Vec<String>> {
        match self {
            Self::Binary(Operator::Or, left, right) => [left.results(), right.results()].concat(),
            // The left side is the result only if it is empty, zero or false.
            Self::Binary(Operator::And, _, right) => right.results(),
            Self::Call(name, arguments) => match name.as_str() {
                "format" | "join" | "tojson" | "fromjson" => {
                    arguments.iter().flat_map(Self::results).collect()
                }
                // Every second argument is a condition; the last is the default.
                "case" => arguments
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| at % 2 == 1 || at + 1 == arguments.len())
                    .flat_map(|(_, argument)| argument.results())
                    .collect(),
                _ => Vec::new(),
            },
            Self::Context(_) | Self::Property(..) | Self::Index(..) | Self::All(_) => {
                self.path().into_iter().collect()
            }
            // Comparisons give true or false.
            _ => Vec::new(),
        }
    }

    /// Whether it reads the state of the run so far.
    pub(crate) fn asks_status(&self) -> bool {
        let mut asks = false;
        self.walk(&mut |each| asks |= matches!(each, Self::Call(name, _) if STATUS.contains(&name.as_str())));
        asks
    }

    /// The functions in it that exist only at some places: the state of the run, and hashes of files.
    pub(crate) fn placed_calls(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.walk(&mut |each| {
            if let Self::Call(name, _) = each
                && (name == "hashfiles" || STATUS.contains(&name.as_str()))
                && !found.contains(name)
            {
                found.push(name.clone());
            }
        });
        found
    }

    /// The path of a look-up; `None` for any other expression.
    pub(super) fn path(&self) -> Option<Vec<String>> {
        match self {
            Self::Context(name) => Some(vec![name.clone()]),
            Self::Property(object, name) => {
                let mut path = object.path()?;
                path.push(name.to_lowercase());
                Some(path)
            }
            Self::Index(object, _) | Self::All(object) => {
                let mut path = object.path()?;
                path.push("*".to_owned());
                Some(path)
            }
            _ => None,
        }
    }

    /// Every subexpression, except the parts of look-ups.
    pub(super) fn walk(&self, see: &mut impl FnMut(&Self)) {
        see(self);
        match self {
            Self::Call(_, arguments) => arguments.iter().for_each(|argument| argument.walk(see)),
            Self::Not(inner) => inner.walk(see),
            Self::Binary(_, left, right) => {
                left.walk(see);
                right.walk(see);
            }
            Self::Property(..) | Self::Index(..) | Self::All(_) => self.walk_inside(see),
            _ => {}
        }
    }

    fn walk_inside(&self, see: &mut impl FnMut(&Self)) {
        match self {
            Self::Property(object, _) | Self::All(object) => object.walk_inside(see),
            Self::Index(object, index) => {
                object.walk_inside(see);
                index.walk(see);
            }
            Self::Context(_) => {}
            other => other.walk(see),
        }
    }
}

struct Parser<'t> {
    tokens: &'t [(Token, usize)],
    at: usize,
    depth: usize,
    end: usize,
}

impl Parser<'_> {
    fn eat(&mut self, mark: &str) -> bool {
        let is_it = matches!(self.tokens.get(self.at), Some((Token::Mark(given), _)) if *given == mark);
        self.at += usize::from(is_it);
        is_it
    }

    fn expect(&mut self, mark: &str) -> Result<(), Error> {
        if self.eat(mark) { Ok(()) } else { Err(self.error(format!("`{mark}` is missing"))) }
    }

    fn error(&self, message: String) -> Error {
        let offset = self.tokens.get(self.at).map_or(self.end, |(_, offset)| *offset);
        Error { offset, message }
    }

    fn or(&mut self) -> Result<Expression, Error> {
        let mut left = self.and()?;
        while self.eat("||") {
            left = Expression::Binary(Operator::Or, Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, Error> {
        let mut left = self.comparison()?;
        while self.eat("&&") {
            left = Expression::Binary(Operator::And, Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expression, Error> {
        let mut left = self.not()?;
        loop {
            let operator = match self.tokens.get(self.at) {
                Some((Token::Mark("=="), _)) => Operator::Equal,
                Some((Token::Mark("!="), _)) => Operator::Unequal,
                Some((Token::Mark("<"), _)) => Operator::Less,
                Some((Token::Mark("<="), _)) => Operator::AtMost,
                Some((Token::Mark(">"), _)) => Operator::Greater,
                Some((Token::Mark(">="), _)) => Operator::AtLeast,
                _ => return Ok(left),
            };
            self.at += 1;
            left = Expression::Binary(operator, Box::new(left), Box::new(self.not()?));
        }
    }

    fn not(&mut self) -> Result<Expression, Error> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self.error(format!("nested more than {MOST_DEPTH} levels deep")));
        }
        let made = if self.eat("!") {
            self.not().map(|inner| Expression::Not(Box::new(inner)))
        } else {
            self.primary().and_then(|primary| self.look_up(primary))
        };
        self.depth -= 1;
        made
    }

    fn primary(&mut self) -> Result<Expression, Error> {
        let Some((token, offset)) = self.tokens.get(self.at) else {
            return Err(self.error("something is missing at the end".to_owned()));
        };
        self.at += 1;
        match token {
            Token::Text(text) => Ok(Expression::Text(text.clone())),
            Token::Number(number) => Ok(Expression::Number(*number)),
            Token::Mark("(") => {
                let inner = self.or()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Mark(mark) => Err(Error { offset: *offset, message: format!("unexpected `{mark}`") }),
            Token::Name(name) => self.name(name, *offset),
        }
    }

    fn name(&mut self, name: &str, offset: usize) -> Result<Expression, Error> {
        let lower = name.to_lowercase();
        if self.eat("(") {
            return self.call(name, &lower, offset);
        }
        match lower.as_str() {
            "null" => Ok(Expression::Null),
            "true" => Ok(Expression::Truth(true)),
            "false" => Ok(Expression::Truth(false)),
            "nan" => Ok(Expression::Number(f64::NAN)),
            "infinity" => Ok(Expression::Number(f64::INFINITY)),
            _ if CONTEXTS.contains(&lower.as_str()) => Ok(Expression::Context(lower)),
            _ => Err(Error {
                offset,
                message: format!("no context is named `{name}`; a text takes single quotes: '{name}'"),
            }),
        }
    }

    fn call(&mut self, name: &str, lower: &str, offset: usize) -> Result<Expression, Error> {
        let Some((_, fewest, most)) = FUNCTIONS.iter().find(|(known, ..)| *known == lower) else {
            return Err(Error { offset, message: format!("no function is named `{name}`") });
        };
        let mut arguments = Vec::new();
        while !self.eat(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.or()?);
        }
        if arguments.len() < *fewest || arguments.len() > *most {
            let message = format!("`{name}` does not take {} arguments", arguments.len());
            return Err(Error { offset, message });
        }
        Ok(Expression::Call(lower.to_owned(), arguments))
    }

    fn look_up(&mut self, mut object: Expression) -> Result<Expression, Error> {
        loop {
            if self.eat(".") {
                if self.eat("*") {
                    object = Expression::All(Box::new(object));
                    continue;
                }
                let Some((Token::Name(name), _)) = self.tokens.get(self.at) else {
                    return Err(self.error("a name is missing after `.`".to_owned()));
                };
                self.at += 1;
                object = Expression::Property(Box::new(object), name.clone());
            } else if self.eat("[") {
                if self.eat("*") {
                    object = Expression::All(Box::new(object));
                } else {
                    object = match self.or()? {
                        Expression::Text(name) => Expression::Property(Box::new(object), name),
                        index => Expression::Index(Box::new(object), Box::new(index)),
                    };
                }
                self.expect("]")?;
            } else {
                return Ok(object);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn results(text: &str) -> Vec<String> {
        Expression::parse(text).expect(text).results().iter().map(|path| path.join(".")).collect()
    }

    #[test]
    fn look_ups_that_reach_the_result_are_found() {
        let paths = |text: &str| -> Vec<String> {
            Expression::parse(text).expect(text).paths().iter().map(|path| path.join(".")).collect()
        };
        assert_eq!(paths("github.event.issue.title"), ["github.event.issue.title"]);
        assert_eq!(paths("GitHub.Event['Issue'].title"), ["github.event.issue.title"]);
        assert_eq!(paths("needs.*.result == 'x' && matrix[env.A]"), ["needs.*.result", "matrix.*", "env.a"]);
        assert_eq!(paths("fromJSON(steps.plan.outputs.x).name"), ["steps.plan.outputs.x"]);
    }

    #[test]
    fn only_what_can_come_out_is_a_result() {
        for (text, found) in [
            ("github.head_ref", vec!["github.head_ref"]),
            ("github.head_ref == 'main'", vec![]),
            ("contains(github.head_ref, 'x') && '--x' || ''", vec![]),
            ("github.head_ref || github.ref_name", vec!["github.head_ref", "github.ref_name"]),
            ("github.head_ref && inputs.a", vec!["inputs.a"]),
            ("format('{0}', inputs.a)", vec!["inputs.a"]),
            ("!inputs.a", vec![]),
            ("hashFiles('**/Cargo.lock')", vec![]),
            ("case(inputs.a, vars.b, vars.c)", vec!["vars.b", "vars.c"]),
        ] {
            assert_eq!(results(text), found, "{text}");
        }
    }

    #[test]
    fn status_functions_are_found_at_any_position() {
        let asks = |text: &str| Expression::parse(text).expect(text).asks_status();
        assert!(asks("!cancelled() && needs.a.result == 'success'"));
        assert!(asks("always()"));
        assert!(!asks("needs.a.result == 'success'"));
        assert!(!asks("contains('always()', 'a')"));
    }

    #[test]
    fn errors_have_a_place() {
        for (text, offset, part) in [
            ("", 0, "empty"),
            ("foo", 0, "no context is named `foo`"),
            ("github.event ==", 15, "missing at the end"),
            ("github.event == \"a\"", 16, "single quotes"),
            ("nope(1)", 0, "no function is named `nope`"),
            ("contains('a')", 0, "does not take 1 arguments"),
            ("'a", 0, "never closed"),
            ("(1", 2, "`)` is missing"),
            ("1 2", 2, "unexpected `2`"),
            ("github.", 7, "a name is missing"),
            ("1 = 2", 2, "unexpected `=`"),
            ("0xZZ", 0, "is not a number"),
            ("github.ünicode", 7, "unexpected"),
        ] {
            let error = Expression::parse(text).expect_err(text);
            assert_eq!(error.offset, offset, "{text}: {error}");
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn strings_and_numbers_are_read_as_github_does() {
        for (text, made) in [
            ("'it''s'", Expression::Text("it's".to_owned())),
            ("''", Expression::Text(String::new())),
            ("-9.2e-1", Expression::Number(-0.92)),
            ("0xff", Expression::Number(255.0)),
            ("TRUE", Expression::Truth(true)),
        ] {
            assert_eq!(Expression::parse(text), Ok(made), "{text}");
        }
    }

    #[test]
    fn hostile_expressions_are_errors() {
        for text in
            ["(".repeat(10_000), "!".repeat(10_000), format!("1{}", " || 1".repeat(10_000)), "a[".repeat(999)]
        {
            assert!(Expression::parse(&text).is_err());
        }
        assert!(Expression::parse(&format!("1{}", " || 1".repeat(2_000))).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(github|env|'|\\.|\\*|\\[|\\]|\\(|\\)|,|format|&&|\\|\\||!|==|<|1|-|0x|é| ){0,30}") {
            if let Ok(expression) = Expression::parse(&text) {
                expression.paths();
                expression.results();
            }
        }
    }
}
