//! Reads a repository through git: its files, its index, its blobs, the changed lines.
//!
//! git itself is the library: it knows every object format, work tree, submodule and partial clone.
//! Names come with `-z` or unquoted, so that any file name arrives as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::dialogue::{self, Watched};

/// The empty tree, which every repository has: a first commit is compared with it.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// How long git may take to answer: it walks large repositories, and a partial clone may fetch missing
/// objects.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);

/// git in `root`, without the user's settings that change its output.
pub(crate) fn command(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args([
        "-c",
        "core.quotePath=false",
        "-c",
        "diff.noprefix=false",
        "-c",
        "diff.mnemonicPrefix=false",
    ]);
    // Objects as they are, not what `git replace` or a file of grafts shows in their place.
    command.env("GIT_NO_REPLACE_OBJECTS", "1").env("GIT_GRAFT_FILE", "/dev/null");
    command
}

/// The output of a git command, or an error with its message.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = dialogue::hold(command, Vec::new(), PATIENCE)
        .context("failed to run git; is it installed and on PATH?")?;
    if !output.status.success() {
        bail!("git failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// A path as git printed it.
#[cfg(unix)]
pub(crate) fn path(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}

/// A path as git printed it.
#[cfg(not(unix))]
pub(crate) fn path(name: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(name).into_owned())
}

/// The paths below `folder`, relative to it, that git tracks or would track; submodules appear as folders,
/// and deleted files may appear too.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = output(Command::new("git").arg("-C").arg(folder).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
        "-z",
        "--",
        ".",
    ]))?;
    Ok(fields(&listed).map(path).collect())
}

fn fields(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0).filter(|field| !field.is_empty())
}

/// A file of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) id: String,
    pub(crate) path: String,
}

/// The files of the index that differ from `HEAD`; links and submodules hold no text and are left out.
pub(crate) fn staged(root: &Path) -> Result<Vec<Blob>> {
    let has_head = output(command(root).args(["rev-parse", "--verify", "--quiet", "HEAD"])).is_ok();
    let against = if has_head { "HEAD" } else { EMPTY_TREE };
    let raw = output(command(root).args([
        "diff-index",
        "--cached",
        "--raw",
        "-z",
        "--no-renames",
        "--no-abbrev",
        "--diff-filter=ACMT",
        against,
    ]))
    .context("failed to read the index")?;
    let mut fields = fields(&raw);
    let mut blobs = Vec::new();
    while let (Some(meta), Some(name)) = (fields.next(), fields.next()) {
        let meta: Vec<&str> = std::str::from_utf8(meta).unwrap_or_default().split(' ').collect();
        // `:100644 100755 old new M`
        if let [_, mode, _, id, _] = meta[..]
            && mode.starts_with("100")
        {
            blobs.push(Blob { id: id.to_owned(), path: String::from_utf8_lossy(name).into_owned() });
        }
    }
    Ok(blobs)
}

/// A path whose content differs between a commit and the index or work tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: String,
    /// The commit's blob; `None` for a path that it lacks.
    pub(crate) before: Option<Blob>,
}

/// Every path that differs from `revision` (`HEAD`, or nothing at all before the first commit): in the index with
/// `staged`, else in the work tree, where files that git does not know yet count too. Deleted ones are among them.
pub(crate) fn changed(root: &Path, revision: Option<&str>, staged: bool) -> Result<Vec<Change>> {
    let against = match revision {
        Some(revision) => commit(root, revision)?,
        None if output(command(root).args(["rev-parse", "--verify", "--quiet", "HEAD"])).is_ok() => {
            "HEAD".to_owned()
        }
        None => EMPTY_TREE.to_owned(),
    };
    let mut diff = command(root);
    diff.args(["diff-index", "--raw", "-z", "--no-renames", "--no-abbrev"]);
    if staged {
        diff.arg("--cached");
    }
    let raw = output(diff.args([against.as_str(), "--"])).context("failed to list what changed")?;
    let mut parts = fields(&raw);
    let mut changes = Vec::new();
    while let (Some(meta), Some(name)) = (parts.next(), parts.next()) {
        let meta: Vec<&str> = std::str::from_utf8(meta).unwrap_or_default().split(' ').collect();
        // `:100644 100755 old new M`
        let [mode, _, id, _, _] = meta[..] else { continue };
        let path = String::from_utf8_lossy(name).into_owned();
        let held = mode.starts_with(":100").then(|| Blob { id: id.to_owned(), path: path.clone() });
        changes.push(Change { path, before: held });
    }
    if !staged {
        let others = output(command(root).args(["ls-files", "--others", "--exclude-standard", "-z"]))?;
        changes.extend(
            fields(&others)
                .map(|name| Change { path: path(name).to_string_lossy().into_owned(), before: None }),
        );
    }
    Ok(changes)
}

