//! What the toolkit needs of the machine and the network: git, HTTP, the terminal, signals, files.
//!
//! The lowest layer: nothing here knows environments, dbt or a warehouse.

pub(crate) mod actions;
pub(crate) mod atomic;
pub(crate) mod console;
pub(crate) mod contract;
pub(crate) mod dialogue;
pub(crate) mod digest;
pub(crate) mod git;
pub(crate) mod github;
pub(crate) mod hex;
pub(crate) mod http;
pub(crate) mod interrupt;
pub(crate) mod locked;
pub(crate) mod outcome;
pub(crate) mod probe;
pub(crate) mod program;
pub(crate) mod redact;
pub(crate) mod remove;
pub(crate) mod repo;
