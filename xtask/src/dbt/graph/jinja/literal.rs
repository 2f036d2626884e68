//! Arguments of a call, read as far as they are literals.

use std::ops::Range;

use super::words::Token;

/// Literals in literals, as in the `meta` of a config: what people write by hand stays far below.
const MOST_DEPTH: usize = 20;

/// A value that is known without running anything.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal<'a> {
    Text(&'a str),
    Number(&'a str),
    Truth(bool),
    Nothing,
    List(Vec<Self>),
    Pairs(Vec<(Self, Self)>),
    /// It depends on the run.
    Dynamic,
}

impl<'a> Literal<'a> {
    pub(crate) fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

pub(super) struct Reader<'t, 'a> {
    pub(super) tokens: &'t [(Token<'a>, Range<usize>)],
    pub(super) at: usize,
    /// How many more words may be passed over.
    pub(super) patience: usize,
}

impl<'a> Reader<'_, 'a> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn eat(&mut self, mark: char) -> bool {
        let is_it = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(is_it);
        is_it
    }

    /// To the closing bracket of the call, or the end.
    pub(super) fn arguments(&mut self) -> Vec<(Option<&'a str>, Literal<'a>)> {
        let mut found = Vec::new();
        while self.patience > 0 && self.peek().is_some() && !self.eat(')') {
            let before = self.at;
            let named = match (self.peek(), self.tokens.get(self.at + 1), self.tokens.get(self.at + 2)) {
                (Some(&Token::Name(name)), Some((Token::Mark('='), _)), next)
                    if !matches!(next, Some((Token::Mark('='), _))) =>
                {
                    self.at += 2;
                    Some(name)
                }
                _ => None,
            };
            found.push((named, self.value(0)));
            self.eat(',');
            if self.at == before {
                // A bracket that closes nothing: what follows is not an argument.
                break;
            }
        }
        found
    }

    /// One value, up to a comma or the bracket that closes the list or dictionary around it.
    fn value(&mut self, depth: usize) -> Literal<'a> {
        let start = self.at;
        let literal = self.literal(depth);
        let ends = matches!(self.peek(), None | Some(Token::Mark(',' | ')' | ']' | '}' | ':')));
        if ends && self.at > start { literal } else { self.skip() }
    }

    fn literal(&mut self, depth: usize) -> Literal<'a> {
        let Some(token) = self.peek().cloned() else { return Literal::Dynamic };
        self.at += 1;
        match token {
            Token::Text(text) => Literal::Text(text),
            Token::Number(number) => Literal::Number(number),
            Token::Name("true" | "True") => Literal::Truth(true),
            Token::Name("false" | "False") => Literal::Truth(false),
            Token::Name("none" | "None") => Literal::Nothing,
            Token::Mark('[') if depth < MOST_DEPTH => Literal::List(self.items(depth, ']')),
            Token::Mark('(') if depth < MOST_DEPTH => Literal::List(self.items(depth, ')')),
            Token::Mark('{') if depth < MOST_DEPTH => self.pairs(depth),
            _ => {
                self.at -= 1;
                Literal::Dynamic
            }
        }
    }

    fn items(&mut self, depth: usize, close: char) -> Vec<Literal<'a>> {
        let mut items = Vec::new();
        while self.peek().is_some() && !self.eat(close) {
            let before = self.at;
            items.push(self.value(depth + 1));
            self.eat(',');
            if self.at == before {
                break;
            }
        }
        items
    }

    fn pairs(&mut self, depth: usize) -> Literal<'a> {
        let mut pairs = Vec::new();
        while self.peek().is_some() && !self.eat('}') {
            let before = self.at;
            let key = self.value(depth + 1);
            if !self.eat(':') {
                return self.skip();
            }
            pairs.push((key, self.value(depth + 1)));
            self.eat(',');
            if self.at == before {
                break;
            }
        }
        Literal::Pairs(pairs)
    }

    /// Past a value that only the run knows, to the comma or bracket that ends it.
    fn skip(&mut self) -> Literal<'a> {
        let mut depth = 0_usize;
        while let Some(token) = self.peek() {
            match token {
                Token::Mark('(' | '[' | '{') => depth += 1,
                Token::Mark(')' | ']' | '}' | ',') if depth == 0 => break,
                Token::Mark(')' | ']' | '}') => depth -= 1,
                _ => {}
            }
            if self.patience == 0 {
                break;
            }
            self.patience -= 1;
            self.at += 1;
        }
        Literal::Dynamic
    }
}
