//! The SQL group of `lint`: style by sqruff and our own policies, on templates rendered by minijinja.
//!
//! A template is rendered as dbt would, its output is parsed once, and findings are reported with the
//! line and column of the template. A file that cannot be rendered or parsed is an offence with its
//! reason: it is never skipped silently and never causes a crash.

mod average_of_averages;
mod builtins;
mod config;
mod corrections;
mod described;
mod doubt;
mod engine_clock;
mod fix;
mod hard_coded_relation;
mod jinja;
mod layout;
mod macros;
mod names;
mod noqa;
mod order_by_without_limit;
mod padding;
mod placeholders;
mod policy;
mod project;
mod qualifiers;
mod rules;
mod second_opinion;
mod semicolon_in_model;
mod star_in_final_query;
mod statement_in_model;
mod style;
mod styles;
mod template;
mod trace;
mod unguarded_destruction;
mod values;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};

use self::doubt::{Doubt, doubt};
use self::jinja::{Guess, Nature, Renderer};
use self::noqa::Noqa;
use self::policy::File;
use self::style::{Style, Violation};
use self::template::{Fault, Kind, Piece};
use self::trace::{Origin, Rendering};
use super::rule::{Checked, Offence, Rule, Source};
use crate::core::finding::{Group, Lines, Severity};

pub(crate) use self::config::is_config;
pub(crate) use self::described::{Described, described};
pub(crate) use self::fix::fix;
pub(crate) use self::project::{Inputs, Project, Role};

const TEMPLATE: Rule = Rule {
    name: "sql-template",
    group: Group::Sql,
    severity: Severity::High,
    summary: "A template cannot be rendered.",
    why: "dbt will fail on it too, and the file cannot be checked further until it renders.",
    example: "\
```sql\n\
select {{ ref('orders') from x          -- reported: `{{` is never closed\n\
select * from {{ ref('orders') }} as x\n\
```\n\
Macros of packages that are not installed are replaced by placeholders, and are not reported.",
    remedy: "correct the template at this place",
};

