//! Reads a repository through git: its files, its index, its blobs, the changed lines.
//!
//! git itself is the library: it knows every object format, work tree, submodule and partial clone.
//! Names come with `-z` or unquoted, so that any file name arrives as it is.

mod commits;
mod lines;
mod objects;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

pub(crate) use self::commits::{CommitChange, changes};
pub(crate) use self::lines::Changes;
pub(crate) use self::objects::{read_blobs, read_objects};
use super::dialogue;

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

/// The commits whose parents a shallow clone lacks.
pub(crate) fn shallow(root: &Path) -> Result<BTreeSet<String>> {
    let file = output(command(root).args(["rev-parse", "--path-format=absolute", "--git-path", "shallow"]))?;
    match std::fs::read_to_string(path(file.trim_ascii())) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error).context("failed to read which commits a shallow clone lacks"),
    }
}
