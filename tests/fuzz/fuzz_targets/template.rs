//! No template makes the renderer panic or hang, and all that it puts out is traced to its source.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| xtask::testing::trace_template(text));
