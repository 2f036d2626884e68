//! A duplicate key of a mapping.

use crate::core::finding::{Group, Severity};
use crate::core::yaml::Documents;
use crate::lint::rule::{Offence, Rule, Source};

pub(crate) const RULE: Rule = Rule {
    name: "key-duplicates",
    group: Group::Yaml,
    severity: Severity::High,
    summary: "A mapping has a duplicate key.",
    why: "YAML readers silently keep the last one: the first description, test or permission has no effect. \
          yamllint can switch this rule off; here it is always on.",
    example: "```yaml\ncolumns:\n  - name: order_id\n    data_tests: [unique]\n    data_tests: [not_null]  \
              # the key is not unique any more\n```\n\nWrite one list:\n\n```yaml\n  - name: order_id\n    \
              data_tests: [unique, not_null]\n```",
    remedy: "merge the two, or delete the one that has no effect",
};

pub(super) fn check<'a>(source: &'a Source, documents: &'a Documents) -> impl Iterator<Item = Offence> + 'a {
    documents.duplicates.iter().map(|duplicate| {
        RULE.offence(
            &source.path,
            duplicate.span,
            format!("duplicate key \"{}\" (first on line {})", duplicate.key, duplicate.first_line),
        )
    })
}
