//! No text makes the reader or the rules of YAML panic, hang or take memory without bound; a fix keeps what is
//! said, and twice is once.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| xtask::testing::check_yaml(text));
