//! Ctrl-C and termination signals, handled between steps instead of in the middle of one.
//!
//! A run that is interrupted still stops dbt, records what happened and frees its lock. A second Ctrl-C ends
//! the process at once; everything that the toolkit stores survives that too.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use thiserror::Error;

static ASKED: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// From here on the first signal is recorded, and the second one ends the process.
pub(crate) fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })
    .context("failed to listen for Ctrl-C")
}

pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// An error if a signal was received.
pub(crate) fn check() -> Result<(), Interrupted> {
    if asked() { Err(Interrupted) } else { Ok(()) }
}
