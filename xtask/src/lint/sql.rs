//! The SQL group of `lint`: style by sqruff and our own policies, on templates rendered by minijinja.
//!
//! A template is rendered as dbt would, its output is parsed once, and whatever is found is told by the
//! line and column of the template. A file that cannot be rendered or parsed is an offence with its
//! reason: never silence, never a crash.

mod average_of_averages;
mod builtins;
mod engine_clock;
mod hard_coded_relation;
mod jinja;
mod macros;
mod noqa;
mod order_by_without_limit;
mod padding;
mod policy;
mod semicolon_in_model;
mod star_in_final_query;
mod statement_in_model;
mod style;
mod template;
mod trace;
mod unguarded_destruction;
mod values;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::{Result, anyhow};

use self::jinja::{Nature, Renderer, Settings};
use self::macros::Library;
use self::noqa::Noqa;
use self::policy::{File, Objection};
use self::style::{Parsed, Patch, Style, Styles, Violation};
use self::template::{Fault, Piece};
use self::trace::{Origin, Rendering};
use super::rule::{Offence, Parameters, Rule, Source};
use crate::core::finding::{Group, Lines, Severity};

pub(crate) use self::style::{Described, described};

const TEMPLATE: Rule = Rule {
    name: "sql-template",
    group: Group::Sql,
    severity: Severity::High,
    summary: "A template cannot be rendered.",
    why: "dbt will fail on it too, and nothing else about the file can be judged until it renders.",
    example: "\
```sql\n\
select {{ ref('orders') from x          -- objected to: `{{` is never closed\n\
select * from {{ ref('orders') }} as x\n\
```\n\
Macros of packages that are not installed are stood in for, and are no reason.",
    remedy: "mend the template at this place",
};

const PARSE: Rule = Rule {
    name: "sql-parse",
    group: Group::Sql,
    severity: Severity::High,
    summary: "What a template renders to cannot be parsed as SQL.",
    why: "Either the warehouse will refuse it, or the dialect of `.sqlfluff` is not that of the file; \
          style and policies cannot be judged in what is not understood.",
    example: "\
```sql\n\
select order_id order_date, from orders\n\
select order_id, order_date from orders\n\
```",
    remedy: "mend the SQL, or set the dialect of the folder in a `.sqlfluff` there",
};

/// Our own rules; sqruff's are in [`described`].
pub(crate) const RULES: &[&Rule] = &[
    &TEMPLATE,
    &PARSE,
    &average_of_averages::RULE,
    &engine_clock::RULE,
    &hard_coded_relation::RULE,
    &order_by_without_limit::RULE,
    &semicolon_in_model::RULE,
    &star_in_final_query::RULE,
    &statement_in_model::RULE,
    &unguarded_destruction::RULE,
];

/// What a SQL file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Model,
    Snapshot,
    Test,
    Analysis,
    Macro,
    /// SQL that something other than dbt runs.
    Script,
}

impl Role {
    /// Whether dbt wraps the file's query into a statement of its own.
    fn is_built(self) -> bool {
        matches!(self, Self::Model | Self::Snapshot | Self::Test)
    }
}

/// What there is to know of a project before its files are looked at. Paths are relative to the
/// repository's root, with slashes.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// `name` of `dbt_project.yml`.
    pub(crate) name: String,
    /// `vars` of `dbt_project.yml`.
    pub(crate) vars: serde_json::Map<String, serde_json::Value>,
    /// The adapter whose macros are preferred, such as `snowflake`.
    pub(crate) adapter: String,
    /// The folders of the project, such as `dbt/models`; the nearest above a file counts.
    pub(crate) folders: Vec<(String, Role)>,
    /// The texts of the macro files, those of installed packages first: a later macro of a name wins.
    pub(crate) macros: Vec<String>,
    /// The texts of the `.sqlfluff` files by their folder, which is empty at the root.
    pub(crate) styles: Vec<(String, String)>,
}

/// A project, ready to check its files from any thread.
pub(crate) struct Project {
    renderer: Renderer,
    styles: Styles,
    folders: Vec<(String, Role)>,
    averages: average_of_averages::Settings,
    relations: hard_coded_relation::Settings,
}

