//! Files that Git LFS keeps outside of the objects of git: what git has of them is a pointer of three lines.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::system::git;

/// How every pointer starts.
const START: &[u8] = b"version https://git-lfs.github.com/spec/";

/// The longest text that is a pointer, in bytes, as its specification says.
const MOST: usize = 1024;

/// The SHA-256 of the file that a text points to, if it is a pointer.
pub(super) fn pointer(text: &[u8]) -> Option<&str> {
    let text = (text.len() < MOST && text.starts_with(START)).then(|| std::str::from_utf8(text).ok())??;
    let id = text.lines().find_map(|line| line.strip_prefix("oid sha256:"))?;
    (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

/// The files that were fetched for a repository.
#[derive(Clone)]
pub(super) struct Store {
    root: PathBuf,
    /// Where they are; git is asked at the first pointer.
    folder: Arc<OnceLock<Option<PathBuf>>>,
}

impl Store {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), folder: Arc::default() }
    }

    /// The file that a pointer is for; none outside a repository.
    pub(super) fn file(&self, id: &str) -> Option<PathBuf> {
        let folder = self.folder.get_or_init(|| objects(&self.root)).as_deref()?;
        Some(within(folder, id))
    }
}

fn objects(root: &Path) -> Option<PathBuf> {
    let folder =
        git::output(git::command(root).args(["rev-parse", "--path-format=absolute", "--git-common-dir"]));
    Some(git::path(folder.ok()?.trim_ascii()).join("lfs/objects"))
}

fn within(folder: &Path, id: &str) -> PathBuf {
    folder.join(&id[..2]).join(&id[2..4]).join(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_names_its_file() {
        let id = "4d7a".repeat(16);
        let text = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{id}\nsize 12345\n");
        assert_eq!(pointer(text.as_bytes()), Some(id.as_str()));
        assert_eq!(within(Path::new("s"), &id), Path::new("s/4d/7a").join(&id));
        for other in [
            text.replace("sha256:", "sha1:"),
            text.replace("4d7a", "4d/a"),
            format!("x{text}"),
            text.repeat(9),
        ] {
            assert_eq!(pointer(other.as_bytes()), None, "{other}");
        }
    }
}
