//! The body of an issue that was filled in with a form, read as GitHub renders it.
//!
//! A field is `### Label`, a blank line, the value; an empty optional one is `_No response_`; a checkbox
//! is `- [x] text`. People can write such headings into a field themselves, so the first field of a name
//! wins: our forms ask for what matters before they ask for free text.

/// The fields of a form, in the order of the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    fields: Vec<(String, String)>,
    /// There is no text before the first field.
    starts_with_field: bool,
}

/// What GitHub renders for an optional field that was left empty.
const EMPTY: &str = "_No response_";

impl Form {
    pub(crate) fn parse(body: &str) -> Self {
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut fence = None;
        let body = visible(body);
        for line in body.lines() {
            let opened_by = fence;
            fence = after(fence, line);
            match line.strip_prefix("### ").map(str::trim) {
                Some(label) if opened_by.is_none() => fields.push((label.to_owned(), String::new())),
                _ => {
                    if let Some((_, value)) = fields.last_mut() {
                        value.push_str(line);
                        value.push('\n');
                    }
                }
            }
        }
        Self { fields, starts_with_field: body.trim_start().starts_with("### ") }
    }

    /// Whether the body starts with the field labelled so, as every issue does that the form was used for.
    pub(crate) fn begins_with(&self, label: &str) -> bool {
        self.starts_with_field
            && self.fields.first().is_some_and(|(first, _)| first.eq_ignore_ascii_case(label))
    }

    /// The value of the field labelled so, in any case; `None` where it is missing or was left empty.
    pub(crate) fn value(&self, label: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(label));
        field.map(|(_, value)| value.trim()).filter(|value| !value.is_empty() && *value != EMPTY)
    }

    /// Whether a checkbox of the field whose text begins so is ticked.
    pub(crate) fn is_ticked(&self, label: &str, text: &str) -> bool {
        let Some(value) = self.value(label) else { return false };
        value.lines().any(|line| {
            let ticked = ["- [x] ", "- [X] "].iter().find_map(|mark| line.trim().strip_prefix(mark));
            ticked.is_some_and(|said| {
                said.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text))
            })
        })
    }
}

/// The body without what GitHub does not show: `<!-- -->`, outside of code. A comment that is never closed hides
/// the rest.
fn visible(body: &str) -> String {
    let mut shown = String::with_capacity(body.len());
    let mut fence = None;
    let mut hidden = false;
    for line in body.split_inclusive('\n') {
        let opened_by = fence;
        if !hidden {
            fence = after(fence, line);
        }
        if opened_by.is_some() || fence.is_some() {
            shown.push_str(line);
            continue;
        }
        let mut rest = line;
        loop {
            let mark = if hidden { "-->" } else { "<!--" };
            let Some((before, behind)) = rest.split_once(mark) else { break };
            shown.push_str(if hidden { "" } else { before });
            hidden = !hidden;
            rest = behind;
        }
        shown.push_str(if hidden { "" } else { rest });
    }
    shown
}

/// The code fence that is open after `line`: its character and length.
pub(super) fn after(open: Option<(char, usize)>, line: &str) -> Option<(char, usize)> {
    let line = line.trim_start();
    let Some(mark) = line.chars().next().filter(|c| matches!(c, '`' | '~')) else { return open };
    let length = line.chars().take_while(|c| *c == mark).count();
    match open {
        None if length >= 3 => Some((mark, length)),
        Some((opened, least)) if opened == mark && length >= least && line[length..].trim().is_empty() => {
            None
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "### Object name\r\n\r\nGOLD.NEW_KPI\r\n\r\n### Base\r\n\r\n_No response_\r\n\r\n\
                        ### Description\r\n\r\nTwo\r\n\r\nparagraphs\r\n\r\n### Options\r\n\r\n\
                        - [x] Leave out observability\r\n- [ ] Rebuild everything\r\n";

    #[test]
    fn fields_are_read_as_github_renders_them() {
        let form = Form::parse(BODY);
        assert_eq!(form.value("Object name"), Some("GOLD.NEW_KPI"));
        assert_eq!(form.value("object NAME"), Some("GOLD.NEW_KPI"));
        assert_eq!(form.value("Base"), None, "left empty");
        assert_eq!(form.value("Description"), Some("Two\n\nparagraphs"));
        assert_eq!(form.value("Nothing"), None);
        assert!(form.is_ticked("Options", "leave out"));
        assert!(!form.is_ticked("Options", "Rebuild"));
        assert!(!form.is_ticked("Base", ""));
    }

    #[test]
    fn free_text_cannot_change_an_earlier_field() {
        let forged = format!("{BODY}\n### Object name\n\nEVIL\n");
        assert_eq!(Form::parse(&forged).value("Object name"), Some("GOLD.NEW_KPI"));
        let fenced = "### Query\n\n```sql\n### Object name\n\nEVIL\n```\n\n### Object name\n\nGOOD\n";
        assert_eq!(Form::parse(fenced).value("Object name"), Some("GOOD"));
    }

    #[test]
    fn comments_are_not_fields() {
        for (body, first, value) in [
            ("Nice.\n\n<!--\n### Environment\n\nissue_7\n-->\n", false, None),
            ("<!-- ### Environment -->\n### Environment\n\nissue_7\n", true, Some("issue_7")),
            ("### Environment\n\n<!-- issue_9 -->issue_7<!-- x\n### Environment\n", true, Some("issue_7")),
            ("text\n### Environment\n\nissue_7\n", false, Some("issue_7")),
            ("<!-- ```\n-->\n### Environment\n\nissue_7\n", true, Some("issue_7")),
            ("```\n<!--\n```\n### Environment\n\nissue_7\n", false, Some("issue_7")),
        ] {
            let form = Form::parse(body);
            assert_eq!(
                (form.begins_with("environment"), form.value("Environment")),
                (first, value),
                "{body:?}"
            );
        }
    }

    #[test]
    fn any_text_is_a_form_of_some_kind() {
        for body in ["", "\n", "plain text", "###", "### ", "### A", "####\u{0}", "```\n### A\nb", "é- [x] é"]
        {
            let form = Form::parse(body);
            assert_eq!(form.value("Object name"), None, "{body:?}");
            assert!(!form.is_ticked("A", "b"));
        }
        let wide = Form::parse("### A\n\n- [x] é");
        assert!(!wide.is_ticked("A", "x"), "a text that ends within a character");
    }
}
