//! The integration tests: one binary, one file a command.

mod elt;
mod seed;
mod support;
