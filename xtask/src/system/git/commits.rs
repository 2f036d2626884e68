//! What commits changed, by their trees.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::objects::reason;
use super::{PATIENCE, command, fields};
use crate::system::dialogue;

/// A file that a commit added or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitChange {
    pub(crate) commit: String,
    pub(crate) path: String,
    /// The blob after the commit.
    pub(crate) blob: String,
    /// The blobs in its parents; none of a file that is new.
    pub(crate) before: Vec<String>,
}

/// The changes of commits, from trees alone: no content is read, so no attribute or encoding hides a file. For
/// a merge, the files that differ from all its parents.
pub(crate) fn changes(root: &Path, commits: &[&str], may_fetch: bool) -> Result<Vec<CommitChange>> {
    let mut command = command(root);
    if !may_fetch {
        command.env("GIT_NO_LAZY_FETCH", "1");
    }
    command.args([
        "diff-tree",
        "--stdin",
        "--root",
        "-r",
        "-c",
        "--raw",
        "-z",
        "--no-renames",
        "--no-abbrev",
    ]);
    let answer = dialogue::hold(&mut command, (commits.join("\n") + "\n").into_bytes(), PATIENCE)
        .context("failed to run git diff-tree; is git installed and on PATH?")?;
    if !answer.status.success() {
        bail!("git diff-tree ended with {}: {}", answer.status, reason(&answer.stderr));
    }
    Ok(parse_changes(&answer.stdout))
}

/// `commit NUL (:100644 100644 old new M NUL path NUL)*`, with a colon, mode and old blob for each parent of a merge.
fn parse_changes(raw: &[u8]) -> Vec<CommitChange> {
    let mut changes = Vec::new();
    let mut commit = String::new();
    let mut fields = fields(raw);
    while let Some(field) = fields.next() {
        let parents = field.iter().take_while(|byte| **byte == b':').count();
        if parents == 0 {
            commit = String::from_utf8_lossy(field).into_owned();
            continue;
        }
        let Some(path) = fields.next() else { break };
        let meta: Vec<&str> = std::str::from_utf8(&field[parents..]).unwrap_or_default().split(' ').collect();
        // Links and submodules hold no text; a deleted file has no mode.
        if meta.len() == 2 * parents + 3 && meta[parents].starts_with("100") {
            let before = meta[parents + 1..=2 * parents].iter().zip(&meta[..parents]);
            changes.push(CommitChange {
                commit: commit.clone(),
                path: String::from_utf8_lossy(path).into_owned(),
                blob: meta[2 * parents + 1].to_owned(),
                before: before
                    .filter(|(_, mode)| mode.starts_with("100"))
                    .map(|(id, _)| (*id).to_owned())
                    .collect(),
            });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_commits_and_merges_are_read_from_trees() {
        let raw = b"c1\0:000000 100644 0000 aaaa A\0a b\0:100644 000000 bbbb 0000 D\0gone\0c2\0\
                    ::100644 100644 100644 aaaa bbbb cccc MM\0x\0:120000 120000 1 2 M\0link\0";
        let changes = parse_changes(raw);
        let read: Vec<_> = changes
            .iter()
            .map(|c| (c.commit.as_str(), c.path.as_str(), c.blob.as_str(), c.before.len()))
            .collect();
        assert_eq!(read, [("c1", "a b", "aaaa", 0), ("c2", "x", "cccc", 2)]);
    }
}
