//! The content of objects, read through one long-lived process of git.

use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use super::{Blob, PATIENCE, command};
use crate::system::dialogue::Watched;

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
pub(super) fn reason(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.contains("://"));
    line.map_or_else(|| "git ended while it read this object".to_owned(), |line| format!("git: {line}"))
}
