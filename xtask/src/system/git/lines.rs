//! Which lines a change touches.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{command, commit, fields, output, path};

/// Which lines changed: for each file its new or changed lines, as ranges of line numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes(BTreeMap<String, Vec<std::ops::Range<usize>>>);

impl Changes {
    /// What changed since `revision`: in the index with `staged`, else in the work tree, where files
    /// that git does not know yet count as changed from first to last line.
    pub(crate) fn since(root: &Path, revision: &str, staged: bool) -> Result<Self> {
        let commit = commit(root, revision)?;
        let mut diff = command(root);
        diff.args(["diff", "-U0", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"]);
        if staged {
            diff.arg("--cached");
        }
        let patch = output(diff.args([commit.as_str(), "--"])).context("failed to list what changed")?;
        let mut changes = Self::parse(&patch);
        if !staged {
            let others = output(command(root).args(["ls-files", "--others", "--exclude-standard", "-z"]))?;
            for name in fields(&others) {
                let whole = std::iter::once(1..usize::MAX).collect();
                changes.0.insert(path(name).to_string_lossy().into_owned(), whole);
            }
        }
        Ok(changes)
    }

    fn parse(patch: &[u8]) -> Self {
        let mut changes = BTreeMap::new();
        let mut file: Option<String> = None;
        for line in patch.split(|byte| *byte == b'\n') {
            if let Some(name) = line.strip_prefix(b"+++ ") {
                file = (name != b"/dev/null").then(|| unquoted(name));
                if let Some(file) = &file {
                    changes.entry(file.clone()).or_insert_with(Vec::new);
                }
            } else if line.starts_with(b"@@ ")
                && let Some(range) = hunk(line)
                && let Some(ranges) = file.as_ref().and_then(|file| changes.get_mut(file))
            {
                ranges.push(range);
            }
        }
        Self(changes)
    }

    pub(crate) fn paths(&self) -> BTreeSet<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Whether any line from `first` to `last` changed.
    pub(crate) fn touch(&self, path: &str, first: usize, last: usize) -> bool {
        self.0
            .get(path)
            .is_some_and(|ranges| ranges.iter().any(|range| range.start <= last && first < range.end))
    }
}

/// The new lines of `@@ -1,2 +3,4 @@`.
fn hunk(line: &[u8]) -> Option<std::ops::Range<usize>> {
    let field = line.split(|byte| *byte == b' ').find_map(|field| field.strip_prefix(b"+"))?;
    let mut numbers = std::str::from_utf8(field).ok()?.split(',');
    let start: usize = numbers.next()?.parse().ok()?;
    let count: usize = numbers.next().map_or(Some(1), |count| count.parse().ok())?;
    Some(start..start + count)
}

/// A path from a patch header: without `b/`, and without the quotes that unusual names get.
fn unquoted(name: &[u8]) -> String {
    let name = name.strip_suffix(b"\t").unwrap_or(name);
    let Some(inner) = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")) else {
        return String::from_utf8_lossy(name.strip_prefix(b"b/").unwrap_or(name)).into_owned();
    };
    let mut out = Vec::new();
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(digit @ b'0'..=b'3') => {
                let rest = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                out.push(
                    rest.iter().fold(digit - b'0', |value, d| {
                        value.wrapping_mul(8).wrapping_add(d.wrapping_sub(b'0'))
                    }),
                );
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    String::from_utf8_lossy(out.strip_prefix(b"b/").unwrap_or(&out)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_paths_are_read_back() {
        assert_eq!(unquoted(b"b/a file.txt\t"), "a file.txt");
        assert_eq!(unquoted(br#""b/a\"b\303\244.txt""#), "a\"b\u{e4}.txt");
    }

    #[test]
    fn changed_lines_are_read_from_a_patch() {
        let patch =
            b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -3,0 +4,2 @@ fn\n+a\n+b\n@@ -9 +11 @@\n-a\n+b\n\
                      --- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n";
        let changes = Changes::parse(patch);
        assert_eq!(changes.paths().into_iter().collect::<Vec<_>>(), ["x"]);
        let touched: Vec<usize> = (1..20).filter(|line| changes.touch("x", *line, *line)).collect();
        assert_eq!(touched, [4, 5, 11]);
        assert!(changes.touch("x", 1, 4) && !changes.touch("x", 6, 10) && !changes.touch("y", 1, 9));
    }
}
