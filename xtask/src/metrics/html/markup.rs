//! Text into markup: the one place where a name, a message or a title becomes part of the page.
//!
//! Templates escape by themselves; marks that are drawn in Rust go through here.

use std::fmt::Write as _;

/// Escapes text for use between tags and in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // HTML has no way to write the other control characters.
            c if c.is_control() && !matches!(c, '\n' | '\t') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A record as JSON that is safe inside a `<script>`: nothing in it can end the element or open a comment.
pub(super) fn script_json<T: serde::Serialize>(record: &T) -> serde_json::Result<String> {
    let json = serde_json::to_string(record)?;
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _infallible = write!(safe, "\\u{:04x}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    Ok(safe)
}

/// A coordinate, as short as a hundredth of a pixel allows.
pub(super) fn coordinate(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(
            escape("</title><script a='b' c=\"d\">&\u{7}"),
            "&lt;/title&gt;&lt;script a=&#39;b&#39; c=&quot;d&quot;&gt;&amp;\u{fffd}"
        );
        let json = script_json(&"</script><!-- \u{2028} & é").expect("JSON");
        assert!(!json.contains(['<', '>', '&', '\u{2028}']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), "</script><!-- \u{2028} & é");
    }

    #[test]
    fn coordinates_are_short() {
        for (value, text) in [(10.0, "10"), (0.126, "0.13"), (-0.001, "0"), (100.5, "100.5")] {
            assert_eq!(coordinate(value), text);
        }
    }
}
