//! A file that is not valid YAML.

use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(crate) const RULE: Rule = Rule {
    name: "yaml-syntax",
    group: Group::Yaml,
    severity: Severity::High,
    summary: "The file is not valid YAML.",
    why: "dbt and GitHub reject the whole file, often with a message about another line, and a workflow that \
          cannot be read does not run at all.",
    example: "```yaml\ndescription: Orders: one row per order   # a second colon\n```\n\nQuote text that YAML would read as \
              syntax:\n\n```yaml\ndescription: \"Orders: one row per order\"\n```",
    remedy: "fix the reported place; look for a missing quote, a tab, or a line that is indented too little",
};
