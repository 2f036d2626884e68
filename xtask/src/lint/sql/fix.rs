//! `lint --fix` for SQL: applies the safe fixes until nothing changes, and keeps them only if the meaning is the same.

use std::collections::BTreeSet;
use std::ops::Range;

use super::jinja::{Guess, Nature};
use super::project::Project;
use super::style::{Parsed, Patch, Style};
use super::trace::Origin;
use super::{LARGEST, STACK, Text, padding, renderings};
use crate::lint::rule::Source;

/// How often the result of a fix is fixed again before it counts as one that does not converge.
const PASSES: usize = 8;

/// The file's text with all safe fixes, or `None` without any. Only text outside of tags is changed,
/// only by rules of layout and capitalisation, and only if the meaning of every rendering stays the same.
/// Rules for which `is_off` is true are not fixed.
pub(crate) fn fix(source: &Source, project: &Project, is_off: &dyn Fn(&str) -> bool) -> Option<String> {
    let style = project.styles.of(&source.path).ok()?;
    let is_jinja = ["jinja", "dbt", "raw"].contains(&style.config().templater());
    if project.styles.ignores(&source.path) || !is_jinja {
        return None;
    }
    stacker::grow(STACK, || {
        let text = Text::of(&source.text);
        if text.body.len() > LARGEST {
            return None;
        }
        let fixed = settled(&text.body, &source.path, project, is_off);
        (fixed != text.body).then(|| text.stored(&fixed)).flatten()
    })
}

/// The body after as many passes as it takes until one changes nothing.
fn settled(body: &str, path: &str, project: &Project, is_off: &dyn Fn(&str) -> bool) -> String {
    let as_it_is = || body.to_owned();
    let Ok(shared) = project.styles.of(path) else { return as_it_is() };
    let Ok(scoped) = shared.scoped(body) else { return as_it_is() };
    let style = scoped.as_ref().unwrap_or(shared);
    let rules = style.rules();
    let is_on = |rule: &str| rules.contains(&rule) && !is_off(rule);
    let left_out: BTreeSet<&str> = rules.iter().copied().filter(|rule| is_off(rule)).collect();
    let ends = is_on("layout.end_of_file");
    let ended = |body: &str| if ends { ended(body) } else { body.to_owned() };
    let body =
        &if is_on(padding::NAME) { padded(body, path, project).unwrap_or_else(as_it_is) } else { as_it_is() };
    let mut fixed = ended(body);
    for _ in 0..PASSES {
        match pass(&fixed, path, project, style, &left_out) {
            Some(next) if ended(&next) != fixed => fixed = ended(&next),
            _ => return fixed,
        }
    }
    // It does not converge; the final newline is still safe.
    ended(body)
}

/// With a space on either side of the code in tags; in macros too.
fn padded(body: &str, path: &str, project: &Project) -> Option<String> {
    let (pieces, _) = project.renderer(path).nature(body).ok()?;
    Some(padding::fixed(body, &pieces))
}

/// With a newline at its end, and one only.
fn ended(body: &str) -> String {
    let trimmed = body.trim_end_matches(['\n', ' ', '\t']);
    if trimmed.is_empty() { body.to_owned() } else { format!("{trimmed}\n") }
}

fn pass(
    body: &str,
    path: &str,
    project: &Project,
    style: &Style,
    left_out: &BTreeSet<&str>,
) -> Option<String> {
    let renderer = project.renderer(path);
    let Ok((pieces, Nature::Sql)) = renderer.nature(body) else { return None };
    let mut patches: Vec<Patch> = Vec::new();
    let mut literals: Vec<Range<usize>> = Vec::new();
    for rendering in renderings(body, &pieces, path, renderer, Guess::Names) {
        let rendering = rendering.ok()?;
        let found = style.parse(body, &rendering, |parsed| {
            if parsed.broken.is_empty() { parsed.patches(left_out).unwrap_or_default() } else { Vec::new() }
        });
        patches.extend(found.ok()?);
        let texts = rendering.slices.iter().filter(|slice| slice.origin == Origin::Literal);
        literals.extend(texts.map(|slice| slice.source.clone()));
    }
    let fixed = applied(body, patches, &literals);
    (says_the_same(body, &fixed, path, project, style)).then_some(fixed)
}

/// `body` with the patches that are entirely in text and do not overlap.
fn applied(body: &str, mut patches: Vec<Patch>, literals: &[Range<usize>]) -> String {
    patches.retain(|patch| {
        literals.iter().any(|text| text.start <= patch.range.start && patch.range.end <= text.end)
            && body.get(patch.range.clone()).is_some_and(|old| old != patch.text)
    });
    let key = |patch: &Patch| (patch.range.start, patch.range.end);
    patches.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.text.cmp(&b.text)));
    patches.dedup();
    let conflicts = |a: &Patch, b: &Patch| {
        a.range == b.range || (a.range.start < b.range.end && b.range.start < a.range.end)
    };
    let mut fixed = String::with_capacity(body.len());
    let mut at = 0;
    for (index, patch) in patches.iter().enumerate() {
        let contradicted = patches
            .iter()
            .enumerate()
            .skip(index.saturating_sub(8))
            .take(17)
            .any(|(other, against)| other != index && conflicts(patch, against));
        if contradicted || patch.range.start < at {
            continue;
        }
        fixed.push_str(&body[at..patch.range.start]);
        fixed.push_str(&patch.text);
        at = patch.range.end;
    }
    fixed.push_str(&body[at..]);
    fixed
}

/// Whether both texts render to the same code and comments, whatever their layout, and sqruff reports no
/// more violations in the second than in the first.
fn says_the_same(before: &str, after: &str, path: &str, project: &Project, style: &Style) -> bool {
    let read = |body: &str| {
        let renderer = project.renderer(path);
        let Ok((pieces, Nature::Sql)) = renderer.nature(body) else { return None };
        let mut all = Vec::new();
        for rendering in renderings(body, &pieces, path, renderer, Guess::Names) {
            let look = |parsed: &Parsed<'_>| {
                (parsed.meaning(), parsed.violations().map_or(usize::MAX, |found| found.len()))
            };
            all.push(style.parse(body, &rendering.ok()?, look).ok()?);
        }
        Some(all)
    };
    match (read(before), read(after)) {
        (Some(before), Some(after)) => {
            before.len() == after.len()
                && before.iter().zip(&after).all(|(before, after)| before.0 == after.0 && after.1 <= before.1)
        }
        _ => false,
    }
}
