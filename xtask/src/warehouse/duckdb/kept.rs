//! What a command knows of an environment, kept beside its database for the next one, with the proof that nothing has
//! written to the database since.
//!
//! The proof is a small file apart from the content: recording a run that found nothing changes the database, but
//! nothing of what is known of it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::files;
use super::layout::with_suffix;
use super::token::Token;
use super::watch::Watch;
use crate::system::atomic;

#[derive(Debug, Serialize, Deserialize)]
struct Proof {
    /// The content that it is about.
    content: String,
    token: Token,
    /// What the registry was, if that was looked at too.
    registry: Option<Token>,
}

/// What was kept, and what the registry was then.
pub(super) struct Kept {
    pub(super) content: Vec<u8>,
    pub(super) registry: Option<Token>,
}

fn content_of(database: &Path) -> PathBuf {
    with_suffix(database, ".known")
}

fn proof_of(database: &Path) -> PathBuf {
    with_suffix(database, ".proof")
}

/// All that is kept beside a database.
pub(super) fn paths(database: &Path) -> [PathBuf; 2] {
    [proof_of(database), content_of(database)]
}

/// What was kept, if the database is still what it was then. The content begins with the mark that its proof names.
pub(super) fn read(database: &Path, watch: &mut Watch) -> Option<Kept> {
    let proof: Proof = serde_json::from_slice(&fs::read(proof_of(database)).ok()?).ok()?;
    watch.begin(database);
    if !watch.has(database, &proof.token) {
        return None;
    }
    let mut content = fs::read(content_of(database)).ok()?;
    let is_its = content.starts_with(proof.content.as_bytes());
    is_its.then(|| {
        content.drain(..proof.content.len());
        Kept { content, registry: proof.registry }
    })
}

/// Keep what is known, or, without a proof, nothing.
pub(super) fn write(
    database: &Path,
    token: Option<Token>,
    registry: Option<Token>,
    content: &[u8],
) -> Result<()> {
    files::remove_all(paths(database))?;
    let Some(token) = token else { return Ok(()) };
    let mark = uuid::Uuid::now_v7().to_string();
    replace(&content_of(database), &[mark.as_bytes(), content].concat())?;
    replace(&proof_of(database), &serde_json::to_vec(&Proof { content: mark, token, registry })?)
}

/// The database was written to, which changed nothing of what is known of it.
pub(super) fn follow(database: &Path, before: Option<&Token>) {
    let follow = || -> Option<()> {
        let before = before?;
        let path = proof_of(database);
        let proof: Proof = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let now = Token::settled(database).filter(|now| now.is_next_after(before))?;
        if proof.token != *before {
            return None;
        }
        replace(&path, &serde_json::to_vec(&Proof { token: now, ..proof }).ok()?).ok()
    };
    if follow().is_none() {
        tracing::debug!("what was known of {} is not known any more", database.display());
    }
}

fn replace(path: &Path, content: &[u8]) -> Result<()> {
    atomic::replace(path, content).with_context(|| format!("failed to write {}", path.display()))
}