/// The commit that a revision names. A revision that begins with a dash must not become an option.
fn commit(root: &Path, revision: &str) -> Result<String> {
    let commit = output(command(root).args([
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &format!("{revision}^{{commit}}"),
    ]))
    .with_context(|| format!("unknown revision `{revision}` (shallow clones lack old ones)"))?;
    Ok(String::from_utf8(commit).context("git printed no revision")?.trim().to_owned())
}

/// Every file of the index.
pub(crate) fn index(root: &Path) -> Result<Vec<Blob>> {
    let listed =
        output(command(root).args(["ls-files", "--stage", "-z"])).context("failed to read the index")?;
    Ok(fields(&listed).filter_map(staged_blob).collect())
}

/// A file of the index, as git lists it: `100644 id 0<TAB>path`.
fn staged_blob(entry: &[u8]) -> Option<Blob> {
    let tab = memchr::memchr(b'\t', entry)?;
    let meta: Vec<&str> = std::str::from_utf8(&entry[..tab]).ok()?.split(' ').collect();
    let [mode, id, "0"] = meta[..] else { return None };
    let path = String::from_utf8_lossy(&entry[tab + 1..]).into_owned();
    mode.starts_with("100").then(|| Blob { id: id.to_owned(), path })
}

/// The files of the index below `folder` that a sparse checkout leaves out of the work tree, relative to it.
pub(crate) fn left_out(folder: &Path) -> Result<Vec<Blob>> {
    let listed = output(command(folder).args(["ls-files", "-t", "--stage", "-z", "--", "."]))
        .context("failed to read the index")?;
    Ok(fields(&listed).filter_map(|entry| staged_blob(entry.strip_prefix(b"S ")?)).collect())
}

/// What a ref other than that of a commit leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) name: String,
    pub(crate) object: String,
    pub(crate) files: Vec<Blob>,
}

/// The files that refs hold without a commit: tags of a blob or a tree.
pub(crate) fn tips_without_commit(root: &Path) -> Result<Vec<Tip>> {
    let format = "--format=%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(refname)";
    let refs = output(command(root).args(["for-each-ref", format])).context("failed to list the refs")?;
    let mut tips = Vec::new();
    for line in String::from_utf8_lossy(&refs).lines() {
        let fields: Vec<&str> = line.splitn(5, ' ').collect();
        let [kind, object, inner_kind, inner, name] = fields[..] else { continue };
        let (kind, object) = if kind == "tag" { (inner_kind, inner) } else { (kind, object) };
        let files = match kind {
            "blob" => vec![Blob { id: object.to_owned(), path: name.to_owned() }],
            "tree" => tree(root, object)?,
            _ => continue,
        };
        tips.push(Tip { name: name.to_owned(), object: object.to_owned(), files });
    }
    Ok(tips)
}

/// The files of a tree.
fn tree(root: &Path, id: &str) -> Result<Vec<Blob>> {
    let listed = output(command(root).args(["ls-tree", "-r", "-z", "--full-tree", id]))
        .with_context(|| format!("failed to list the tree {id}"))?;
    let file = |entry: &[u8]| {
        // `100644 blob id<TAB>path`
        let tab = memchr::memchr(b'\t', entry)?;
        let meta: Vec<&str> = std::str::from_utf8(&entry[..tab]).ok()?.split(' ').collect();
        let [mode, "blob", id] = meta[..] else { return None };
        let path = String::from_utf8_lossy(&entry[tab + 1..]).into_owned();
        mode.starts_with("100").then(|| Blob { id: id.to_owned(), path })
    };
    Ok(fields(&listed).filter_map(file).collect())
}

