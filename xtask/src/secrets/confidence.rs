//! How certain a finding is: evidence against it in its place and value lowers its severity.
//!
//! A password of a test or a sample is worth a look and seldom more. It is reported as `low`, so that the real ones
//! come first in findings sorted by severity.

use super::assess::{self, Shape};
use super::engine::{Hit, Source};
use super::verify::Proof;
use crate::core::finding::Severity;

/// Folders of what is not run in earnest.
const FOLDERS: &[&str] = &[
    "test",
    "tests",
    "testing",
    "testdata",
    "test-data",
    "test_data",
    "unittests",
    "spec",
    "specs",
    "__tests__",
    "__mocks__",
    "mock",
    "mocks",
    "fixture",
    "fixtures",
    "cassettes",
    "example",
    "examples",
    "sample",
    "samples",
    "demo",
    "demos",
    "doc",
    "docs",
    "documentation",
    "tutorial",
    "tutorials",
    "snippets",
    "e2e",
];

/// Endings of documents and of files that are there to be copied.
const ENDINGS: &[&str] = &[
    ".md",
    ".mdx",
    ".rst",
    ".adoc",
    ".example",
    ".sample",
    ".template",
    ".dist",
    ".tpl",
    ".stories.tsx",
    ".html",
];

/// The severity of a hit whose rule has the severity `full`.
pub(super) fn severity(path: &str, hit: &Hit, full: Severity) -> Severity {
    let doubted = hit.proof != Proof::Holds && (hit.weak || doubted(hit));
    match (hit.proof, doubted || hit.proof == Proof::Doubtful, seldom_real(path)) {
        (_, true, _) => full.min(Severity::Low),
        (Proof::Holds, _, false) => Severity::Critical,
        (Proof::Holds, _, true) => Severity::High,
        (_, _, true) => lower(full),
        _ => full,
    }
}

fn lower(full: Severity) -> Severity {
    match full {
        Severity::Critical => Severity::High,
        Severity::High => Severity::Medium,
        _ => Severity::Low,
    }
}

/// What the value itself says against it.
fn doubted(hit: &Hit) -> bool {
    let secret = hit.secret.as_slice();
    let generic = matches!(hit.source, Source::Generic(_) | Source::Provider(_));
    let sample = || assess::sample(secret) && !assess::random(secret, &Shape::of(secret));
    assess::along_the_keyboard(secret)
        || generic && (assess::counting(secret) || assess::patterned(secret) || sample())
}

/// Whether a path is of a test, a document or a sample. Of a path outside the repository only the name counts: what the
/// folders above it are called says nothing.
fn seldom_real(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let (folders, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
    let inside = !lower.starts_with('/')
        && folders.split('/').any(|folder| {
            FOLDERS.contains(&folder)
                || folder.starts_with("test")
                || folder.ends_with("-tests")
                || folder.ends_with("_tests")
        });
    let stem = name.split('.').next().unwrap_or(name);
    inside
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || stem == "conftest"
        || [".test.", ".spec.", ".example.", ".sample."].iter().any(|part| name.contains(part))
        || ["test.java", "tests.java", "test.kt", "test.scala", "spec.scala", "tests.cs"]
            .iter()
            .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::generic::Kind;

    fn of(path: &str, secret: &str, proof: Proof) -> Severity {
        let hit = Hit {
            source: Source::Generic(Kind::Password),
            range: 0..1,
            matched: 0..1,
            secret: secret.as_bytes().to_vec(),
            proof,
            beside: None,
            weak: false,
            silent: false,
        };
        severity(path, &hit, Severity::Medium)
    }

    #[test]
    fn tests_samples_and_default_passwords_are_low() {
        let good = ["Harb", "or48", "!t"].concat();
        assert_eq!(of("profiles.yml", &good, Proof::Plausible), Severity::Medium);
        assert_eq!(of("/tmp/tests/profiles.yml", &good, Proof::Plausible), Severity::Medium);
        for path in
            ["tests/profiles.yml", "docs/setup.md", "src/load_test.go", ".env.example", "src/DbTest.java"]
        {
            assert_eq!(of(path, &good, Proof::Plausible), Severity::Low, "{path}");
            assert_eq!(of(path, &good, Proof::Holds), Severity::High, "{path}");
        }
        for sample in ["keycloak123", "P@ssw0rd1", "abcdef1234567890", "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6"] {
            assert_eq!(of("profiles.yml", sample, Proof::Plausible), Severity::Low, "{sample}");
        }
        assert_eq!(of("profiles.yml", &good, Proof::Doubtful), Severity::Low);
        assert_eq!(of("profiles.yml", &good, Proof::Holds), Severity::Critical);
    }
}
