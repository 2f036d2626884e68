//! `cargo xtask lint`: one pass over secrets, SQL, YAML, dbt and workflows.

#[cfg(test)]
mod cases;
pub(crate) mod dbt;
pub(crate) mod rule;
pub(crate) mod workflow;
pub(crate) mod yaml;