/// The files whose work tree differs from the index.
pub(crate) fn unstaged(root: &Path) -> Result<BTreeSet<String>> {
    // Without a refresh a file that was only touched would count as different: harmless, and cheaper.
    let listed = output(command(root).args(["diff-files", "--name-only", "-z"]))
        .context("failed to compare the work tree with the index")?;
    Ok(fields(&listed).map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

/// Gives each blob to `read`, through one long-lived process. A blob that git cannot give goes to `absent` with the
/// reason; see [`read_objects`].
pub(crate) fn read_blobs<'a>(
    root: &Path,
    blobs: impl IntoIterator<Item = &'a Blob>,
    mut read: impl FnMut(&Blob, &mut dyn Read) -> io::Result<()>,
    mut absent: impl FnMut(&Blob, &str),
) -> Result<()> {
    let blobs: Vec<&Blob> = blobs.into_iter().collect();
    let ids: Vec<&str> = blobs.iter().map(|blob| blob.id.as_str()).collect();
    read_objects(root, &ids, |at, body| read(blobs[at], body), |at, why| absent(blobs[at], why))
}

/// Objects that git is asked for before its answers are read: far less than a pipe holds.
const AHEAD: usize = 64;

/// How often git is started again after it ended at an object, before the rest counts as unread.
const RESTARTS: usize = 50;

/// Gives each object to `read`. One that git cannot give (missing, damaged, not to be fetched) goes to `absent` with
/// the reason. git ends at the first damaged object and when it cannot fetch one, so it is started again behind it.
pub(crate) fn read_objects(
    root: &Path,
    ids: &[&str],
    mut read: impl FnMut(usize, &mut dyn Read) -> io::Result<()>,
    mut absent: impl FnMut(usize, &str),
) -> Result<()> {
    let mut next = 0;
    let mut restarts = 0;
    while next < ids.len() {
        // Only the first process may fetch: an unreachable remote would be contacted again for every object.
        let Some((at, why)) = read_until_end(root, ids, next, restarts == 0, &mut read, &mut absent)? else {
            return Ok(());
        };
        // The process that may not fetch tries the same object again: it may be here, or is reported as missing.
        next = at;
        if restarts > 0 {
            absent(at, &why);
            next += 1;
        }
        restarts += 1;
        if restarts > RESTARTS {
            (next..ids.len()).for_each(|at| absent(at, "git ended too often while it read objects"));
            return Ok(());
        }
    }
    Ok(())
}

/// Reads objects from `first` on; if git ends early, returns the object and git's message.
fn read_until_end(
    root: &Path,
    ids: &[&str],
    first: usize,
    may_fetch: bool,
    read: &mut impl FnMut(usize, &mut dyn Read) -> io::Result<()>,
    absent: &mut impl FnMut(usize, &str),
) -> Result<Option<(usize, String)>> {
    let mut command = command(root);
    if !may_fetch {
        command.env("GIT_NO_LAZY_FETCH", "1");
    }
    let mut child = command
        .args(["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to run git cat-file; is git installed and on PATH?")?;
    let mut ask = child.stdin.take().context("git cat-file has no stdin")?;
    let answer = child.stdout.take().context("git cat-file has no stdout")?;
    let mut errors = child.stderr.take().context("git cat-file has no stderr")?;
    let said = std::thread::spawn(move || {
        let mut text = Vec::new();
        drop(errors.read_to_end(&mut text));
        text
    });
    let git = Watched::new(child, PATIENCE);
    let mut answer = BufReader::with_capacity(128 << 10, git.read(answer));
    let mut early = None;
    'all: for (batch, ids) in ids[first..].chunks(AHEAD).enumerate() {
        let first = first + batch * AHEAD;
        // A process that has ended shows by its missing answer.
        drop(ask.write_all((ids.join("\n") + "\n").as_bytes()).and_then(|()| ask.flush()));
        for at in first..first + ids.len() {
            if !read_one(&mut answer, at, read, absent)? {
                early = Some(at);
                break 'all;
            }
        }
    }
    drop(ask);
    if early.is_some() {
        git.kill();
    }
    let status = git.wait().context("git cat-file did not end")?;
    let said = said.join().unwrap_or_default();
    match early {
        Some(at) => Ok(Some((at, reason(&said)))),
        None if !status.success() => bail!("git cat-file ended with {status}: {}", reason(&said)),
        None => Ok(None),
    }
}

/// Reads one answer of `git cat-file --batch`; returns whether it was complete.
fn read_one(
    answer: &mut impl io::BufRead,
    at: usize,
    read: &mut impl FnMut(usize, &mut dyn Read) -> io::Result<()>,
    absent: &mut impl FnMut(usize, &str),
) -> Result<bool> {
    let mut header = String::new();
    if answer.read_line(&mut header).context("failed to read from git cat-file")? == 0 {
        return Ok(false);
    }
    let size = header.trim_end().rsplit(' ').next().and_then(|size| size.parse::<u64>().ok());
    let Some(size) = size else {
        absent(at, "git does not have it (missing object)");
        return Ok(true);
    };
    let mut body = answer.by_ref().take(size);
    read(at, &mut body).context("failed to read an object of git")?;
    io::copy(&mut body, &mut io::sink())?;
    Ok(body.limit() == 0 && answer.read_exact(&mut [0]).is_ok())
}

/// The last line that git wrote, without addresses: they may hold credentials.
fn reason(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.contains("://"));
    line.map_or_else(|| "git ended while it read this object".to_owned(), |line| format!("git: {line}"))
}

/// The commits whose parents a shallow clone lacks.
pub(crate) fn shallow(root: &Path) -> Result<BTreeSet<String>> {
    let file = output(command(root).args(["rev-parse", "--path-format=absolute", "--git-path", "shallow"]))?;
    match std::fs::read_to_string(path(file.trim_ascii())) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error).context("failed to read which commits a shallow clone lacks"),
    }
}

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
pub(crate) fn unquoted(name: &[u8]) -> String {
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