impl Project {
    /// Cheap: linters are made by [`Self::ready`]. Fails on parameters that cannot be understood.
    pub(crate) fn load(inputs: Inputs, parameters: &Parameters) -> Result<Self> {
        let mut library = Library::default();
        for text in &inputs.macros {
            library.add(&Text::of(text).body);
        }
        let settings = Settings { name: inputs.name, vars: inputs.vars, adapter: inputs.adapter };
        Ok(Self {
            renderer: Renderer::new(settings, library),
            styles: Styles::new(inputs.styles),
            folders: inputs.folders,
            averages: parameters.of(&average_of_averages::RULE)?,
            relations: parameters.of(&hard_coded_relation::RULE)?,
        })
    }

    /// What the file at `path` is for.
    pub(crate) fn role(&self, path: &str) -> Role {
        let above = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let nearest =
            self.folders.iter().filter(|(folder, _)| above(folder)).max_by_key(|(folder, _)| folder.len());
        nearest.map_or(Role::Script, |(_, role)| *role)
    }

    /// Makes the linters that these files need. Fails on a `.sqlfluff` that cannot be understood, once
    /// rather than at each file.
    pub(crate) fn ready<'p>(&self, paths: impl IntoIterator<Item = &'p str>) -> Result<()> {
        for path in paths {
            self.styles.of(path)?;
        }
        Ok(())
    }

    fn objections(&self, file: &File<'_>) -> Vec<(&'static Rule, Objection)> {
        let found = [
            (&average_of_averages::RULE, average_of_averages::check(file, &self.averages)),
            (&engine_clock::RULE, engine_clock::check(file)),
            (&hard_coded_relation::RULE, hard_coded_relation::check(file, &self.relations)),
            (&order_by_without_limit::RULE, order_by_without_limit::check(file)),
            (&semicolon_in_model::RULE, semicolon_in_model::check(file)),
            (&star_in_final_query::RULE, star_in_final_query::check(file)),
            (&statement_in_model::RULE, statement_in_model::check(file)),
            (&unguarded_destruction::RULE, unguarded_destruction::check(file)),
        ];
        found
            .into_iter()
            .flat_map(|(rule, objections)| objections.into_iter().map(move |objection| (rule, objection)))
            .collect()
    }
}

/// A file's text without what says how it is stored, and how to put that back.
struct Text<'t> {
    body: Cow<'t, str>,
    has_bom: bool,
    ends: Ends,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Lf,
    CrLf,
    Mixed,
}

impl<'t> Text<'t> {
    fn of(text: &'t str) -> Self {
        let stripped = text.strip_prefix('\u{feff}');
        let body = stripped.unwrap_or(text);
        let all = memchr::memchr_iter(b'\n', body.as_bytes()).count();
        let crlf = if body.contains('\r') { body.matches("\r\n").count() } else { 0 };
        let ends = match crlf {
            0 => Ends::Lf,
            _ if crlf == all => Ends::CrLf,
            _ => Ends::Mixed,
        };
        let body = if crlf > 0 { Cow::Owned(body.replace("\r\n", "\n")) } else { Cow::Borrowed(body) };
        Self { body, has_bom: stripped.is_some(), ends }
    }

    /// `body` as the file stores it; none where its line ends differ among themselves.
    fn stored(&self, body: &str) -> Option<String> {
        let body = match self.ends {
            Ends::Lf => body.to_owned(),
            Ends::CrLf => body.replace('\n', "\r\n"),
            Ends::Mixed => return None,
        };
        Some(if self.has_bom { format!("\u{feff}{body}") } else { body })
    }
}

/// A larger file is data rather than code, and would take minutes to parse: bytes.
const LARGEST: usize = 512 << 10;

/// sqruff's parser recurses as deep as the SQL nests, up to its own limit.
const STACK: usize = 64 << 20;

/// Everything that is wrong with a file, in the order of its lines.
pub(crate) fn check(source: &Source, project: &Project) -> Vec<Offence> {
    stacker::grow(STACK, || {
        let text = Text::of(&source.text);
        let lines = Lines::new(text.body.as_bytes());
        let noqa = Noqa::of(&text.body);
        let mut found = BTreeSet::new();
        judge(&text.body, &source.path, project, &mut found);
        found
            .into_iter()
            .map(|Violation { start, end, rule, message }| Offence {
                rule: Cow::Borrowed(rule),
                path: source.path.clone(),
                span: lines.span(start.min(text.body.len()), end.min(text.body.len())),
                message,
                remedy: None,
            })
            .filter(|offence| !(is_policy(&offence.rule) && noqa.waives(&offence.rule, offence.span.line)))
            .collect()
    })
}

