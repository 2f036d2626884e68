//! A `generate_schema_name` that builds outside the environment.

use std::collections::HashSet;
use std::ops::Range;

use crate::core::finding::{Group, Lines, Severity};
use crate::dbt::graph::jinja::{Piece, Token, keyword, pieces, tokens};
use crate::dbt::graph::{Macro, Project};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "ignored-target-schema",
    group: Group::Dbt,
    severity: Severity::High,
    summary: "generate_schema_name leaves out the target's schema.",
    why: "Then every environment builds into the same schema: the run of a pull request overwrites production's \
          tables, and dropping the environment leaves its tables behind. A branch on `target.name` for production \
          is fine.",
    example: "```sql\n{% macro generate_schema_name(custom_schema_name, node) %}\n    {{ custom_schema_name | trim }}\n\
              {% endmacro %}\n```\n\n```sql\n{% macro generate_schema_name(custom_schema_name, node) %}\n    \
              {{ target.schema }}\n{% endmacro %}\n```",
    remedy: "return `target.schema`, alone or as the beginning of the name",
};

/// Expressions that return the target's schema, directly or through dbt's own macros.
const GOOD: [&str; 4] =
    ["target.schema", "target['schema']", "default__generate_schema_name", "generate_schema_name_for_env"];

/// Expressions by which a branch selects an environment.
const ASKS: [&str; 4] = ["target.name", "target.profile", "env_var", "target['name']"];

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let of_name = |each: &&Macro<'_>| {
        each.keyword == "macro"
            && (each.name == "generate_schema_name" || each.name.ends_with("__generate_schema_name"))
    };
    let good = good(project);
    project.macros.iter().filter(of_name).flat_map(|each| offences(each, &good)).collect()
}

/// Expressions that return the target's schema, and macros of the project that do so or may, since they call macros that
/// are not here.
fn good<'p>(project: &'p Project<'_>) -> HashSet<&'p str> {
    let is_of_package = |name: &str| {
        name.split_once('.').is_some_and(|(first, _)| {
            project.installed.has_package(first)
                || project.packages.iter().any(|package| package.name.replace('-', "_") == first)
        })
    };
    let mut good = HashSet::from(GOOD);
    loop {
        let calls_good = |each: &&Macro<'_>| {
            let mut called = each.called.iter().map(|(name, ..)| name.as_str());
            called.any(|name| good.contains(name) || is_of_package(name))
        };
        let is_good = |each: &&Macro<'_>| {
            let body = &each.text[each.body.clone()];
            body.contains("dispatch") || GOOD.iter().any(|good| body.contains(good)) || calls_good(each)
        };
        let found: Vec<&str> = project
            .macros
            .iter()
            .filter(|each| !good.contains(each.name) && is_good(each))
            .map(|each| each.name)
            .collect();
        if found.is_empty() {
            return good;
        }
        good.extend(found);
    }
}

fn offences(each: &Macro<'_>, good: &HashSet<&str>) -> Vec<Offence> {
    let body = &each.text[each.body.clone()];
    if !good.contains(each.name) {
        let message = format!("`{}` never uses target.schema", each.name);
        return vec![RULE.offence(each.path, each.span, message)];
    }
    let Some(custom) = each.parameters.first() else { return Vec::new() };
    Branches::new(each, body, custom, good).offences()
}

/// A walk through the macro's branches: each must use the target's schema, or test the environment.
struct Branches<'m, 'a> {
    each: &'m Macro<'a>,
    body: &'m str,
    custom: &'m str,
    good: &'m HashSet<&'m str>,
    /// Variables that hold the schema, `{%- set default_schema = target.schema -%}`, or differ between environments:
    /// `{%- set prefix = '' if target.name == 'prod' else target.name -%}`.
    holders: HashSet<&'m str>,
    /// Whether each enclosing `if` tests the environment, and how many do.
    asks: Vec<bool>,
    asking: usize,
    /// Outputs of the branch that contain the custom name; and whether the branch outputs the schema too.
    outputs: Vec<Range<usize>>,
    has_schema: bool,
    offences: Vec<Offence>,
}

impl<'m, 'a> Branches<'m, 'a> {
    fn new(each: &'m Macro<'a>, body: &'m str, custom: &'m str, good: &'m HashSet<&'m str>) -> Self {
        let (asks, asking, outputs, offences) = (Vec::new(), 0, Vec::new(), Vec::new());
        let holders = HashSet::new();
        Self { each, body, custom, good, holders, asks, asking, outputs, has_schema: false, offences }
    }

    fn offences(mut self) -> Vec<Offence> {
        for piece in pieces(self.body) {
            match piece {
                Piece::Output(range) => self.output(range),
                Piece::Statement(range) => self.statement(range),
                Piece::Text(_) | Piece::Comment(_) => {}
            }
        }
        self.end_branch();
        self.offences
    }

    fn output(&mut self, range: Range<usize>) {
        let body = self.body;
        let mut is_custom = false;
        for (token, _) in tokens(body, range.clone(), false) {
            if let Token::Name(name) = token {
                is_custom |= name == self.custom;
                self.has_schema |= self.holders.contains(name);
            }
        }
        self.has_schema |= self.returns_schema(&body[range.clone()]);
        if is_custom {
            self.outputs.push(range);
        }
    }

    fn returns_schema(&self, code: &str) -> bool {
        let own = self.each.name;
        self.good.iter().any(|good| *good != own && code.contains(good))
    }

    fn statement(&mut self, range: Range<usize>) {
        let body = self.body;
        let statement = &body[range.clone()];
        match keyword(statement) {
            "set" => {
                let words = tokens(body, range, false);
                // A `-` may precede the keyword.
                let mut names = words.iter().filter_map(|(token, _)| match token {
                    Token::Name(name) => Some(*name),
                    _ => None,
                });
                if let Some(name) = names.find(|name| *name != "set")
                    && (self.returns_schema(statement) || ASKS.iter().any(|text| statement.contains(text)))
                {
                    self.holders.insert(name);
                }
                return;
            }
            "do" => return,
            _ => {}
        }
        self.end_branch();
        let asks = ASKS.iter().any(|text| statement.contains(text));
        match keyword(statement) {
            "if" => self.asks.push(asks),
            "elif" => {
                if let Some(last) = self.asks.last_mut().filter(|last| !**last && asks) {
                    *last = true;
                } else {
                    return;
                }
            }
            "endif" => {
                self.asking -= usize::from(self.asks.pop() == Some(true));
                return;
            }
            _ => return,
        }
        self.asking += usize::from(asks);
    }

    fn end_branch(&mut self) {
        if !self.has_schema && self.asking == 0 {
            let lines = Lines::new(self.each.text.as_bytes());
            let start = self.each.body.start;
            for range in &self.outputs {
                let message =
                    format!("in this branch the schema is `{}` alone, in every environment", self.custom);
                let span = lines.span(start + range.start, start + range.end);
                self.offences.push(RULE.offence(self.each.path, span, message));
            }
        }
        self.outputs.clear();
        self.has_schema = false;
    }
}
