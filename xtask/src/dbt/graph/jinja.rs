//! The calls in a template, read without rendering it: `ref`, `source`, `config` and macros, each with its
//! exact place.
//!
//! A tokenizer, not a parser: it knows comments, raw blocks and strings, so nothing in them is taken for a
//! call, and it reads arguments as far as they are literals. What depends on a value at run time is said to
//! be dynamic, never guessed. Every byte is looked at a bounded number of times.

use std::ops::Range;

/// Literals in literals, as in the `meta` of a config: what people write by hand stays far below.
const MOST_DEPTH: usize = 20;

/// What an argument that only the run knows may span in calls other than `config`, in words. A limit,
/// because calls in calls are each read by themselves.
const MOST_SKIPPED: usize = 200;

/// Tags with a quote that is never closed, after which quotes no longer count in a file: it is not Jinja.
const MOST_UNCLOSED: usize = 20;

/// A stretch of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text that is output unchanged, including the bodies of raw blocks.
    Text(Range<usize>),
    /// The inside of `{{ … }}`.
    Output(Range<usize>),
    /// The inside of `{% … %}`.
    Statement(Range<usize>),
    /// The whole of `{# … #}`.
    Comment(Range<usize>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Name(&'a str),
    /// The text between the quotes; escapes are left unchanged.
    Text(&'a str),
    Number(&'a str),
    Mark(char),
}

pub(crate) type Tokens<'a> = Vec<(Token<'a>, Range<usize>)>;

/// A function that the template calls.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call<'a> {
    /// With what it is looked up in: `adapter.dispatch`.
    pub(crate) name: String,
    /// Only of the functions in [`Call::is_read`].
    pub(crate) arguments: Vec<(Option<&'a str>, Literal<'a>)>,
    /// From the name's first byte to the last argument's end.
    pub(crate) place: Range<usize>,
    /// Whether the name is looked up in the context: not a filter, a test, or a method of a result.
    pub(crate) is_looked_up: bool,
    /// Whether the words around it decide whether it is called: `x if y`, `a and b`.
    pub(crate) is_conditional: bool,
}

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

impl<'a> Call<'a> {
    /// Arguments are read of the functions that shape the graph; of others the name is enough.
    fn is_read(name: &str) -> bool {
        matches!(
            name.rsplit('.').next(),
            Some("ref" | "source" | "config" | "dispatch" | "doc" | "metric" | "var" | "has_var" | "env_var")
        )
    }

    pub(crate) fn positional(&self) -> impl Iterator<Item = &Literal<'a>> {
        self.arguments.iter().filter(|(name, _)| name.is_none()).map(|(_, value)| value)
    }
}

/// Cuts a template into its pieces. What is opened and never closed reaches to the end.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut from, mut at, mut unclosed) = (0, 0, 0);
    while let Some(open) = memchr::memchr(b'{', &bytes[at..]).map(|offset| at + offset) {
        let Some(&kind) = bytes.get(open + 1) else { break };
        let (end, piece) = match kind {
            b'#' => {
                let end = find(bytes, open + 2, b"#}").map_or(bytes.len(), |end| end + 2);
                (end, Piece::Comment(open..end))
            }
            b'{' | b'%' => {
                let close = if kind == b'{' { b"}}" } else { b"%}" };
                let (inner, end) = tag(bytes, open + 2, *close, &mut unclosed);
                let piece = if kind == b'{' { Piece::Output(inner) } else { Piece::Statement(inner) };
                (end, piece)
            }
            _ => {
                at = open + 1;
                continue;
            }
        };
        if from < open {
            found.push(Piece::Text(from..open));
        }
        let raw = matches!(&piece, Piece::Statement(inner) if keyword(&text[inner.clone()]) == "raw");
        found.push(piece);
        (from, at) = (end, end);
        if raw {
            // The next statement that ends it; nothing in between is looked at.
            at = end_of_raw(text, end);
        }
    }
    if from < bytes.len() {
        found.push(Piece::Text(from..bytes.len()));
    }
    found
}

/// The first word of a statement: `if`, `macro`.
pub(crate) fn keyword(statement: &str) -> &str {
    let start = statement.trim_start_matches(['-', '+', ' ', '\t', '\r', '\n']);
    &start[..start.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(start.len())]
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes.get(from..)?, what).map(|offset| from + offset)
}

/// Where the `{% endraw %}` begins that ends a raw block opened before `from`.
fn end_of_raw(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(open) = find(text.as_bytes(), at, b"{%") {
        if keyword(&text[open + 2..]) == "endraw" {
            return open;
        }
        at = open + 2;
    }
    text.len()
}