/// Whether it is a rule of ours about what the SQL says: sqruff's heed `-- noqa` by themselves, and a file that
/// cannot be read is never fine.
fn is_policy(rule: &str) -> bool {
    RULES.iter().any(|ours| ours.name == rule) && ![TEMPLATE.name, PARSE.name].contains(&rule)
}

fn judge(source: &str, path: &str, project: &Project, found: &mut BTreeSet<Violation>) {
    if source.len() > LARGEST {
        let error = anyhow!("it has {} bytes; more than {LARGEST} are not judged", source.len());
        return found.extend([unread(&error)]);
    }
    let (pieces, nature) = match project.renderer.nature(source) {
        Ok(read) => read,
        Err(fault) => return found.extend([faulty(fault)]),
    };
    let role = project.role(path);
    let scoped;
    let style = match project.styles.of(path).and_then(|style| Ok((style, style.scoped(source)?))) {
        Ok((_, Some(own))) => {
            scoped = own;
            &scoped
        }
        Ok((style, None)) => style,
        Err(error) => return found.extend([unread(&error)]),
    };
    if style.rules().contains(&padding::NAME) {
        found.extend(padding::check(source, &pieces));
    }
    if let Nature::Macros(faults) = nature {
        return found.extend(faults.into_iter().map(faulty));
    }
    let renderings = renderings(source, &pieces, path, project);
    for (index, rendering) in renderings.iter().enumerate() {
        // What a full run leaves out of a model is not unused, and what it keeps is judged with the rest.
        let is_part = renderings[index + 1..]
            .iter()
            .flatten()
            .any(|other| rendering.as_ref().is_ok_and(|rendering| rendering.is_part_of(other)));
        let rendering = match rendering {
            Ok(rendering) => rendering,
            Err(fault) => {
                found.insert(faulty(fault.clone()));
                continue;
            }
        };
        if rendering.text.trim().is_empty() {
            continue;
        }
        let looked = style.parse(source, rendering, |parsed| {
            found.extend(parsed.broken.iter().cloned());
            // In what is not understood, every indent looks wrong.
            if parsed.broken.is_empty() && !is_part {
                match parsed.violations() {
                    Ok(violations) => {
                        found.extend(violations.into_iter().filter(|found| !is_trimmed(rendering, found)));
                    }
                    Err(error) => {
                        found.insert(unread(&error));
                    }
                }
            }
            if let Some(tree) = &parsed.tree {
                let file = File::new(role, tree, rendering);
                found.extend(project.objections(&file).into_iter().map(|(rule, objection)| Violation {
                    start: objection.range.start,
                    end: objection.range.end,
                    rule: rule.name,
                    message: objection.message,
                }));
            }
        });
        if let Err(error) = looked {
            found.insert(unread(&error));
        }
    }
}

/// Whether it is about whitespace that whitespace control takes away: how that is laid out is nobody's
/// business but the template's.
fn is_trimmed(rendering: &Rendering, found: &Violation) -> bool {
    found.rule.starts_with("layout.")
        && rendering.slices.iter().any(|slice| {
            slice.origin == Origin::Trimmed
                && slice.source.start <= found.start
                && found.start < slice.source.end
        })
}

fn faulty(fault: Fault) -> Violation {
    Violation { start: fault.range.start, end: fault.range.end, rule: TEMPLATE.name, message: fault.reason }
}

fn unread(error: &anyhow::Error) -> Violation {
    Violation { start: 0, end: 0, rule: PARSE.name, message: format!("{error:#}") }
}

/// What the template renders to: once, and again as an incremental run if that may differ.
fn renderings(
    source: &str,
    pieces: &[Piece],
    path: &str,
    project: &Project,
) -> Vec<Result<Rendering, Fault>> {
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".sql");
    let first = project.renderer.render(source, pieces, name, false);
    let mut all = vec![first];
    if project.renderer.asks_whether_incremental(source, pieces) {
        let second = project.renderer.render(source, pieces, name, true);
        if second != all[0] {
            all.push(second);
        }
    }
    all
}

