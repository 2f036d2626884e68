//! The integration tests: one binary, one file a command.

mod seed;
mod support;
