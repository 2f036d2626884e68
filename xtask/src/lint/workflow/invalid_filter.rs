//! A filter of an event that GitHub rejects, or that can never match.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "invalid-filter",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "A filter of branches, tags or paths is invalid, contradicts another, or can never match.",
    why: "GitHub rejects a workflow with an invalid pattern, or with `branches` beside `branches-ignore`. A pattern that \
          no branch or path can match (`^main$`, `./src/**`) is accepted, and the workflow never starts.",
    example: "```yaml\non:\n  push:\n    branches: ['^release/.*$']\n    paths: ['./dbt/**']\n```\n\n```yaml\non:\n  push:\n    \
              branches: ['release/**']\n    paths: ['dbt/**']\n```",
    remedy: "write a glob pattern; exclude with `!pattern` in the same list",
};

const FILTERS: [(&str, &str); 3] =
    [("branches", "branches-ignore"), ("tags", "tags-ignore"), ("paths", "paths-ignore")];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (_, event) in view.root.get("on").map(Node::entries).unwrap_or_default() {
        for (only, not) in FILTERS {
            let fault = if only == "paths" { of_path } else { of_ref };
            let found: Vec<&(Node, Node)> = event
                .entries()
                .iter()
                .filter(|(key, _)| key.text().is_some_and(|text| text == only || text == not))
                .collect();
            if let [_, (key, _), ..] = found.as_slice() {
                let message =
                    format!("`{only}` and `{not}` exclude each other: exclude with `!pattern` in `{only}`");
                offences.push(view.offence(&RULE, key.span, message));
            }
            for pattern in found.iter().flat_map(|(_, value)| value.one_or_many()) {
                let text = pattern.text().filter(|text| !text.is_empty());
                if let Some(fault) = text.and_then(fault) {
                    let message = format!("`{}`: {fault}", text.unwrap_or_default());
                    offences.push(view.offence(&RULE, pattern.span, message));
                }
            }
        }
    }
    offences
}

/// What is wrong with a pattern of branches or tags.
fn of_ref(pattern: &str) -> Option<String> {
    let inside = pattern.strip_prefix('!').unwrap_or(pattern);
    if inside.starts_with('/') || inside.ends_with(['/', '.']) {
        return Some("a branch or tag neither starts with `/` nor ends with `/` or `.`".to_owned());
    }
    let mut escaped = false;
    for c in inside.chars() {
        if escaped {
            if !matches!(c, '[' | ']' | '?' | '*' | '+' | '\\' | '!') {
                return Some(format!(
                    "`\\` before `{c}`: a name has no backslash, and this is not a special character"
                ));
            }
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if matches!(c, ' ' | '\t' | '~' | '^' | ':') {
            return Some(format!(
                "a branch or tag cannot contain `{c}`; the pattern is a glob, not a regular expression"
            ));
        }
    }
    syntax(pattern)
}

/// What is wrong with a pattern of paths.
fn of_path(pattern: &str) -> Option<String> {
    let inside = pattern.strip_prefix('!').unwrap_or(pattern);
    if inside != inside.trim() {
        return Some("a path has no space at its ends".to_owned());
    }
    let first = inside.split('/').next().unwrap_or_default();
    if matches!(first, "." | "..") {
        return Some(format!(
            "paths are relative to the root of the repository and never start with `{first}`"
        ));
    }
    syntax(pattern)
}

/// What is wrong with the special characters of a glob.
fn syntax(pattern: &str) -> Option<String> {
    let inside = pattern.strip_prefix('!').unwrap_or(pattern);
    if inside.is_empty() {
        return Some("a pattern follows `!`".to_owned());
    }
    let mut repeatable = false;
    let mut rest = inside.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                rest.next();
                repeatable = true;
            }
            '?' | '+' if !repeatable => {
                return Some(format!("`{c}` repeats the character before it, and none is there"));
            }
            '?' | '+' | '*' => repeatable = false,
            '[' => {
                let (set, after) = rest.as_str().split_once(']').unwrap_or((rest.as_str(), "\n"));
                if after == "\n" {
                    return Some("`[` is never closed by `]`".to_owned());
                }
                if let Some(fault) = of_set(set) {
                    return Some(fault);
                }
                rest = after.chars();
                repeatable = true;
            }
            _ => repeatable = true,
        }
    }
    None
}

/// What is wrong with the inside of `[…]`.
fn of_set(set: &str) -> Option<String> {
    let all: Vec<char> = set.chars().collect();
    let mut at = 0;
    while at < all.len() {
        if all.get(at + 1) != Some(&'-') {
            at += 1;
            continue;
        }
        match all.get(at + 2) {
            None => return Some(format!("the range `{}-` has no end", all[at])),
            Some(end) if *end < all[at] => {
                return Some(format!("the range `{}-{end}` starts after its end", all[at]));
            }
            Some(_) => at += 3,
        }
    }
    match all.as_slice() {
        [] => Some("`[]` matches nothing".to_owned()),
        [c] => Some(format!("`[{c}]` is `{c}`: the brackets have no effect")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_github_does() {
        for pattern in
            ["main", "release/**", "v[0-9]+.[0-9]+", "!dev", "feature/*+x", "a\\*b", "v?", "[a-z0-9]"]
        {
            // A plus after a star repeats a special character.
            assert_eq!(of_ref(pattern).is_some(), pattern.contains("*+"), "{pattern}");
        }
        for pattern in [
            "^main$", "a b", "/main", "main/", "v1.", "a\\d", "!", "[0-9", "[9-0]", "[0-]", "[]", "[x]",
            "+a", "**?", "a:b",
        ] {
            assert!(of_ref(pattern).is_some(), "{pattern}");
        }
        for pattern in ["src/**", "!docs/**", "**.js", "*.md", "a b/c", ".github/**", "a\\b", "..a/b", "/x"] {
            assert_eq!(of_path(pattern), None, "{pattern}");
        }
        for pattern in ["./src", "../x", ".", " a", "a ", "! a", "!./a", "src/[a"] {
            assert!(of_path(pattern).is_some(), "{pattern}");
        }
    }
}
