//! The speed of the secret search alone: start-up, and several kinds of text.
//!
//! Run with `cargo bench -p xtask --bench secrets`. `speed.sh` measures whole runs on files and histories, compared with
//! other tools.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use xtask::testing::{build_secret_engine, scan_for_secrets};

/// The size of each case's text, in bytes.
const LENGTH: usize = 1 << 20;

fn repeated(piece: &str) -> Vec<u8> {
    piece.as_bytes().iter().copied().cycle().take(LENGTH).collect()
}

/// Texts by name: source and settings as repositories hold them, a file full of secrets, and what is made to hurt.
fn texts() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let rules = include_str!("../../policies/secrets.toml");
    let source = include_str!("../../xtask/src/core/yaml.rs");
    vec![
        ("source", "src/yaml.rs", repeated(source)),
        ("settings", "rules.toml", repeated(rules)),
        ("secrets", "examples.txt", repeated(&rules.replace("<>", ""))),
        ("assignments", "a.txt", repeated("a=")),
        ("keys", "a.txt", repeated("key=")),
        ("base64", "a.txt", repeated("eyJhbGciOiJIUzI1NiJ9")),
        ("addresses", "a.txt", repeated("x://a:b@")),
        ("passwords", "a.py", repeated("password = get_password('harbor', key=token_1)\n")),
        ("heads", "a.txt", repeated(concat!("-----BEGIN RSA PRIV", "ATE KEY-----\n"))),
    ]
}

fn scanning(criterion: &mut Criterion) {
    // The automata are built at the first text; that is the other bench.
    black_box(scan_for_secrets("warm.txt", &repeated("x = 1\n")));
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Bytes(LENGTH as u64)).sample_size(10);
    for (name, path, text) in texts() {
        group.bench_with_input(BenchmarkId::from_parameter(name), &text, |bencher, text| {
            bencher.iter(|| scan_for_secrets(path, black_box(text)));
        });
    }
    group.finish();
}

fn starting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("start");
    group.sample_size(20).bench_function("engine", |bencher| bencher.iter(build_secret_engine));
    group.finish();
}

criterion_group!(benches, starting, scanning);
criterion_main!(benches);
