//! A `generate_schema_name` that builds outside the environment.

use anyhow::Result;

use crate::dbt::graph::jinja::{Piece, Token, keyword, pieces, tokens};
use crate::dbt::graph::{Macro, Project};
use crate::finding::{Group, Lines, Severity};
use crate::lint::rule::{Offence, Parameters, Rule};

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

/// What gives the target's schema, itself or through dbt's own versions.
const GOOD: [&str; 4] =
    ["target.schema", "target['schema']", "default__generate_schema_name", "generate_schema_name_for_env"];

pub(super) fn check(project: &Project<'_>, _: &Parameters) -> Result<Vec<Offence>> {
    let of_name = |each: &&Macro<'_>| {
        each.keyword == "macro"
            && (each.name == "generate_schema_name" || each.name.ends_with("__generate_schema_name"))
    };
    Ok(project.macros.iter().filter(of_name).flat_map(judge).collect())
}

fn judge(each: &Macro<'_>) -> Vec<Offence> {
    let body = &each.text[each.body.clone()];
    if !GOOD.iter().any(|good| body.contains(good)) && !body.contains("dispatch") {
        let message = format!("`{}` never asks for target.schema", each.name);
        return vec![RULE.offence(each.path, each.span, message)];
    }
    let Some(custom) = each.parameters.first() else { return Vec::new() };
    let lines = Lines::new(each.text.as_bytes());
    let mut offences = Vec::new();
    // Whether each `if` around asks for the target or the environment; and the outputs since the last tag.
    let mut asks: Vec<bool> = Vec::new();
    let mut branch: Vec<(std::ops::Range<usize>, bool)> = Vec::new();
    let mut has_schema = false;
    let found: Vec<Piece> = pieces(body);
    for piece in found.iter().map(Some).chain([None]) {
        match piece {
            Some(Piece::Output(range)) => {
                let words = tokens(body, range.clone(), false);
                let is_custom = words.iter().any(|(token, _)| *token == Token::Name(custom));
                branch.push((range.clone(), is_custom));
                // A variable may hold the schema: `{%- set default_schema = target.schema -%}`.
                has_schema |= GOOD.iter().any(|good| body[range.clone()].contains(good))
                    || words.iter().any(|(token, _)| matches!(token, Token::Name(name) if *name != *custom && is_schema(body, name)));
                continue;
            }
            Some(Piece::Text(_) | Piece::Comment(_)) => continue,
            Some(Piece::Statement(_)) | None => {}
        }
        let statement = match piece {
            Some(Piece::Statement(range)) => &body[range.clone()],
            _ => "",
        };
        if matches!(keyword(statement), "set" | "do") {
            continue;
        }
        if !has_schema && !asks.contains(&true) {
            offences.extend(branch.iter().filter(|(_, is_custom)| *is_custom).map(|(range, _)| {
                let (start, end) = (each.body.start + range.start, each.body.start + range.end);
                let message = format!("in this branch the schema is `{custom}` alone, in every environment");
                RULE.offence(each.path, lines.span(start, end), message)
            }));
        }
        branch.clear();
        has_schema = false;
        let environment = ["target.name", "target.profile", "env_var", "target['name']"];
        let asking = environment.iter().any(|text| statement.contains(text));
        match keyword(statement) {
            "if" => asks.push(asking),
            "elif" => {
                if let Some(last) = asks.last_mut() {
                    *last |= asking;
                }
            }
            "endif" => drop(asks.pop()),
            _ => {}
        }
    }
    offences
}

/// Whether the macro sets the variable `name` from the target's schema.
fn is_schema(body: &str, name: &str) -> bool {
    body.match_indices("set ").any(|(at, _)| {
        let rest = body[at + 4..].trim_start();
        let statement = rest.split("%}").next().unwrap_or_default();
        statement.strip_prefix(name).is_some_and(|value| {
            value.trim_start().starts_with('=') && GOOD.iter().any(|good| value.contains(good))
        })
    })
}
