//! Which parts of a version of a file are new, so that a history need not be searched again for every version.
//!
//! What is not in any of these parts was in the version before, with the same lines around it, and so was every secret
//! in it. The parts are generous: they decide only whether the whole version is searched, never what a finding is.

use std::collections::HashSet;
use std::ops::Range;

use super::assignment::{line_end, line_start};
use super::columns;
use super::kubernetes;

/// How much text around a new line is looked at again, in bytes: more than any rule needs besides tokens and keys, which
/// are followed to their ends.
const AROUND: usize = 640;

/// A line with a run of so many characters of base64 may belong to a key of several lines, which is read as a whole.
const RUN: usize = 24;

/// How far a key of several lines is followed, in bytes: as far as the rules for private keys reach.
const KEY_MOST: usize = 24 << 10;

/// The parts of `after` that have to be searched for secrets that are not in `before`, in order and apart.
pub(super) fn parts(path: &str, before: &[u8], after: &[u8]) -> Vec<Range<usize>> {
    let lines = new_lines(before, after);
    if lines.is_empty() {
        return lines;
    }
    let mut parts: Vec<Range<usize>> = Vec::new();
    for line in lines {
        // A line within the last part needs no search for its surroundings.
        if let Some(last) = parts.last_mut()
            && line.end + AROUND < last.end
        {
            continue;
        }
        let part = with_surroundings(after, line);
        match parts.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => parts.push(part),
        }
    }
    let length: usize = parts.iter().map(Range::len).sum();
    if length * 4 > after.len() * 3 || distant(path, after) {
        return std::iter::once(0..after.len()).collect();
    }
    parts
}

/// Whether a line may be a secret because of another one far away: the head of a table, the kind of a manifest.
fn distant(path: &str, text: &[u8]) -> bool {
    kubernetes::mentioned(text) || columns::is_table(path) && columns::has_passwords(text)
}

/// The lines of `after` that do not follow the same line in `before`: new ones, and those behind one that was removed
/// or moved.
fn new_lines(before: &[u8], after: &[u8]) -> Vec<Range<usize>> {
    let start = back_one_line(after, common(before, after));
    let tail = common_end(&before[start.min(before.len())..], &after[start..]);
    // The first line of the common end follows another line now.
    let end = |text: &[u8]| {
        let at = text.len() - tail;
        let whole = if at == 0 || text[at - 1] == b'\n' { at } else { next_line(text, at) };
        next_line(text, whole)
    };
    let (old, new) = (&before[start..end(before)], start..end(after));
    let known: HashSet<[&[u8]; 2]> = pairs(old).map(|(pair, _)| pair).collect();
    pairs(&after[new])
        .filter(|(pair, _)| !known.contains(pair))
        .map(|(_, line)| start + line.start..start + line.end)
        .collect()
}

/// Each line of a text and the one before it, and its place.
fn pairs(text: &[u8]) -> impl Iterator<Item = ([&[u8]; 2], Range<usize>)> {
    let mut at = 0;
    let mut last: &[u8] = b"";
    std::iter::from_fn(move || {
        if at >= text.len() {
            return None;
        }
        let line = at..next_line(text, at);
        at = line.end;
        let pair = [last, &text[line.clone()]];
        last = pair[1];
        Some((pair, line))
    })
}

fn next_line(text: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length + 1)
}

/// The start of the line before the one that `at` is on.
fn back_one_line(text: &[u8], at: usize) -> usize {
    let start = |at: usize| memchr::memrchr(b'\n', &text[..at]).map_or(0, |found| found + 1);
    let line = start(at);
    if line == 0 { 0 } else { start(line - 1) }
}

/// Compared at once: slices are compared much faster than their bytes one by one.
const BLOCK: usize = 256;

/// The length of the common start of two texts.
fn common(left: &[u8], right: &[u8]) -> usize {
    let most = left.len().min(right.len());
    let mut at = 0;
    while at + BLOCK <= most && left[at..at + BLOCK] == right[at..at + BLOCK] {
        at += BLOCK;
    }
    while at < most && left[at] == right[at] {
        at += 1;
    }
    at
}

/// The length of the common end of two texts.
fn common_end(left: &[u8], right: &[u8]) -> usize {
    let most = left.len().min(right.len());
    let block = |text: &'_ [u8], length: usize| text.len() - length - BLOCK..text.len() - length;
    let mut length = 0;
    while length + BLOCK <= most && left[block(left, length)] == right[block(right, length)] {
        length += BLOCK;
    }
    while length < most && left[left.len() - length - 1] == right[right.len() - length - 1] {
        length += 1;
    }
    length
}

