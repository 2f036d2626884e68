//! No file makes the search for secrets panic, hang or point outside of it. The first line is the path,
//! as the path decides the language.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (path, text) = bytes.split_at(end);
    let _ = xtask::testing::scan_for_secrets(&String::from_utf8_lossy(path), text);
});