/// Panics if a rendering of `source` holds output without an origin, or text that the source does not: the
/// promise that every place of a finding rests on.
pub(crate) fn assert_traced(source: &str, project: &Project) {
    let text = Text::of(source);
    let Ok((pieces, Nature::Sql)) = project.renderer.nature(&text.body) else { return };
    for rendering in renderings(&text.body, &pieces, "models/fuzzed.sql", project).into_iter().flatten() {
        let mut at = 0;
        for slice in &rendering.slices {
            assert_eq!(slice.output.start, at, "a gap in {rendering:#?}");
            at = slice.output.end;
            let (from, output) = (&text.body[slice.source.clone()], &rendering.text[slice.output.clone()]);
            assert!(slice.origin != Origin::Literal || from == output, "{from:?} is not {output:?}");
        }
        assert_eq!(at, rendering.text.len(), "the end of {rendering:#?} has no origin");
    }
}

/// How often a fix is fixed again before it is given up as one that never settles.
const PASSES: usize = 8;

/// The file's text with all that can be mended without a doubt, or nothing if nothing can. Only text
/// outside of tags is changed, only by rules of layout and capitalisation, and only if every rendering
/// says the same afterwards.
pub(crate) fn fix(source: &Source, project: &Project) -> Option<String> {
    stacker::grow(STACK, || {
        let text = Text::of(&source.text);
        if text.body.len() > LARGEST {
            return None;
        }
        let fixed = settled(&text.body, &source.path, project);
        (fixed != text.body).then(|| text.stored(&fixed)).flatten()
    })
}

/// The body after as many passes as it takes until one changes nothing.
fn settled(body: &str, path: &str, project: &Project) -> String {
    let Ok(shared) = project.styles.of(path) else { return ended(body) };
    let Ok(scoped) = shared.scoped(body) else { return ended(body) };
    let style = scoped.as_ref().unwrap_or(shared);
    let body = &padded(body, project, style).unwrap_or_else(|| body.to_owned());
    let mut fixed = ended(body);
    for _ in 0..PASSES {
        match pass(&fixed, path, project, style) {
            Some(next) if next != fixed => fixed = next,
            _ => return fixed,
        }
    }
    // It never settles; the final newline is still safe.
    ended(body)
}

/// With a space on either side of the code in tags, where the style of that file asks for it; in macros too.
fn padded(body: &str, project: &Project, style: &Style) -> Option<String> {
    let (pieces, _) = project.renderer.nature(body).ok()?;
    style.rules().contains(&padding::NAME).then(|| padding::mended(body, &pieces))
}

/// With a newline at its end, and one only.
fn ended(body: &str) -> String {
    let trimmed = body.trim_end_matches(['\n', ' ', '\t']);
    if trimmed.is_empty() { body.to_owned() } else { format!("{trimmed}\n") }
}

fn pass(body: &str, path: &str, project: &Project, style: &Style) -> Option<String> {
    let Ok((pieces, Nature::Sql)) = project.renderer.nature(body) else { return None };
    let mut patches: Vec<Patch> = Vec::new();
    let mut literals: Vec<Range<usize>> = Vec::new();
    for rendering in renderings(body, &pieces, path, project) {
        let rendering = rendering.ok()?;
        let found = style.parse(body, &rendering, |parsed| {
            if parsed.broken.is_empty() { parsed.patches().unwrap_or_default() } else { Vec::new() }
        });
        patches.extend(found.ok()?);
        let texts = rendering.slices.iter().filter(|slice| slice.origin == Origin::Literal);
        literals.extend(texts.map(|slice| slice.source.clone()));
    }
    let fixed = ended(&applied(body, patches, &literals));
    (says_the_same(body, &fixed, path, project, style)).then_some(fixed)
}

/// `body` with the patches that lie wholly in text and that do not contradict one another.
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

/// Whether both texts render to the same code and comments, whatever their layout, and the second has no
/// more for sqruff to object to than the first.
fn says_the_same(before: &str, after: &str, path: &str, project: &Project, style: &Style) -> bool {
    let read = |body: &str| {
        let Ok((pieces, Nature::Sql)) = project.renderer.nature(body) else { return None };
        let mut all = Vec::new();
        for rendering in renderings(body, &pieces, path, project) {
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
