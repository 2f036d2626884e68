//! `-- noqa` for our own SQL policies, with the same syntax as sqlfluff's.
//!
//! `-- noqa` at the end of a line waives all rules there, `-- noqa: star-in-final-query` those it names;
//! `-- noqa: disable=…` and `-- noqa: enable=…` do so from a line on, with `all` for every rule. A comment of
//! Jinja has the same effect. Rules are selected by name, code, former code, group or pattern; failures to render or parse
//! by `TMP` and `PRS` only.

use super::config::means;

/// The directives of one file, by line.
#[derive(Debug, Default)]
pub(super) struct Noqa<'t> {
    /// Line, from 1; action; names.
    directives: Vec<(usize, Action, Vec<&'t str>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// On this line.
    Waive,
    /// From this line on.
    Disable,
    /// Ends `disable` from this line on.
    Enable,
}

impl<'t> Noqa<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        if !text.contains("noqa") {
            return Self::default();
        }
        let directives = text.lines().enumerate().filter_map(|(index, line)| {
            let (action, names) = directive(line)?;
            Some((index + 1, action, names))
        });
        Self { directives: directives.collect() }
    }

    /// Whether `rule` is waived on that line.
    pub(super) fn waives(&self, rule: &str, line: usize) -> bool {
        let mut disabled = false;
        for (at, action, names) in &self.directives {
            // Failures to read a file are waived only by name: the other rules did not run.
            let is_unread = matches!(rule, "sql-parse" | "sql-template");
            let is_named = names.contains(&rule)
                || names.iter().any(|name| means(name, rule))
                || !is_unread && names.contains(&"all");
            if *at > line || !is_named {
                continue;
            }
            match action {
                Action::Waive if *at == line => return true,
                Action::Waive => {}
                Action::Disable => disabled = true,
                Action::Enable => disabled = false,
            }
        }
        disabled
    }
}

/// The directive in the comment at the end of a line.
fn directive(line: &str) -> Option<(Action, Vec<&str>)> {
    let sql = line.rfind("--").map(|at| (at, &line[at + 2..]));
    let jinja = line.rfind("{#").and_then(|at| Some((at, line[at + 2..].trim_end().strip_suffix("#}")?)));
    let (_, comment) = sql.into_iter().chain(jinja).max_by_key(|(at, _)| *at)?;
    let asked = comment.trim().trim_matches('-').trim().strip_prefix("noqa")?.trim();
    if asked.is_empty() {
        return Some((Action::Waive, vec!["all"]));
    }
    let asked = asked.strip_prefix(':')?.trim();
    let (action, names) = if let Some(names) = asked.strip_prefix("disable=") {
        (Action::Disable, names)
    } else if let Some(names) = asked.strip_prefix("enable=") {
        (Action::Enable, names)
    } else {
        (Action::Waive, asked)
    };
    Some((action, names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_waived_by_name_or_as_a_whole() {
        let text = "select * -- noqa\nselect * -- noqa: a, b\nselect * {# noqa: a #}\nselect '-- noqa'\n";
        let noqa = Noqa::of(text);
        let waived = |rule: &str| (1..=4).filter(|line| noqa.waives(rule, *line)).collect::<Vec<_>>();
        assert_eq!(waived("a"), [1, 2, 3]);
        assert_eq!(waived("b"), [1, 2]);
        assert_eq!(waived("c"), [1]);
        assert!(!Noqa::of("select 1 -- no quality").waives("a", 1));
        assert!(!Noqa::of("select 1 -- noqa because").waives("a", 1));
    }

    #[test]
    fn a_range_is_waived_until_it_is_not() {
        let noqa = Noqa::of("-- noqa: disable=a\n\n-- noqa: enable=all\n\n-- noqa: disable=all\n");
        let waived = |rule: &str| (1..=6).filter(|line| noqa.waives(rule, *line)).collect::<Vec<_>>();
        assert_eq!(waived("a"), [1, 2, 5, 6]);
        assert_eq!(waived("b"), [5, 6]);
    }
}
