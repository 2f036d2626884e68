//! No files make the project graph or the rules of dbt panic or hang.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| xtask::testing::check_project(text));
