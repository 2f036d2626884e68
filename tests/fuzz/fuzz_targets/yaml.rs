//! No text makes the reader of YAML panic, hang or take memory without bound.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| xtask::testing::read_yaml(text));
