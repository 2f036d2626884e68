//! What the style engine has read of one file.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};
use sqruff_lib_core::parser::segments::{ErasedSegment, Tables};
use sqruff_lib_core::templaters::TemplatedFile;

use super::super::corrections;
use super::super::layout;
use super::super::names::{self, REFERENCES_FROM};
use super::super::qualifiers::{MOST_REFERENCES, qualified, unknown_qualifiers};
use super::super::rules;
use super::super::trace::Rendering;
use super::{
    COLUMN_COUNT, FAILED, LONG_LINES, Meaning, Patch, Style, Violation, is_safe, may_hold_long_line, quietly,
    violation,
};

/// A rendered file that sqruff has parsed.
pub(crate) struct Parsed<'p> {
    pub(super) style: &'p Style,
    pub(super) tables: &'p Tables,
    pub(super) file: &'p TemplatedFile,
    pub(super) source: &'p str,
    pub(super) rendering: &'p Rendering,
    /// `None` if there is not even an unparsable tree.
    pub(crate) tree: Option<ErasedSegment>,
    /// The parts that could not be lexed or parsed.
    pub(crate) broken: Vec<Violation>,
}

impl Parsed<'_> {
    /// The violations that sqruff's rules find.
    pub(crate) fn violations(&self) -> Result<Vec<Violation>> {
        let Some(tree) = &self.tree else { return Ok(Vec::new()) };
        let is_short = !may_hold_long_line(self.rendering, self.style.line_limit());
        let is_circular = self.style.has([COLUMN_COUNT]) && corrections::reads_itself(tree);
        let mut left_out = BTreeSet::new();
        if self.style.has(names::CODES) {
            left_out = names::silent(tree, self.style.dialect(), self.style.wants_consistent_references());
        }
        let looks_up = self.style.has([REFERENCES_FROM]) && !left_out.contains(REFERENCES_FROM);
        let qualified = if looks_up { qualified(tree) } else { Vec::new() };
        let many = qualified.len() > MOST_REFERENCES;
        if many {
            left_out.insert(REFERENCES_FROM);
        }
        if self.style.has(layout::CODES) {
            let silent = quietly(|| layout::silent(self.tables, tree, &self.style.linter, !is_short));
            // After a panic of sqruff's, its rules are run one by one.
            left_out.extend(silent.unwrap_or_default());
        }
        if is_circular {
            left_out.insert(COLUMN_COUNT);
        }
        if is_short {
            left_out.insert(LONG_LINES);
        }
        let linter = &self.style.linter;
        let rules::Found { errors, has_failed } =
            rules::found(linter, (self.tables, self.file, tree), &left_out)?;
        let failure =
            Violation { start: 0, end: 0, rule: FAILED, message: "a style rule failed on it".to_owned() };
        let mut found: Vec<Violation> = errors
            .into_iter()
            .map(|error| {
                let rule = error.rule.as_ref().map_or(FAILED, |rule| rule.name);
                violation(rule, error.into())
            })
            .chain(has_failed.then_some(failure))
            .chain(if many { unknown_qualifiers(tree, &qualified) } else { Vec::new() })
            .collect();
        if is_circular && let Some(star) = corrections::unknown_star(tree, self.rendering) {
            found.push(Violation {
                start: star.start,
                end: star.end,
                rule: "ambiguous.column_count",
                message: "Outermost query should produce known number of columns.".to_owned(),
            });
        }
        let rules = self.style.rules();
        let settings = (self.style.config(), self.style.dialect(), rules.as_slice());
        corrections::correct(&mut found, tree, self.source, self.rendering, settings);
        Ok(found)
    }

    /// The changes that the rules of layout and capitalisation would make.
    /// Rules in `left_out` are skipped.
    pub(crate) fn patches(&self, left_out: &BTreeSet<&str>) -> Result<Vec<Patch>> {
        let Some(tree) = &self.tree else { return Ok(Vec::new()) };
        let own;
        let linter = if left_out.is_empty() {
            self.style.fixer()?
        } else {
            own = self.style.only(|rule| is_safe(rule.groups()) && !left_out.contains(rule.name()))?;
            &own
        };
        let (fixed, _, _) = linter
            .lint_fix_parsed(self.tables, tree.clone(), self.file, true)
            .map_err(|error| anyhow!("{error}"))?;
        let patches = fixed.iter_patches(self.file);
        Ok(patches
            .into_iter()
            .map(|patch| Patch { range: patch.source_slice, text: patch.fixed_raw.to_string() })
            .collect())
    }

    /// The meaning of the file, whatever its layout: its code, in lower case if case does not matter, and its
    /// comments.
    pub(crate) fn meaning(&self) -> Meaning {
        let mut meaning = Meaning::default();
        for segment in self.tree.iter().flat_map(ErasedSegment::get_raw_segments) {
            let raw = segment.raw();
            if segment.is_comment() {
                let words: Vec<&str> = raw.split_whitespace().collect();
                meaning.comments.push(words.join(" "));
            } else if segment.is_code() && !raw.is_empty() {
                let quoted = raw.contains(['\'', '"', '`', '$']);
                meaning.code.push(if quoted { raw.to_string() } else { raw.to_lowercase() });
            }
        }
        meaning.comments.sort();
        meaning
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::sql::config::Config;
    use crate::lint::sql::trace::{Origin, Slice};

    #[test]
    fn rules_that_are_left_out_report_nothing() {
        let style = Style::new(Config::default(), "snowflake").expect("a style");
        let long = format!("select\n    {} as a,\n    b\nfrom t\n", ["some_column"; 9].join(" + "));
        let cases: [(&str, &[&str]); 19] = [
            ("select\n    a,\n    b\nfrom t\n", &[]),
            ("with c as (\n    select 1 as a\n)\n\nselect * from c\n", &[]),
            ("select\n    t.a,\n    t.b + 1 as c\nfrom s.long_name as t\nwhere t.a > 0\n", &[]),
            ("with c as (\n    select 1 as a)\n\nselect * from c\n", &["LT07"]),
            ("select\n    a\n    , b\nfrom t\n", &["LT04"]),
            ("select t.a\nfrom s as t\ninner join r as t on t.a = t.b\n", &["AL04"]),
            ("select a\nfrom s as t\n", &["AL05"]),
            ("select t.a\nfrom t\ninner join (select b from u as t) as s on t.a = s.b\n", &["AL05"]),
            ("select\n    t.a,\n    b\nfrom t\n", &["RF03"]),
            ("select\n    t.a,\n    \"b.c\"\nfrom t\n", &["RF03"]),
            ("select a\nfrom t\ninner join u on t.b = u.b\n", &["RF02"]),
            ("select a\nfrom t\nwhere exists (select 1 from u where u.b = c.b)\n", &["RF01"]),
            ("select a, b\nfrom t\n", &["LT09"]),
            ("select\n    a\nfrom t\n", &["LT09"]),
            ("select\n    a,\n    b from t\n", &["LT09"]),
            ("select\n    a,\n  b\nfrom t\n", &["LT02"]),
            ("select\n    a  + 1 as a,\n    b\nfrom t\n", &["LT01"]),
            ("select\n    t.a,\n    u.b\nfrom t\ninner join v on t.a = v.a where t.a = 1\n", &["RF01"]),
            (&long, &["LT05"]),
        ];
        for (text, expected) in cases {
            let rendering = Rendering {
                text: text.to_owned(),
                slices: vec![Slice { origin: Origin::Literal, source: 0..text.len(), output: 0..text.len() }],
                ..Rendering::default()
            };
            let checked = style.parse(text, &rendering, |parsed| {
                let tree = parsed.tree.as_ref().expect("a tree");
                let mut silent = layout::silent(parsed.tables, tree, &style.linter, true);
                silent.extend(names::silent(tree, style.dialect(), style.wants_consistent_references()));
                let file = (parsed.tables, parsed.file, tree);
                let found = rules::found(&style.linter, file, &BTreeSet::new()).expect("findings");
                let reported: BTreeSet<&str> =
                    found.errors.iter().filter_map(|error| Some(error.rule.as_ref()?.code)).collect();
                assert!(
                    silent.is_disjoint(&reported),
                    "{text}: {silent:?} are left out, {reported:?} report"
                );
                assert!(expected.iter().all(|code| reported.contains(code)), "{text}: {reported:?}");
                if expected.is_empty() {
                    assert_eq!(
                        silent.len(),
                        layout::CODES.len() + names::CODES.len(),
                        "{text}: only {silent:?} are left out"
                    );
                }
            });
            checked.expect("no panic");
        }
    }
}
