//! yamllint's rules in one line each, for `--explain` and the list of rules.

/// A rule of yamllint's, run by `ryl`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
}

impl Described {
    /// Where yamllint documents the rule.
    pub(crate) fn url(&self) -> String {
        format!(
            "https://yamllint.readthedocs.io/en/stable/rules.html#module-yamllint.rules.{}",
            self.name.replace('-', "_")
        )
    }
}

const fn rule(name: &'static str, summary: &'static str) -> Described {
    Described { name, summary }
}

pub(crate) const DESCRIBED: &[Described] = &[
    rule("anchors", "Anchors that are declared twice, never used, or used before they are declared."),
    rule("braces", "Spaces inside of braces."),
    rule("brackets", "Spaces inside of brackets."),
    rule("colons", "Spaces around colons."),
    rule("commas", "Spaces around commas."),
    rule("comments", "Spaces before and within comments."),
    rule("comments-indentation", "Comments that are not indented like what they comment."),
    rule("document-end", "The marker at the end of a document."),
    rule("document-start", "The marker at the start of a document."),
    rule("empty-lines", "Too many empty lines."),
    rule("empty-values", "Keys without a value."),
    rule("float-values", "Numbers that are written in an unusual way."),
    rule("hyphens", "Spaces after hyphens."),
    rule("indentation", "Indentation that differs from that of the file or the settings."),
    rule("key-ordering", "Keys that are not in alphabetical order."),
    rule("line-length", "Lines that are too long."),
    rule("new-line-at-end-of-file", "A last line without an end."),
    rule("new-lines", "Line ends of another kind."),
    rule("octal-values", "Numbers that YAML 1.1 and 1.2 read differently."),
    rule("quoted-strings", "Strings that are quoted otherwise than the settings ask."),
    rule("trailing-spaces", "Spaces at the end of a line."),
    rule("truthy", "Words that YAML 1.1 reads as truth values."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_in_order() {
        assert!(DESCRIBED.is_sorted_by_key(|rule| rule.name));
    }
}
