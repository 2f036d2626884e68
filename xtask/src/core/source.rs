//! A text file of the repository.

/// A file that is read once for all that look at it.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Relative to the repository's root, with slashes on every system.
    pub(crate) path: String,
    /// The content in the work tree, or in the index with `--staged`.
    pub(crate) text: String,
}
