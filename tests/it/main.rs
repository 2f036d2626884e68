//! The integration tests: one binary, one file a command.

#![expect(clippy::unwrap_used, reason = "a panic is how a test says no")]

mod doctor;
mod python;
mod seed;
mod support;
