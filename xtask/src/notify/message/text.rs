//! Text from outside, made harmless and short before it is put into a message.

/// Lengths in characters.
pub(in crate::notify) const NAME: usize = 120;
pub(in crate::notify) const LINE: usize = 300;
const DETAIL: usize = 1500;

/// A web address that may be made into a link, free of what any of our formats gives a meaning to.
pub(in crate::notify) fn link(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text.trim()).ok()?;
    let is_web = matches!(url.scheme(), "https" | "http") && url.has_host();
    let harmless = |c: char| match c {
        '<' | '>' | '|' | '"' | '\'' | '(' | ')' | '[' | ']' | '`' | '\\' | '*' | '@' => {
            format!("%{:02X}", c as u32)
        }
        c => c.to_string(),
    };
    let text: String = url.as_str().chars().map(harmless).collect();
    // GitHub's own addresses have a few hundred characters.
    (is_web && text.len() <= 600).then_some(text)
}

/// `text` in one line of at most `most` characters, without what turns or hides text.
pub(in crate::notify) fn line(text: &str, most: usize) -> String {
    let mut words = String::new();
    for c in beginning(text, most) {
        if !c.is_whitespace() && !c.is_control() {
            words.push(c);
        } else if !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
    }
    cut(words.trim_end(), most)
}

/// A message of several lines, cut to a readable length.
pub(super) fn block(text: &str) -> String {
    let plain: String = beginning(text.trim(), DETAIL).filter(|&c| c == '\n' || !c.is_control()).collect();
    cut(&plain, DETAIL)
}

/// More than enough of `text` for `most` characters that can be seen. Some texts are megabytes.
fn beginning(text: &str, most: usize) -> impl Iterator<Item = char> {
    text.chars().take(4 * most).filter(|&c| !is_invisible(c))
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Characters without a shape: they hide text from readers or turn its direction.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{AD}')
}
