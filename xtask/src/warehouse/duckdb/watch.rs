//! Whether anything but this process has written to a database file since it was last looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::token::Token;

/// Files that are watched, each as it was when nothing but this process had written to it; `None` from then on.
#[derive(Debug, Default)]
pub(super) struct Watch(BTreeMap<PathBuf, Option<Token>>);

impl Watch {
    /// Before the file is looked at.
    pub(super) fn begin(&mut self, file: &Path) {
        self.0.insert(file.to_path_buf(), Token::read(file));
    }

    /// Whether the file that is watched is as `token` says.
    pub(super) fn has(&self, file: &Path, token: &Token) -> bool {
        self.0.get(file).is_some_and(|watched| watched.as_ref() == Some(token))
    }

    /// Before and after this process writes to the file by one call of the engine.
    pub(super) fn around<T>(&mut self, file: &Path, write: impl FnOnce() -> T) -> T {
        let before = self.0.get(file).cloned().flatten().filter(Token::holds);
        let written = write();
        if let Some(watched) = self.0.get_mut(file) {
            let is_ours = |after: &Token| {
                before.as_ref().is_some_and(|before| after == before || after.is_next_after(before))
            };
            *watched = Token::read(file).filter(is_ours);
        }
        written
    }

    /// What shows later that nothing has written to the file since [`Watch::begin`] but this process until now.
    pub(super) fn proof(&self, file: &Path) -> Option<Token> {
        let watched = self.0.get(file)?.as_ref()?;
        Token::settled(file).filter(|now| now == watched)
    }
}
