//! The integration tests: one binary, one file a command.

mod doctor;
mod python;
mod seed;
mod support;
