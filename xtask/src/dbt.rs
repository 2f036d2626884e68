//! dbt as a part: its Python environment, the process that runs it, and the artifacts it leaves.

pub(crate) mod artifacts;
pub(crate) mod events;
pub(crate) mod graph;
pub(crate) mod project;
pub(crate) mod python;
pub(crate) mod runner;
