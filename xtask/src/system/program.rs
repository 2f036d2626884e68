//! This build of the toolkit: what it makes of a file may change without its version number.

use std::fs;

use super::digest::Digest;

/// Another text for each build.
pub(crate) fn stamp() -> String {
    let program = std::env::current_exe().and_then(fs::metadata);
    let mut digest = Digest::default().with(env!("CARGO_PKG_VERSION"));
    if let Ok(meta) = program {
        digest.add(meta.len().to_le_bytes());
        digest.add(format!("{:?}", meta.modified().ok()));
    }
    digest.short()
}
