//! `cargo xtask metrics`: how the warehouse, the pipeline and the data are doing.

#[allow(dead_code)]
pub(crate) mod html;
#[allow(dead_code)]
pub(crate) mod model;
