//! No `.gitleaks.toml` makes the reader of secret rules, or a scan by them, panic or hang.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| xtask::testing::load_secret_rules(text));