/// The inside of a tag, without its white space control, and where it ends. An end mark in a string does not count.
fn tag(bytes: &[u8], from: usize, close: [u8; 2], unclosed: &mut usize) -> (Range<usize>, usize) {
    let mut at = from;
    let mut quote = None;
    while at < bytes.len() && *unclosed < MOST_UNCLOSED {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, _) if bytes[at..].starts_with(&close) => return (from..at, at + 2),
            _ => {}
        }
        at += 1;
    }
    // A quote that is never closed, as in prose: the tag ends at the first mark that could end it.
    *unclosed += 1;
    let end = find(bytes, from, &close);
    end.map_or((from..bytes.len(), bytes.len()), |end| (from..end, end + 2))
}

/// The words of an expression in `text[range]`. `python` adds that language's comments and long strings.
pub(crate) fn tokens(text: &str, range: Range<usize>, python: bool) -> Tokens<'_> {
    let bytes = text.as_bytes();
    let end = range.end.min(bytes.len());
    let mut at = range.start;
    let mut found = Vec::new();
    while at < end {
        let start = at;
        let byte = bytes[at];
        match byte {
            b'#' if python => at = memchr::memchr(b'\n', &bytes[at..end]).map_or(end, |offset| at + offset),
            b'"' | b'\'' => {
                let long = [byte; 3];
                let (open, inner_end) = if python && bytes[at..end].starts_with(&long) {
                    (3, find(&bytes[..end], at + 3, &long).unwrap_or(end))
                } else {
                    (1, end_of_string(&bytes[..end], at + 1, byte))
                };
                at = (inner_end + open).min(end);
                found.push((Token::Text(&text[start + open..inner_end.max(start + open)]), start..at));
            }
            b'0'..=b'9' => {
                while at < end
                    && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'.' || bytes[at] == b'_')
                {
                    at += 1;
                }
                found.push((Token::Number(&text[start..at]), start..at));
            }
            _ if byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii() => {
                while at < end
                    && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_' || !bytes[at].is_ascii())
                {
                    at += 1;
                }
                found.push((Token::Name(&text[start..at]), start..at));
            }
            _ if byte.is_ascii_whitespace() => at += 1,
            _ => {
                at += 1;
                found.push((Token::Mark(char::from(byte)), start..at));
            }
        }
    }
    found
}

fn end_of_string(bytes: &[u8], from: usize, quote: u8) -> usize {
    let mut at = from;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

/// Words of Jinja's own that a bracket may follow: `x in (1, 2)`.
const KEYWORDS: [&str; 11] =
    ["in", "and", "or", "not", "if", "else", "elif", "is", "recursive", "import", "with"];

/// Every call in an expression, those in arguments too.
pub(crate) fn calls<'a>(tokens: &[(Token<'a>, Range<usize>)]) -> Vec<Call<'a>> {
    let mut found = Vec::new();
    let is_conditional =
        tokens.iter().any(|(token, _)| matches!(token, Token::Name("if" | "elif" | "and" | "or")));
    // Arguments that were read to their end, so that configs in configs are read once.
    let mut read_to = 0;
    for (at, (token, place)) in tokens.iter().enumerate() {
        let (Token::Name(word), Some((Token::Mark('('), _))) = (token, tokens.get(at + 1)) else { continue };
        if KEYWORDS.contains(word) {
            continue;
        }
        let (name, first) = path(tokens, at);
        let before = first.checked_sub(1).map(|at| &tokens[at].0);
        let is_looked_up = !matches!(before, Some(Token::Mark('.' | '|') | Token::Name("is" | "not")))
            || matches!(before, Some(Token::Name("not")))
                && !matches!(first.checked_sub(2).map(|at| &tokens[at].0), Some(Token::Name("is")));
        let mut call = Call {
            name,
            arguments: Vec::new(),
            place: tokens[first].1.start..place.end,
            is_looked_up,
            is_conditional,
        };
        let is_config = call.name.ends_with("config");
        if Call::is_read(&call.name) && (at >= read_to || !is_config) {
            let patience = if is_config { usize::MAX } else { MOST_SKIPPED };
            let mut reader = Reader { tokens, at: at + 2, patience };
            call.arguments = reader.arguments();
            call.place.end = tokens[reader.at.min(tokens.len()) - 1].1.end;
            if is_config {
                read_to = reader.at;
            }
        }
        found.push(call);
    }
    found
}

