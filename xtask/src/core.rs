//! The vocabulary that all commands share: environments, findings, the ledger, policies, locks.

pub(crate) mod clock;
pub(crate) mod context;
pub(crate) mod environment;
pub(crate) mod finding;
pub(crate) mod ledger;
pub(crate) mod lock;
pub(crate) mod policy;
pub(crate) mod source;
pub(crate) mod sql;
pub(crate) mod stage;
pub(crate) mod yaml;
