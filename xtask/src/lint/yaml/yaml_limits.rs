//! A YAML file that no reader should be given.

use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(crate) const RULE: Rule = Rule {
    name: "yaml-limits",
    group: Group::Yaml,
    severity: Severity::Medium,
    summary: "The file is too large, nests too deep, or its aliases multiply without measure.",
    why: "dbt and GitHub read YAML into memory in full: a few lines of aliases to aliases (the \"billion laughs\") \
          take all of it, and a nesting of thousands of levels ends some readers. The file has not been looked \
          at any further.",
    example: "```yaml\na: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, \
              *b, *b, *b, *b, *b, *b, *b]  # and so on\n```\n\nWrite out what is meant, or keep data in a data \
              file (CSV, JSON).",
    remedy: "split the file, or write out what the aliases stand for",
};