const PARSE: Rule = Rule {
    name: "sql-parse",
    group: Group::Sql,
    severity: Severity::High,
    summary: "A rendered template cannot be parsed as SQL.",
    why: "Either the warehouse will reject it, or the dialect of `.sqlfluff` is not that of the file; \
          style and policies cannot be checked in SQL that cannot be parsed.",
    example: "\
```sql\n\
select order_id order_date, from orders\n\
select order_id, order_date from orders\n\
```",
    remedy: "correct the SQL, or set the dialect of the folder in a `.sqlfluff` there",
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

/// A file's text without byte-order mark and line-end style, and how to restore them.
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

    /// `body` as the file stores it; `None` if its line ends are mixed.
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

/// sqruff's parser recurses as deep as the SQL is nested, up to its own limit.
const STACK: usize = 64 << 20;

/// All offences in a file. Fails on invalid settings.
pub(crate) fn check(source: &Source, project: &Project) -> Result<Checked> {
    if project.styles.ignores(&source.path) {
        return Ok(Checked::default());
    }
    let style = project.styles.of(&source.path)?;
    if !style.config().is_rendered() {
        let reason =
            format!("the templater `{}` of its settings is not supported", style.config().templater());
        return Ok(Checked { unknown: Some(reason), ..Checked::default() });
    }
    Ok(checked(source, project, style.config()))
}

fn checked(source: &Source, project: &Project, config: &config::Config) -> Checked {
    stacker::grow(STACK, || {
        let text = Text::of(&source.text);
        let lines = Lines::new(text.body.as_bytes());
        let noqa = if config.respects_noqa() { Noqa::of(&text.body) } else { Noqa::default() };
        let is_left_out = |rule: &str| match rule {
            "sql-parse" => config.ignores("parsing") || config.ignores("lexing"),
            "sql-template" => config.ignores("templating"),
            rule => config.ignores("linting") && !is_policy(rule),
        };
        let mut found = Seen::default();
        evaluate(&text.body, &source.path, project, &mut found);
        let offences = found
            .violations
            .into_iter()
            .map(|Violation { start, end, rule, message }| Offence {
                rule: Cow::Borrowed(rule),
                path: source.path.clone(),
                span: lines.span(start.min(text.body.len()), end.min(text.body.len())),
                message,
                remedy: None,
            })
            .filter(|offence| !is_left_out(&offence.rule) && !noqa.waives(&offence.rule, offence.span.line));
        let (warnings, offences): (Vec<Offence>, Vec<Offence>) =
            offences.partition(|offence| config.warns_only(&offence.rule));
        let warnings = warnings.iter().map(|offence| {
            format!("{}:{}: [{}] {}", offence.path, offence.span.line, offence.rule, offence.message)
        });
        Checked { warnings: warnings.collect(), offences, unknown: found.unknown }
    })
}

/// The state of checking one file.
#[derive(Default)]
struct Seen {
    violations: BTreeSet<Violation>,
    unknown: Option<String>,
}

impl Seen {
    fn add(&mut self, violations: impl IntoIterator<Item = Violation>) {
        self.violations.extend(violations);
    }

    /// Adds a fault, unless dbt may be able to render the file.
    fn add_fault(&mut self, fault: Fault) {
        if fault.is_uncertain {
            self.unknown.get_or_insert(fault.reason);
        } else {
            self.add([faulty(fault)]);
        }
    }
}

/// Whether it is one of our policies: `ignore = linting` applies to sqruff's rules only, and unreadable files have
/// separate values of `ignore`.
fn is_policy(rule: &str) -> bool {
    RULES.iter().any(|ours| ours.name == rule) && ![TEMPLATE.name, PARSE.name].contains(&rule)
}

fn evaluate(source: &str, path: &str, project: &Project, found: &mut Seen) {
    if source.len() > LARGEST {
        let error = anyhow!("it has {} bytes; more than {LARGEST} are not checked", source.len());
        return found.add([unread(&error)]);
    }
    let renderer = project.renderer(path);
    let templater = project.styles.of(path).map_or("", |style| style.config().templater());
    let is_raw = ["raw", "placeholder"].contains(&templater);
    let whole =
        || (vec![Piece { kind: Kind::Text, range: 0..source.len(), code: 0..source.len() }], Nature::Sql);
    let (pieces, nature) = match renderer.nature(source) {
        _ if is_raw => whole(),
        Ok(read) => read,
        Err(fault) => return found.add_fault(fault),
    };
    let role = project.role(path);
    let scoped;
    let style = match project.styles.of(path).and_then(|style| Ok((style, style.scoped(source)?))) {
        Ok((_, Some(own))) => {
            scoped = own;
            &scoped
        }
        Ok((style, None)) => style,
        Err(error) => return found.add([unread(&error)]),
    };
    if style.rules().contains(&padding::NAME) {
        found.add(padding::check(source, &pieces));
    }
    if let Nature::Macros(faults) = nature {
        return faults.into_iter().for_each(|fault| found.add_fault(fault));
    }
    let renderings = if templater == "placeholder" {
        match placeholders::render(source, style.config().placeholders().unwrap_or(&BTreeMap::new())) {
            Ok(rendering) => vec![Ok(rendering)],
            Err(reason) => {
                found.unknown.get_or_insert(reason);
                return;
            }
        }
    } else {
        renderings(source, &pieces, path, renderer, Guess::Names)
    };
    for (index, rendering) in renderings.iter().enumerate() {
        // Parts that a full run leaves out are not unused, and parts that it keeps are checked in the other rendering.
        let is_part = renderings[index + 1..]
            .iter()
            .flatten()
            .any(|other| rendering.as_ref().is_ok_and(|rendering| rendering.is_part_of(other)));
        let rendering = match rendering {
            Ok(rendering) => rendering,
            Err(fault) => {
                found.add_fault(fault.clone());
                continue;
            }
        };
        let file = Rendered { source, path, role, style, rendering, is_part, is_guess: false };
        if look(&file, project, found) {
            continue;
        }
        // A placeholder may have the wrong form: other forms are tried before the file is counted as unknown.
        let others = [Guess::Clauses, Guess::Nothing];
        let is_read = others.into_iter().any(|guess| {
            let others = self::renderings(source, &pieces, path, renderer, guess);
            others.get(index).and_then(|other| other.as_ref().ok()).is_some_and(|rendering| {
                look(&Rendered { rendering, is_guess: true, ..file }, project, found)
            })
        });
        if !is_read {
            found.unknown.get_or_insert_with(|| {
                let reason =
                    "it depends on packages that are not installed, or on values that only a run knows";
                format!("{reason}; `dbt deps` installs packages")
            });
        }
    }
    if !is_raw {
        let base = Rendered {
            source,
            path,
            role,
            style,
            rendering: &Rendering::default(),
            is_part: false,
            is_guess: true,
        };
        look_at_unreached(&base, &pieces, renderer, &renderings, found);
    }
}

/// Rules that need the whole of a query: a rendering that forces branches says nothing about them.
const OF_WHOLE_QUERIES: [&str; 7] = [
    "aliasing.unused",
    "structure.unused_cte",
    "structure.unused_join",
    "references.from",
    "references.consistent",
    "ambiguous.column_count",
    "layout.end_of_file",
];

/// Checks the style of text in branches and loops that no rendering reached, in a rendering that is made to reach them.
/// Whether such a rendering can be parsed proves nothing.
fn look_at_unreached(
    file: &Rendered<'_>,
    pieces: &[Piece],
    renderer: &Renderer,
    renderings: &[Result<Rendering, Fault>],
    found: &mut Seen,
) {
    let seen: Vec<&Rendering> = renderings.iter().flatten().collect();
    if seen.is_empty() {
        return;
    }
    let Some(forced) = renderer.forced(file.source, pieces, name_of(file.path), &seen) else { return };
    let shown = |rendering: &Rendering, at: usize| {
        let mut texts = rendering.slices.iter().filter(|slice| slice.origin == Origin::Literal);
        texts.any(|slice| slice.source.contains(&at) && !slice.output.is_empty())
    };
    let looked = file.style.parse(file.source, &forced, |parsed| {
        if parsed.broken.is_empty() { parsed.violations().unwrap_or_default() } else { Vec::new() }
    });
    found.add(looked.unwrap_or_default().into_iter().filter(|each| {
        !each.rule.is_empty()
            && !OF_WHOLE_QUERIES.contains(&each.rule)
            && shown(&forced, each.start)
            && !seen.iter().any(|rendering| shown(rendering, each.start))
    }));
}

/// The name of the model in that file.
fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path).trim_end_matches(".sql")
}