/// A new line with what may belong to it: the lines around it, and the whole of a key that it touches.
fn with_surroundings(text: &[u8], line: Range<usize>) -> Range<usize> {
    let start = key_start(text, line.start);
    let start = key_start(text, line_start(text, start.saturating_sub(AROUND)));
    let end = key_end(text, line.end);
    let end = key_end(text, line_end(text, (end + AROUND).min(text.len())));
    start..end
}

/// The start of the lines of a key that end at `at`.
fn key_start(text: &[u8], at: usize) -> usize {
    let mut start = at;
    while start > 0 && at - start < KEY_MOST {
        let line = line_start(text, start - 1);
        if !of_key(&text[line..start]) {
            break;
        }
        start = line;
    }
    start
}

/// The end of the lines of a key that start at `at`.
fn key_end(text: &[u8], at: usize) -> usize {
    let mut end = at;
    while end < text.len() && end - at < KEY_MOST {
        let line = (line_end(text, end) + 1).min(text.len());
        if !of_key(&text[end..line]) {
            break;
        }
        end = line;
    }
    end
}

fn of_key(line: &[u8]) -> bool {
    line.split(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'_' | b'-')))
        .any(|run| run.len() >= RUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of different text, so long that the surroundings of one do not reach the next one that matters.
    fn filler(count: usize) -> String {
        (0..count).map(|n| format!("line {n} of the file\n")).collect()
    }

    fn covered(path: &str, before: &str, after: &str, wanted: &str) -> bool {
        let at = after.find(wanted).expect("it is there");
        parts(path, before.as_bytes(), after.as_bytes())
            .iter()
            .any(|part| part.start <= at && at + wanted.len() <= part.end)
    }

    #[test]
    fn new_changed_and_moved_lines_are_in_a_part() {
        let (head, tail) = (filler(200), filler(300));
        let before = format!("{head}name: HOST\n{tail}value: x\nname: PASSWORD\nend");
        for (after, wanted) in [
            (format!("{head}name: HOST\nNEW\n{tail}value: x\nname: PASSWORD\nend"), "NEW\n"),
            (format!("NEW\n{before}"), "NEW\n"),
            (format!("{before}\nNEW"), "NEW"),
            (format!("{before}!"), "end!"),
            (before.replace("HOST", "PORT"), "PORT"),
            // Lines that were apart come together.
            (format!("{head}name: HOST\n{tail}name: PASSWORD\nvalue: x\nend"), "name: PASSWORD\nvalue: x"),
            (before.replace(&tail, ""), "name: HOST\nvalue: x"),
            (before.replace("value: x\n", ""), "name: PASSWORD"),
        ] {
            assert!(covered("a.yml", &before, &after, wanted), "{wanted}");
        }
        assert!(parts("a.yml", before.as_bytes(), before.as_bytes()).is_empty());
        assert!(covered("a.yml", "", "only", "only"));
        assert!(parts("a.yml", b"x", b"").is_empty());
    }

    #[test]
    fn unchanged_text_far_from_the_change_is_not() {
        let before = filler(1000);
        let after = before.replace("line 500 of", "line five hundred of");
        let parts = parts("a.yml", before.as_bytes(), after.as_bytes());
        let length: usize = parts.iter().map(Range::len).sum();
        assert!(parts.len() == 1 && length < 4 * AROUND, "{parts:?}");
    }

    #[test]
    fn a_key_is_taken_whole_when_one_of_its_lines_changes() {
        let line = "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDBQ7B7twlLqUO0";
        let key: String = (0..60).map(|n| format!("{n:02}{line}\n")).collect();
        let before = format!("{}-----BEGIN\n{key}-----END\n{}", filler(300), filler(400));
        let after = before.replace("30MII", "xxMII");
        let whole = &after[after.find("-----BEGIN").expect("a head")..after.find("-----END").expect("an end")];
        assert!(covered("a.pem", &before, &after, whole));
    }

    #[test]
    fn a_file_whose_head_decides_about_every_line_is_taken_whole() {
        let rows = filler(500);
        for (path, head) in [("a.csv", "login,password\n"), ("a.yml", "kind: Secret\n")] {
            let before = format!("{}{rows}", head.replace("Secret", "Config").replace("password", "name"));
            assert!(covered(path, &before, &format!("{head}{rows}"), "line 450"), "{path}");
        }
        assert!(!covered("a.yml", &format!("a\n{rows}"), &format!("b\n{rows}"), "line 450"));
    }
}
