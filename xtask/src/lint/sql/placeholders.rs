//! sqlfluff's `placeholder` templater: parameters of a client library, such as `:name` or `%(name)s`, are replaced by
//! values of the settings, or by their own names.

use std::collections::BTreeMap;
use std::ops::Range;

use regex::{Captures, Regex};

use super::trace::{Origin, Rendering, Slice};

/// sqlfluff's styles: the characters that may not come before a parameter, and the pattern.
const STYLES: [(&str, Before, &str); 12] = [
    ("colon", Before::Word, r":(?<name>\w+)"),
    ("colon_optional_quotes", Before::Only(':'), r#":(?<quotation>['"]?)(?<name>\w+)['"]?"#),
    ("colon_nospaces", Before::Only(':'), r":(?<name>\w+)"),
    ("numeric_colon", Before::Word, r":(?<name>\d+)"),
    ("pyformat", Before::Word, r"%\((?<name>\w+)\)s"),
    ("dollar", Before::Word, r"\$\{?(?<name>\w+)\}?"),
    ("dollar_surround", Before::Word, r"\$(?<name>[-\w]+)\$"),
    ("flyway_var", Before::None, r"\$\{(?<name>\w+[:\w]+)\}"),
    ("question_mark", Before::Word, r"\?"),
    ("numeric_dollar", Before::Word, r"\$\{?(?<name>\d+)\}?"),
    ("percent", Before::Word, "%s"),
    ("ampersand", Before::Only('&'), r"&\{?(?<name>\w+)\}?"),
];

/// What may not come before a parameter.
#[derive(Clone, Copy)]
enum Before {
    None,
    Only(char),
    /// A colon, a backslash or a part of a word.
    Word,
}

impl Before {
    fn forbids(self, before: Option<char>) -> bool {
        before.is_some_and(|c| match self {
            Self::None => false,
            Self::Only(only) => c == only,
            Self::Word => c == ':' || c == '\\' || c == '_' || c.is_alphanumeric(),
        })
    }
}

/// The template with its parameters replaced. Fails, with the reason, on settings that name no style.
pub(super) fn render(source: &str, settings: &BTreeMap<String, String>) -> Result<Rendering, String> {
    let (before, pattern) = pattern(settings)?;
    let mut rendering = Rendering::default();
    let mut push = |text: &str, origin: Origin, source: Range<usize>| {
        if !source.is_empty() {
            let start = rendering.text.len();
            rendering.text.push_str(text);
            rendering.slices.push(Slice { origin, source, output: start..rendering.text.len() });
        }
    };
    let (mut at, mut from, mut count) = (0, 0, 0);
    while let Some(found) = pattern.captures_at(source, from) {
        let whole = found.get_match();
        let next = source[whole.start()..].chars().next().map_or(1, char::len_utf8);
        from = whole.end().max(whole.start() + next);
        if before.forbids(source[..whole.start()].chars().next_back()) {
            from = whole.start() + next;
        } else {
            push(&source[at..whole.start()], Origin::Literal, at..whole.start());
            push(&value(&found, settings, &mut count), Origin::Templated, whole.range());
            at = whole.end();
        }
        if from > source.len() {
            break;
        }
    }
    push(&source[at..], Origin::Literal, at..source.len());
    Ok(rendering)
}

fn pattern(settings: &BTreeMap<String, String>) -> Result<(Before, Regex), String> {
    let (before, text) = match (settings.get("param_regex"), settings.get("param_style")) {
        (Some(given), None) => (Before::None, given.replace("param_name", "name")),
        (None, Some(style)) => {
            let Some((_, before, pattern)) = STYLES.iter().find(|(name, ..)| name == style) else {
                return Err(format!("`param_style = {style}` is not one of sqlfluff's styles"));
            };
            (*before, (*pattern).to_owned())
        }
        _ => return Err("the templater `placeholder` needs either `param_style` or `param_regex`".to_owned()),
    };
    let pattern = Regex::new(&text)
        .map_err(|error| format!("`param_regex` is not a pattern that is understood here: {error}"))?;
    Ok((before, pattern))
}

/// The text for a parameter: its value, else its name; parameters without a name are numbered from 1.
fn value(found: &Captures<'_>, settings: &BTreeMap<String, String>, count: &mut usize) -> String {
    let name = found.name("name").map_or_else(
        || {
            *count += 1;
            count.to_string()
        },
        |name| name.as_str().to_owned(),
    );
    let value = settings.get(&name).cloned().unwrap_or(name);
    let quotation = found.name("quotation").map_or("", |quotation| quotation.as_str());
    format!("{quotation}{value}{quotation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(style: &str, source: &str) -> String {
        let settings = [("param_style", style), ("city", "'Bern'")];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let rendering = render(source, &settings).expect("a rendering");
        let covered: usize = rendering.slices.iter().map(|slice| slice.source.len()).sum();
        assert_eq!(covered, source.len(), "{rendering:?}");
        rendering.text
    }

    #[test]
    fn parameters_become_their_values_or_names() {
        assert_eq!(
            rendered("colon", "a = :city and b = c::int and d = :e"),
            "a = 'Bern' and b = c::int and d = e"
        );
        assert_eq!(rendered("pyformat", "a = %(city)s"), "a = 'Bern'");
        assert_eq!(rendered("percent", "a = %s, b = %s"), "a = 1, b = 2");
        assert_eq!(rendered("dollar", "${city}$x"), "'Bern'x");
        assert_eq!(rendered("flyway_var", "use ${flyway:database}.s"), "use flyway:database.s");
        assert!(render("a", &[("param_style".to_owned(), "x".to_owned())].into()).is_err());
        assert!(render("a", &BTreeMap::new()).is_err());
    }
}
