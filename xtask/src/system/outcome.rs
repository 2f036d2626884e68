//! The exit triple: 0 clean or done, 1 findings or a failed gate, 2 could not run.
//!
//! A command returns `Ok(Outcome)` when it did its work, whatever it found, and `Err` when it could
//! not do it. Only `main` knows numbers.

use std::process::ExitCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, and nothing to complain about.
    Clean,
    /// Done, and there are findings, or a gate failed.
    Findings,
    /// Nothing to complain about in what could be read, but not all could be read.
    Incomplete,
}

impl Outcome {
    /// Bad usage, missing secret, no connection. The same number that clap uses for usage errors.
    pub(crate) const COULD_NOT_RUN: u8 = 2;
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Clean => Self::SUCCESS,
            Outcome::Findings => Self::from(1),
            Outcome::Incomplete => Self::from(Outcome::COULD_NOT_RUN),
        }
    }
}
