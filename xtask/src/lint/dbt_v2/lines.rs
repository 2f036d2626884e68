//! Moves entries of a mapping below another key: whole lines, so that comments move with them.

use std::ops::Range;

use crate::core::yaml::{self, Node as Yaml};

/// `text` with the entries of `owner` that `moving` names below its key `target`, which is made if it is not there.
/// `None` unless each has lines to itself and all values stay what they are.
pub(super) fn move_below(text: &str, owner: &Yaml, moving: &[&Yaml], target: &str) -> Option<String> {
    let existing = owner.entry(target);
    let says_both =
        |key: &&Yaml| existing.is_some_and(|(_, node)| key.text().and_then(|key| node.get(key)).is_some());
    if moving.is_empty() || moving.iter().any(says_both) {
        return None;
    }
    // The last line of a file may have no end; lines are moved with one.
    let is_ended = text.ends_with('\n');
    let whole = if is_ended { text.to_owned() } else { format!("{text}\n") };
    let mut moved = move_lines(&whole, moving, existing, target)?;
    if !is_ended {
        moved.truncate(moved.trim_end_matches(['\r', '\n']).len());
    }
    let mut expected = scalars(text)?;
    expected.extend(existing.is_none().then(|| target.to_owned()));
    expected.sort_unstable();
    (scalars(&moved)? == expected).then_some(moved)
}

fn move_lines(
    text: &str,
    moving: &[&Yaml],
    existing: Option<(&Yaml, &Yaml)>,
    target: &str,
) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let indent = moving.first()?.span.column - 1;
    // Each on its own line in a block, at one depth; the first key of a list item follows the dash.
    let is_block = |key: &Yaml| {
        let line = lines.get(key.span.line - 1);
        line.is_some_and(|line| indent_of(line) == indent && key.span.column - 1 == indent)
    };
    if !moving.iter().all(|key| is_block(key)) {
        return None;
    }
    let blocks: Vec<Range<usize>> =
        moving.iter().map(|key| block(&lines, key.span.line - 1, indent)).collect();
    let below = match existing {
        None => None,
        Some((key, node)) if node.is_mapping() && node.span.line > key.span.line && is_block(key) => {
            Some(key.span.line - 1)
        }
        Some(_) => return None,
    };
    let mut body = String::new();
    for line in blocks.iter().flat_map(|range| &lines[range.clone()]) {
        body.extend([if line.trim_end_matches(['\r', '\n']).is_empty() { "" } else { "  " }, line]);
    }
    let end = if lines[0].ends_with("\r\n") { "\r\n" } else { "\n" };
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        if below.is_none() && number == blocks[0].start {
            out.extend([&" ".repeat(indent), target, ":", end, &body]);
        }
        if !blocks.iter().any(|range| range.contains(&number)) {
            out.push_str(line);
        }
        if below == Some(number) {
            out.push_str(&body);
        }
    }
    Some(out)
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The lines of the entry that begins in line `first`. Items of a list may be as far to the left as its key.
fn block(lines: &[&str], first: usize, indent: usize) -> Range<usize> {
    let is_more = |line: &&&str| {
        line.trim().is_empty()
            || indent_of(line) > indent
            || indent_of(line) == indent && line.trim_start().starts_with("- ")
    };
    let mut end = first + 1 + lines[first + 1..].iter().take_while(is_more).count();
    while end > first + 1 && lines[end - 1].trim().is_empty() {
        end -= 1;
    }
    first..end
}

/// All keys and values of a file, sorted.
fn scalars(text: &str) -> Option<Vec<String>> {
    fn add(node: &Yaml, found: &mut Vec<String>) {
        found.extend(node.text().map(str::to_owned));
        node.items().iter().for_each(|item| add(item, found));
        for (key, value) in node.entries() {
            add(key, found);
            add(value, found);
        }
    }
    let mut found = Vec::new();
    add(&yaml::parse_one(text).ok()??, &mut found);
    found.sort_unstable();
    Some(found)
}
