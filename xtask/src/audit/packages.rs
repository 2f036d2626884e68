//! What pip-audit reports about one lock file of Python packages: a JSON object on stdout.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::Advisory;
use crate::core::finding::{Finding, Severity};
use crate::system::dialogue::Answer;

#[derive(Deserialize)]
struct Document {
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    version: Option<String>,
    /// Why the package was not checked.
    skip_reason: Option<String>,
    #[serde(default)]
    vulns: Vec<Vulnerability>,
}

#[derive(Deserialize)]
struct Vulnerability {
    id: String,
    #[serde(default)]
    fix_versions: Vec<String>,
    #[serde(default)]
    description: String,
}

/// How many packages were checked, and what was found at their lines in `lock`, the text of the file `path`.
///
/// Fails if pip-audit wrote no result or left a package out: what was not checked is not clean.
pub(super) fn findings(answer: &Answer, path: &str, lock: &str) -> Result<(usize, Vec<Finding>)> {
    // 1 is the code for vulnerabilities and for failures alike; only a result is written to stdout.
    if answer.stdout.is_empty() {
        let said = String::from_utf8_lossy(&answer.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it wrote no result");
        bail!("pip-audit could not check {path}: {}", last.trim());
    }
    parse(&answer.stdout, path, lock)
}

fn parse(stdout: &[u8], path: &str, lock: &str) -> Result<(usize, Vec<Finding>)> {
    let document: Document = serde_json::from_slice(stdout)
        .with_context(|| format!("pip-audit wrote no valid JSON about {path}"))?;
    let mut found = Vec::new();
    for dependency in &document.dependencies {
        if let Some(reason) = &dependency.skip_reason {
            bail!("pip-audit did not check {} of {path}: {reason}", dependency.name);
        }
        found.extend(
            dependency.vulns.iter().map(|vulnerability| finding(dependency, vulnerability, path, lock)),
        );
    }
    Ok((document.dependencies.len(), found))
}

fn finding(dependency: &Dependency, vulnerability: &Vulnerability, path: &str, lock: &str) -> Finding {
    let version = dependency.version.as_deref().unwrap_or_default();
    let package = format!("{} {version}", dependency.name);
    let summary = vulnerability.description.lines().next().unwrap_or_default();
    let start = format!("{}==", dependency.name);
    let line = lock.lines().position(|line| line.starts_with(&start)).map_or(1, |index| index + 1);
    let remedy = if vulnerability.fix_versions.is_empty() {
        "no version fixes it yet: replace the package, or accept it in policies/audit.toml".to_owned()
    } else {
        let versions = vulnerability.fix_versions.join(" or ");
        format!(
            "update to {versions} (cargo xtask python lock --upgrade), or accept it in policies/audit.toml"
        )
    };
    Advisory {
        rule: "package-vulnerability",
        severity: Severity::High,
        path,
        package: &package,
        line,
        message: format!("{package}: {}: {summary}", vulnerability.id)
            .trim_end_matches([' ', ':'])
            .to_owned(),
        remedy,
    }
    .finding()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str =
        "# a comment\nagate==1.9.1 \\\n    --hash=sha256:00\njinja2==3.1.0 \\\n    --hash=sha256:00\n";

    #[test]
    fn a_vulnerability_is_reported_at_its_pin() {
        let output = r#"{"dependencies": [{"name": "agate", "version": "1.9.1", "vulns": []},
            {"name": "jinja2", "version": "3.1.0", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["3.1.6"],
             "description": "Sandbox escape\nLong text"}]}], "fixes": []}"#;
        let (count, found) = parse(output.as_bytes(), "dbt/requirements/local.txt", LOCK).expect("a result");
        assert_eq!((count, found.len(), found[0].span.line), (2, 1, 4));
        assert_eq!(found[0].message, "jinja2 3.1.0: PYSEC-2026-1: Sandbox escape");
        assert!(found[0].remedy.starts_with("update to 3.1.6"), "{}", found[0].remedy);
    }

    #[test]
    fn a_package_that_was_skipped_is_an_error() {
        let output = r#"{"dependencies": [{"name": "agate", "skip_reason": "not found"}], "fixes": []}"#;
        let error = parse(output.as_bytes(), "local.txt", LOCK).expect_err("incomplete").to_string();
        assert_eq!(error, "pip-audit did not check agate of local.txt: not found");
    }
}