/// The dotted name that ends at `at`, and where it begins. Only a few dots are looked back over.
fn path(tokens: &[(Token<'_>, Range<usize>)], at: usize) -> (String, usize) {
    let mut first = at;
    while first >= 2 && at - first < 8 && tokens[first - 1].0 == Token::Mark('.') {
        let Token::Name(_) = tokens[first - 2].0 else { break };
        first -= 2;
    }
    let parts = tokens[first..=at].iter().map(|(token, _)| match token {
        Token::Name(name) => (*name).to_owned(),
        _ => ".".to_owned(),
    });
    (parts.collect(), first)
}

struct Reader<'t, 'a> {
    tokens: &'t [(Token<'a>, Range<usize>)],
    at: usize,
    /// How many more words may be passed over.
    patience: usize,
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
    fn arguments(&mut self) -> Vec<(Option<&'a str>, Literal<'a>)> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Vec<String> {
        pieces(text)
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Output(range) | Piece::Statement(range) => Some(range),
                _ => None,
            })
            .flat_map(|range| calls(&tokens(text, range, false)))
            .map(|call| {
                let arguments: Vec<String> = call
                    .arguments
                    .iter()
                    .map(|(name, value)| {
                        format!("{}{value:?}", name.map(|n| format!("{n}=")).unwrap_or_default())
                    })
                    .collect();
                format!("{}({}) {}", call.name, arguments.join(", "), &text[call.place.clone()])
            })
            .collect()
    }

    #[test]
    fn calls_are_found_where_they_stand() {
        for (text, calls) in [
            ("{{ ref('a') }}", vec!["ref(Text(\"a\")) ref('a')"]),
            (
                "{{ ref(\"p\", 'a', v=2) }}",
                vec!["ref(Text(\"p\"), Text(\"a\"), v=Number(\"2\")) ref(\"p\", 'a', v=2)"],
            ),
            ("{{ ref(name) }}", vec!["ref(Dynamic) ref(name)"]),
            ("{{ ref('a' ~ b, 'c') }}", vec!["ref(Dynamic, Text(\"c\")) ref('a' ~ b, 'c')"]),
            ("{# {{ ref('a') }} #}x", vec![]),
            ("{% raw %}{{ ref('a') }}{% endraw %}{{ ref('b') }}", vec!["ref(Text(\"b\")) ref('b')"]),
            ("{{ '}} {{ ref(x) }}' }}", vec![]),
            (
                "{%- set a = dbt.dateadd('day', 1, ref('x')) -%}",
                vec!["dbt.dateadd() dbt.dateadd", "ref(Text(\"x\")) ref('x')"],
            ),
            (
                "{{ config(tags=['a', 'b'], meta={'k': f('x')}, enabled=false) }}",
                vec![
                    "config(tags=List([Text(\"a\"), Text(\"b\")]), meta=Pairs([(Text(\"k\"), Dynamic)]), \
                 enabled=Truth(false)) config(tags=['a', 'b'], meta={'k': f('x')}, enabled=false)",
                    "f() f",
                ],
            ),
            (
                "{{ adapter.dispatch('m', 'p')() }}",
                vec!["adapter.dispatch(Text(\"m\"), Text(\"p\")) adapter.dispatch('m', 'p')"],
            ),
            ("ref('a') {{ x", vec![]),
            ("{{ it's }} {{ ref('b') }}", vec!["ref(Text(\"b\")) ref('b')"]),
        ] {
            assert_eq!(found(text), calls, "{text}");
        }
    }

    #[test]
    fn deep_and_long_templates_take_no_time() {
        for text in [
            format!("{{{{ {}", "ref(".repeat(100_000)),
            format!("{{{{ {}", "config(".repeat(100_000)),
            format!("{{{{ config(a={}", "[".repeat(100_000)),
            format!("{{{{ config(a={}", "{'a':".repeat(100_000)),
            format!("{{{{ {}f() }}}}", "a.".repeat(100_000)),
            "{%".repeat(100_000),
            "{% raw %}".repeat(100_000),
            "{{ '".repeat(1_000),
        ] {
            found(&text);
        }
    }

    #[test]
    fn python_is_read_too() {
        let text = "# dbt.ref('no')\ndef model(dbt, session):\n    '''dbt.ref(\"no\")'''\n    return dbt.ref(\"yes\")\n";
        let calls = calls(&tokens(text, 0..text.len(), true));
        let refs: Vec<_> = calls.iter().filter(|call| call.name == "dbt.ref").collect();
        assert_eq!(refs.len(), 1);
        assert_eq!(refs[0].arguments, [(None, Literal::Text("yes"))]);
    }

    proptest! {
        #[test]
        fn pieces_cover_the_text_and_nothing_panics(text in "[{}%#'\"(),=.a-cé \n]{0,60}|(\\{%|%\\}|raw|endraw|ref\\('a'\\)|\\{\\{|\\}\\}| ){0,20}") {
            let mut last = 0;
            for piece in pieces(&text) {
                let (Piece::Text(range) | Piece::Output(range) | Piece::Statement(range) | Piece::Comment(range)) = piece;
                prop_assert!(range.start >= last && range.end <= text.len());
                last = range.end;
            }
            found(&text);
            calls(&tokens(&text, 0..text.len(), true));
        }
    }
}
