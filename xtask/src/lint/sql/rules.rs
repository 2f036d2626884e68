//! sqruff's rules on one parsed file, except those that have nothing to report there or take too long.
//!
//! The same as `Linter::lint_fix_parsed`, which runs all rules of a linter on every file; another linter with fewer
//! rules would take as long to make as dozens of files take to check.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};
use sqruff_lib::core::linter::core::Linter;
use sqruff_lib::core::rules::noqa::IgnoreMask;
use sqruff_lib::core::rules::{LintResult, crawl};
use sqruff_lib_core::errors::SQLLintError;
use sqruff_lib_core::parser::segments::{ErasedSegment, Tables};
use sqruff_lib_core::templaters::TemplatedFile;

/// What the rules found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) errors: Vec<SQLLintError>,
    /// Whether a rule failed, or a `noqa` comment could not be read.
    pub(super) has_failed: bool,
}

/// The findings of the linter's rules, except those with a code in `left_out`.
pub(super) fn found(
    linter: &Linter,
    (tables, file, tree): (&Tables, &TemplatedFile, &ErasedSegment),
    left_out: &BTreeSet<&str>,
) -> Result<Found> {
    let mut found = Found::default();
    let waived = waived(linter, file, tree, &mut found)?;
    let ignores_templated = ignores_templated(linter);
    let rules = linter.rules().map_err(|error| anyhow!("{error}"))?;
    for rule in rules.iter().filter(|rule| !left_out.contains(rule.code())) {
        let config = linter.config();
        let mut add = |result: LintResult| {
            let is_hidden = ignores_templated && !rule.targets_templated() && is_generated(&result);
            let is_waived =
                || waived.as_ref().is_some_and(|waived| waived.is_masked(&result, Some(rule), true));
            if !is_hidden && !is_waived() {
                found.errors.extend(result.to_linting_error(rule));
            }
        };
        let done = crawl(rule, tables, config.get_dialect(), file, tree.clone(), config, &mut add);
        found.has_failed |= done.is_err();
    }
    Ok(found)
}

/// Whether findings in text that a template generates are left out.
pub(super) fn ignores_templated(linter: &Linter) -> bool {
    linter.config().get("ignore_templated_areas", "core").as_bool().unwrap_or(true)
}

/// Whether a template generates the text of the result.
pub(super) fn is_generated(result: &LintResult) -> bool {
    result.anchor_in_templated_section() && !result.anchor_in_semantically_literal_templated_section()
}

/// The `noqa` comments, if there are any.
fn waived(
    linter: &Linter,
    file: &TemplatedFile,
    tree: &ErasedSegment,
    found: &mut Found,
) -> Result<Option<IgnoreMask>> {
    let config = linter.config();
    let is_off = config.get("disable_noqa", "core").as_bool().unwrap_or(false);
    let except = config.get("disable_noqa_except", "core").as_string().filter(|value| !value.is_empty());
    let rendered = file.templated_str.as_deref().unwrap_or_default();
    if is_off && except.is_none() || !rendered.contains("noqa") {
        return Ok(None);
    }
    let pack = linter.get_rulepack().map_err(|error| anyhow!("{error}"))?;
    let names = Linter::allowed_rule_ref_map(pack.reference_map(), except);
    let (waived, errors) = IgnoreMask::from_tree(tree, &names);
    found.has_failed |= !errors.is_empty();
    Ok(Some(waived))
}
