//! What an environment is made from and what must be built to bring it up to date.
//!
//! `define` reads the project's files and gives every node a definition: one short hash per input. `decide`
//! compares definitions with what the ledger keeps of the last build and names what to build, and why. Neither
//! starts dbt, and nothing is guessed: what cannot be known is coarse, or built every time.

#[cfg(test)]
mod cases;
mod config;
pub(crate) mod decide;
pub(crate) mod define;
pub(crate) mod fold;
pub(crate) mod profile;
mod project;
mod reach;
pub(crate) mod record;
mod render;
mod seed;
pub(crate) mod select;
mod tests;
mod unit;

pub(crate) use self::project::{NO_INPUT, roots};
