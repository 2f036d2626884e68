//! Which parts of a version of a file are new, so that a history need not be searched again for every version.
//!
//! What is not in any of these parts was in the version before, with the same lines around it, and so was every secret
//! in it. The parts are generous: they decide only whether the whole version is searched, never what a finding is.

use std::ops::Range;

use super::assignment::{line_end, line_start};
use super::collections;
use super::columns;
use super::kubernetes;
use super::terraform;

/// How much text around a new line is looked at again, in bytes: more than any rule needs besides tokens and keys, which
/// are followed to their ends.
const AROUND: usize = 640;

/// A line with a run of so many characters of base64 may belong to a key of several lines, which is read as a whole.
const RUN: usize = 24;

/// How far a key of several lines is followed, in bytes: as far as the rules for private keys reach.
const KEY_MOST: usize = 24 << 10;

/// The parts of `after` that have to be searched for secrets that are not in `before`, in order and apart.
pub(super) fn parts(path: &str, before: &[u8], after: &[u8]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    for hunk in hunks(before, after) {
        let part = with_surroundings(after, hunk);
        match parts.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => parts.push(part),
        }
    }
    let length: usize = parts.iter().map(Range::len).sum();
    if !parts.is_empty() && (length * 4 > after.len() * 3 || distant(path, after)) {
        return std::iter::once(0..after.len()).collect();
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Whether a line may be a secret because of another one far away: the head of a table, the kind of a manifest.
fn distant(path: &str, text: &[u8]) -> bool {
    kubernetes::mentioned(text) || terraform::mentioned(path, text) || columns::has_secrets(path, text)
}

/// What is compared when two texts differ, to find where they agree again, in bytes.
const ANCHOR: usize = 64;

/// How far ahead that is looked for, in bytes, and from how many places.
const AHEAD: usize = 64 << 10;
const PLACES: usize = 12;

/// With more hunks than this, the rest counts as new: searching it is quicker than finding out.
const HUNKS_MOST: usize = 500;

/// The parts of `after` that `before` does not have in the same order; empty ones where only something was removed.
///
/// This is not the smallest difference: it compares slices and searches bytes, and looks at no line twice, as that would
/// take longer than searching for secrets.
fn hunks(before: &[u8], after: &[u8]) -> Vec<Range<usize>> {
    let start = common(before, after);
    if start == before.len() && start == after.len() {
        return Vec::new();
    }
    let tail = common_end(&before[start..], &after[start..]);
    let (before, after) = (&before[..before.len() - tail], &after[..after.len() - tail]);
    let (mut old, mut new) = (start, start);
    let mut hunks = Vec::new();
    loop {
        let next = (hunks.len() < HUNKS_MOST).then(|| agree_again(&before[old..], &after[new..])).flatten();
        let Some((removed, added)) = next else {
            hunks.push(new..after.len());
            return hunks;
        };
        hunks.push(new..new + added);
        (old, new) = (old + removed, new + added);
        let same = common(&before[old..], &after[new..]);
        (old, new) = (old + same, new + same);
        if new == after.len() && old == before.len() {
            return hunks;
        }
    }
}

/// How far two texts that differ at their starts have to be skipped until they agree.
fn agree_again(before: &[u8], after: &[u8]) -> Option<(usize, usize)> {
    if before.is_empty() || after.is_empty() {
        return None;
    }
    let (mut old, mut new) = (0, 0);
    for _ in 0..PLACES {
        let in_after = anchor(before, old).and_then(|text| find_ahead(after, text));
        let in_before = anchor(after, new).and_then(|text| find_ahead(before, text));
        match (in_after, in_before) {
            (Some(added), Some(removed)) if removed + new < added + old => return Some((removed, new)),
            (Some(added), _) => return Some((old, added)),
            (None, Some(removed)) => return Some((removed, new)),
            (None, None) => {}
        }
        (old, new) = (next_place(before, old), next_place(after, new));
    }
    None
}

fn anchor(text: &[u8], at: usize) -> Option<&[u8]> {
    text.get(at..at + ANCHOR)
}

fn find_ahead(text: &[u8], anchor: &[u8]) -> Option<usize> {
    memchr::memmem::find(&text[..text.len().min(AHEAD)], anchor)
}

/// The start of the next line, if it is near.
fn next_place(text: &[u8], at: usize) -> usize {
    let at = at.min(text.len());
    let most = (at + 4 * ANCHOR).min(text.len());
    memchr::memchr(b'\n', &text[at..most]).map_or(most, |length| at + length + 1)
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

/// A hunk with what may belong to it: the lines around it, and the whole of a key that it touches.
fn with_surroundings(text: &[u8], hunk: Range<usize>) -> Range<usize> {
    let line = line_start(text, hunk.start)..line_end(text, hunk.end);
    let start = key_start(text, line.start);
    let start = key_start(text, line_start(text, start.saturating_sub(AROUND)));
    let start = collections::around(text, start);
    let end = key_end(text, (line.end + 1).min(text.len()));
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

/// Long names and paths have dashes, underscores or small letters only; bytes in base64 or hexadecimal have digits too.
fn of_key(line: &[u8]) -> bool {
    line.split(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))).any(|run| {
        run.len() >= RUN
            && run.iter().any(u8::is_ascii_digit)
            && (run.iter().any(u8::is_ascii_uppercase) || run.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of different text, so long that the surroundings of one do not reach the next one that matters.
    fn filler(count: usize) -> String {
        (0..count).map(|n| format!("line {n} of the file\n")).collect::<Vec<String>>().concat()
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
    fn several_hunks_are_apart() {
        let before = filler(3000);
        let after = before
            .replace("line 500 of the file\n", "")
            .replace("line 1500 of", "NEW\nNEWER\nline 1500 of")
            .replace("line 2500 of", "LINE 2500 OF");
        assert_eq!(parts("a.yml", before.as_bytes(), after.as_bytes()).len(), 3);
        for wanted in ["line 499 of the file\nline 501 of", "NEW\nNEWER", "LINE 2500 OF"] {
            assert!(covered("a.yml", &before, &after, wanted), "{wanted}");
        }
    }

    #[test]
    fn a_change_within_a_long_line_is_a_small_part() {
        let cells = (0..5000).map(|n| format!("{{\"n\": {n}}}, ")).collect::<Vec<String>>().concat();
        let after = cells.replace("{\"n\": 2500}", "{\"password\": 1}");
        assert!(covered("a.json", &cells, &after, "password"));
        let length: usize = parts("a.json", cells.as_bytes(), after.as_bytes()).iter().map(Range::len).sum();
        assert!(length < 10 * AROUND, "{length}");
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
        let line = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
        let key = (0..60).map(|n| format!("{n:02}{line}\n")).collect::<Vec<String>>().concat();
        let before = format!("{}-----BEGIN\n{key}-----END\n{}", filler(300), filler(400));
        let after = before.replace("30abc", "xxabc");
        let whole =
            &after[after.find("-----BEGIN").expect("a head")..after.find("-----END").expect("an end")];
        assert!(covered("a.pem", &before, &after, whole));
    }

    #[test]
    fn long_names_and_paths_are_not_followed_like_keys() {
        let names: String =
            filler(400).replace("of the file", "- ref: stg__shop__app__postgres__orders_2024/models/staging");
        let after = names.replace("line 200 -", "line two hundred -");
        let length: usize = parts("a.yml", names.as_bytes(), after.as_bytes()).iter().map(Range::len).sum();
        assert!(length < 4 * AROUND, "{length}");
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
