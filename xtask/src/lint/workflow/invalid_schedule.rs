//! A cron line that GitHub rejects, or runs at other times than it says.

use std::collections::BTreeSet;

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "invalid-schedule",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "A schedule has an invalid cron line or time zone, or is more frequent than GitHub runs.",
    why: "With an invalid line the workflow is rejected and nothing of it runs. GitHub starts a schedule at most every \
          five minutes, whatever the line says.",
    example: "```yaml\non:\n  schedule:\n    - cron: '0 5 * *'        # four fields\n    - cron: '*/2 * * * *'    # every two \
              minutes\n```\n\n```yaml\non:\n  schedule:\n    - cron: '0 5 * * *'\n```",
    remedy: "write five fields: minute, hour, day of month, month, day of week",
};

/// The shortest interval of a schedule (docs.github.com, events that trigger workflows).
const FEWEST_MINUTES: u32 = 5;

const FIELDS: [(&str, u32, u32); 5] =
    [("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7)];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The areas of the IANA time zone database.
const AREAS: [&str; 11] = [
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Etc",
    "Europe",
    "Indian",
    "Pacific",
];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for item in view.root.at(&["on", "schedule"]).map(Node::items).unwrap_or_default() {
        for (key, fault) in [("cron", cron as fn(&str) -> Option<String>), ("timezone", zone)] {
            let Some(node) = item.get(key).filter(|node| node.text().is_some_and(|text| !text.is_empty()))
            else {
                continue;
            };
            if let Some(message) = fault(node.text().unwrap_or_default()) {
                offences.push(view.offence(&RULE, node.span, message));
            }
        }
    }
    offences
}

/// What is wrong with a cron line.
fn cron(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Some(format!("a cron line has five fields, and `{line}` has {}", fields.len()));
    }
    let mut sets = Vec::new();
    for (field, (name, least, most)) in fields.iter().zip(FIELDS) {
        match values(field, least, most) {
            Ok(set) => sets.push(set),
            Err(part) => {
                return Some(format!(
                    "`{part}` is not a {name}: use {least} to {most}, `*`, `-`, `/` and `,`"
                ));
            }
        }
    }
    let gap = shortest_gap(&sets[0], &sets[1])?;
    (gap < FEWEST_MINUTES).then(|| {
        format!("this asks for a run every {gap} minutes; GitHub runs it at most every {FEWEST_MINUTES}")
    })
}

/// The values that a field selects, or the part of it that is invalid.
fn values(field: &str, least: u32, most: u32) -> Result<BTreeSet<u32>, String> {
    let mut set = BTreeSet::new();
    for part in field.split(',') {
        let fault = || part.to_owned();
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().map_err(|_| fault())?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (least, most),
            Some((from, to)) => (number(from, most).ok_or_else(fault)?, number(to, most).ok_or_else(fault)?),
            None => {
                let from = number(range, most).ok_or_else(fault)?;
                (from, if step.is_some() { most } else { from })
            }
        };
        if from < least || to > most || from > to || step == Some(0) {
            return Err(fault());
        }
        set.extend((from..=to).step_by(step.unwrap_or(1) as usize));
    }
    Ok(set)
}

fn number(text: &str, most: u32) -> Option<u32> {
    let names: &[&str] = match most {
        12 => &MONTHS,
        7 => &DAYS,
        _ => &[],
    };
    let lower = text.to_lowercase();
    if let Some(at) = names.iter().position(|name| *name == lower) {
        // Months count from one.
        return u32::try_from(at).ok().map(|at| at + u32::from(most == 12));
    }
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Minutes between the two nearest runs of a day; `None` with one run in an hour that has no neighbour.
fn shortest_gap(minutes: &BTreeSet<u32>, hours: &BTreeSet<u32>) -> Option<u32> {
    let inside = minutes.iter().zip(minutes.iter().skip(1)).map(|(one, next)| next - one).min();
    let follows = hours.iter().any(|hour| hours.contains(&((hour + 1) % 24)));
    let around =
        minutes.first().zip(minutes.last()).map(|(first, last)| first + 60 - last).filter(|_| follows);
    inside.into_iter().chain(around).min()
}

fn zone(name: &str) -> Option<String> {
    let is_known = name == "UTC" || name.split_once('/').is_some_and(|(area, _)| AREAS.contains(&area));
    (!is_known && !name.contains("${{"))
        .then(|| format!("`{name}` is not a time zone: write Area/Location, such as Europe/Berlin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_lines_are_read_as_github_does() {
        for line in [
            "0 5 * * *",
            "*/5 * * * *",
            "15,45 8-18/2 1 JAN-mar MON-FRI",
            "0 0 * * 7",
            "1,59 5 * * *",
            "2/15 * * * *",
            "0 0 29 2 sun",
        ] {
            assert_eq!(cron(line), None, "{line}");
        }
        for line in [
            "0 5 * *",
            "0 5 * * * *",
            "@daily",
            "60 * * * *",
            "* 24 * * *",
            "0 0 0 * *",
            "0 0 1 13 *",
            "0 0 * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "0 0 1 mon *",
            "+1 * * * *",
            "* * * * *",
            "*/4 * * * *",
            "0,2 3 * * *",
            "1,59 * * * *",
            "0,,1 * * * *",
        ] {
            assert!(cron(line).is_some(), "{line}");
        }
    }
}
