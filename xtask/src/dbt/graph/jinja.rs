//! The calls in a template, read without rendering it: `ref`, `source`, `config` and macros, each with its
//! exact place.
//!
//! A tokenizer, not a parser: it knows comments, raw blocks and strings, so nothing in them is taken for a
//! call, and it reads arguments as far as they are literals. What depends on a value at run time is said to
//! be dynamic, never guessed. Every byte is looked at a bounded number of times.

mod literal;
mod words;

use std::ops::Range;

pub(crate) use self::literal::Literal;
use self::literal::Reader;
pub(crate) use self::words::{Piece, Token, Tokens, keyword, pieces, tokens};

/// What an argument that only the run knows may span in calls other than `config`, in words. A limit,
/// because calls in calls are each read by themselves.
const MOST_SKIPPED: usize = 200;

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
