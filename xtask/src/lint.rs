//! `cargo xtask lint`: one pass over secrets, SQL, YAML, dbt and workflows.

pub(crate) mod rule;
pub(crate) mod sql;