/// One rendering of a file.
#[derive(Clone, Copy)]
struct Rendered<'r> {
    source: &'r str,
    path: &'r str,
    role: Role,
    style: &'r Style,
    rendering: &'r Rendering,
    /// Whether another rendering has all of it.
    is_part: bool,
    /// Whether a part of it was left out so that the rest can be parsed.
    is_guess: bool,
}

/// Checks one rendering; false if it cannot be parsed and placeholders may be the cause.
fn look(file: &Rendered<'_>, project: &Project, found: &mut Seen) -> bool {
    let rendering = file.rendering;
    if rendering.text.trim().is_empty() {
        return true;
    }
    let looked = file.style.parse(file.source, rendering, |parsed| {
        if !parsed.broken.is_empty() && rendering.is_uncertain {
            return false;
        }
        if let Some(first) = parsed.broken.iter().map(|each| each.start).min() {
            match doubt(file, project, first) {
                Doubt::None => found.add(parsed.broken.iter().cloned()),
                Doubt::Nothing => return true,
                Doubt::Unclear(reason) => {
                    found.unknown.get_or_insert(reason);
                    return true;
                }
                Doubt::Partly(reason) => drop(found.unknown.get_or_insert(reason)),
            }
        }
        // In SQL that cannot be parsed, every indent looks wrong.
        if parsed.broken.is_empty() && !file.is_part {
            match parsed.violations() {
                Ok(violations) => {
                    let (failed, violations): (Vec<Violation>, Vec<Violation>) =
                        violations.into_iter().partition(|each| each.rule == style::FAILED);
                    if !failed.is_empty() {
                        found.unknown.get_or_insert_with(|| "a style rule failed on it".to_owned());
                    }
                    found.add(violations.into_iter().filter(|found| {
                        !is_trimmed(rendering, found)
                            && (!file.is_guess || found.rule.starts_with("capitalisation."))
                    }));
                }
                Err(error) => drop(found.unknown.get_or_insert(format!("{error:#}"))),
            }
        }
        if let Some(tree) = parsed.tree.as_ref().filter(|_| !file.is_guess) {
            let file = File::new(file.role, tree, rendering);
            found.add(project.objections(&file).into_iter().map(|(rule, objection)| Violation {
                start: objection.range.start,
                end: objection.range.end,
                rule: rule.name,
                message: objection.message,
            }));
        }
        true
    });
    looked.unwrap_or_else(|error| {
        // A failure of the checker says nothing about the SQL.
        found.unknown.get_or_insert(format!("{error:#}"));
        true
    })
}

/// Whether it is about whitespace that whitespace control removes: it does not reach the rendered SQL, so its
/// layout is not checked.
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

/// The renderings of the template: once, and again as an incremental run if that may differ.
fn renderings(
    source: &str,
    pieces: &[Piece],
    path: &str,
    renderer: &Renderer,
    guess: Guess,
) -> Vec<Result<Rendering, Fault>> {
    let name = name_of(path);
    let first = renderer.render(source, pieces, name, false, guess);
    let mut all = vec![first];
    if renderer.asks_whether_incremental(source, pieces) {
        let second = renderer.render(source, pieces, name, true, guess);
        if second != all[0] || guess != Guess::Names {
            all.push(second);
        }
    }
    all
}

/// Panics if a rendering of `source` has output without an origin, or text that the source does not contain: the
/// invariant that the positions of findings depend on.
pub(crate) fn assert_traced(source: &str, project: &Project) {
    let text = Text::of(source);
    let renderer = &project.renderer;
    let Ok((pieces, Nature::Sql)) = renderer.nature(&text.body) else { return };
    let path = "models/fuzzed.sql";
    for rendering in renderings(&text.body, &pieces, path, renderer, Guess::Names).into_iter().flatten() {
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
