//! GitHub events: read one, decide what it requests, and run the same on a laptop.

pub(crate) mod event;
pub(crate) mod gate;
pub(crate) mod plan;
pub(crate) mod replay;
pub(crate) mod wanted;
