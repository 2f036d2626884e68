//! The style rules as users read of them.

/// A rule of sqruff's, for `--explain` and the list of rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described {
    /// `layout.indent`.
    pub(crate) name: &'static str,
    /// `LT02`.
    pub(crate) code: &'static str,
    pub(crate) summary: &'static str,
    /// Markdown.
    pub(crate) explanation: &'static str,
}

/// All of sqruff's rules.
pub(crate) fn described() -> Vec<Described> {
    let rules = sqruff_lib::rules::rules();
    rules
        .iter()
        .map(|rule| Described {
            name: rule.name(),
            code: rule.code(),
            summary: rule.description(),
            explanation: rule.long_description(),
        })
        .collect()
}

impl Described {
    /// Where sqlfluff documents the rule.
    pub(crate) fn url(&self) -> String {
        format!("https://docs.sqlfluff.com/en/stable/perma/rule/{}.html", self.code)
    }
}
