//! Averages of averages and of ratios.

use sqruff_lib_core::dialects::syntax::{SyntaxKind, SyntaxSet};

use super::policy::{File, Objection, all, child, span};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(super) const RULE: Rule = Rule {
    name: "average-of-averages",
    group: Group::Sql,
    severity: Severity::Medium,
    summary: "An average is taken over a column that is an average or a ratio already.",
    why: "Each group has the same weight in it, whatever its size: the result is not the average of the whole, and can be wrong by a large factor.",
    example: "\
```sql\n\
avg(avg_elapsed_seconds)                     -- reported\n\
avg(fill_rate)                               -- reported\n\
sum(elapsed_seconds) / sum(queries)          -- the average of the whole\n\
sum(filled_units) / sum(ordered_units)\n\
```\n\
A column counts by its name: `avg_`, `average_` or `mean_` at its start, or one of `endings` at its end.",
    remedy: "keep the numerator and the denominator as columns, and divide the sums",
};

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// The last word of columns that are ratios.
    endings: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let endings = ["avg", "average", "mean", "rate", "ratio", "pct", "percent", "percentage", "share"];
        Self { endings: endings.map(str::to_owned).to_vec() }
    }
}

pub(super) fn check(file: &File<'_>, settings: &Settings) -> Vec<Objection> {
    let mut found = Vec::new();
    for function in all(file.tree, SyntaxKind::Function) {
        let tokens = file.tokens_of(&function);
        let Some(name) = tokens.first().filter(|token| is_average(&token.text) && token.is_literal) else {
            continue;
        };
        let Some(contents) = child(&function, SyntaxKind::FunctionContents) else { continue };
        let inner = SyntaxSet::single(SyntaxKind::SelectStatement);
        let kinds = SyntaxSet::new(&[SyntaxKind::ColumnReference, SyntaxKind::Function]);
        for argument in contents.recursive_crawl(&kinds, true, &inner, true) {
            let tokens = file.tokens_of(&argument);
            let is_nested = argument.is_type(SyntaxKind::Function);
            let word = if is_nested { tokens.first() } else { tokens.last() };
            let Some(word) = word else { continue };
            let objects =
                if is_nested { is_average(&word.text) } else { is_ratio(&word.text, &settings.endings) };
            if objects {
                found.push(Objection {
                    range: span(&tokens),
                    message: format!(
                        "`{}` is an average or a ratio, and `{}` averages it again",
                        word.text, name.text
                    ),
                });
            }
        }
    }
    found
}

fn is_average(function: &str) -> bool {
    matches!(function, "avg" | "mean")
}

fn is_ratio(column: &str, endings: &[String]) -> bool {
    let first = column.split('_').next().unwrap_or_default();
    let last = column.rsplit('_').next().unwrap_or_default();
    matches!(first, "avg" | "average" | "mean") || endings.iter().any(|ending| ending == last)
}
