//! A file that is no YAML.

use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(crate) const RULE: Rule = Rule {
    name: "yaml-syntax",
    group: Group::Yaml,
    severity: Severity::High,
    summary: "The file is no YAML.",
    why: "dbt and GitHub refuse the file as a whole, often with a message about another line, and a workflow that \
          cannot be read does not run at all.",
    example: "```yaml\ndescription: Orders: one row an order   # a second colon\n```\n\nQuote what YAML would take \
              for its own:\n\n```yaml\ndescription: \"Orders: one row an order\"\n```",
    remedy: "mend it where it says; look for a missing quote, a tab, or a line that is indented too little",
};
