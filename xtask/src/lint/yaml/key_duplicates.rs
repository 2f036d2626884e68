//! A key that stands in one mapping twice.

use crate::core::finding::{Group, Severity};
use crate::core::yaml::Documents;
use crate::lint::rule::{Offence, Rule, Source};

pub(crate) const RULE: Rule = Rule {
    name: "key-duplicates",
    group: Group::Yaml,
    severity: Severity::High,
    summary: "A key stands in one mapping twice.",
    why: "YAML readers keep the last and say nothing: the first description, test or permission that you wrote \
          does not exist. yamllint can switch this rule off; here it always holds.",
    example: "```yaml\ncolumns:\n  - name: order_id\n    data_tests: [unique]\n    data_tests: [not_null]  \
              # the key is not unique any more\n```\n\nWrite one list:\n\n```yaml\n  - name: order_id\n    \
              data_tests: [unique, not_null]\n```",
    remedy: "join the two, or delete the one that does not count",
};

pub(super) fn check<'a>(source: &'a Source, documents: &'a Documents) -> impl Iterator<Item = Offence> + 'a {
    documents.duplicates.iter().map(|duplicate| {
        RULE.offence(
            &source.path,
            duplicate.span,
            format!("\"{}\" stands here already on line {}", duplicate.key, duplicate.first_line),
        )
    })
}
