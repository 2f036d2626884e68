//! The exit triple: 0 clean or done, 1 findings or a failed gate, 2 could not run.
//!
//! A command returns `Ok(Outcome)` if it did its work, whatever it found, and `Err` if it could not. Only
//! `main` maps these to numbers.

use std::process::ExitCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, without findings.
    Clean,
    /// Done, and there are findings, or a gate failed.
    Findings,
    /// No findings in the part that could be read, but not all could be read.
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
