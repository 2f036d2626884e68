//! dbt as a part: the engines that build, the process that runs one, and the artifacts it leaves.

pub(crate) mod artifacts;
pub(crate) mod boundary;
pub(crate) mod engine;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod graph;
pub(crate) mod lineage;
pub(crate) mod messages;
pub(crate) mod native;
pub(crate) mod packages;
pub(crate) mod profile;
pub(crate) mod project;
pub(crate) mod python;
pub(crate) mod runner;
pub(crate) mod seed_files;
