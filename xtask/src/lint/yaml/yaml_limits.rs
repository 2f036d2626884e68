//! A YAML file that is unsafe to parse.

use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(crate) const RULE: Rule = Rule {
    name: "yaml-limits",
    group: Group::Yaml,
    severity: Severity::Medium,
    summary: "The file is too large, nested too deep, or its aliases expand without bound.",
    why: "dbt and GitHub read YAML into memory in full: a few lines of aliases to aliases (the \"billion laughs\") \
          exhaust it, and a nesting of thousands of levels crashes some readers. The file was not checked \
          any further.",
    example: "```yaml\na: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, \
              *b, *b, *b, *b, *b, *b, *b]  # and so on\n```\n\nWrite out the values, or keep data in a data \
              file (CSV, JSON).",
    remedy: "split the file, or write out the values of the aliases",
};
