//! The integration tests: one binary, one file per command.

#![expect(clippy::unwrap_used, reason = "a panic is how a test says no")]
#![expect(clippy::print_stdout, reason = "a test that could not run here says so")]

mod adopt;
mod audit;
mod backtest;
mod conformance;
mod dbt_v2;
mod docs;
mod doctor;
mod elt;
mod engines;
mod github;
mod guard;
mod launcher;
mod lint;
mod metrics;
mod notify;
mod plan;
mod planning;
mod projects;
mod python;
mod replay;
mod report_page;
mod schema;
mod secrets;
mod seed;
mod snowflake;
mod state;
mod structure;
mod support;
mod upgrade;
mod wanted;
mod workflows;
