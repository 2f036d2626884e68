//! What cargo-deny reports about `Cargo.lock`: one JSON object per line on stderr, the last one a summary.

use anyhow::{Result, bail};
use serde::Deserialize;

use super::Advisory;
use crate::core::finding::{Finding, Severity};

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    /// Of a diagnostic: `error`, `warning`, `note` or `help`.
    #[serde(default)]
    severity: String,
    /// Of a line of the log: `ERROR` or lower.
    #[serde(default)]
    level: String,
    #[serde(default)]
    graphs: Vec<Graph>,
    #[serde(default)]
    notes: Vec<String>,
    advisory: Option<About>,
}

#[derive(Deserialize)]
struct Graph {
    #[serde(rename = "Krate")]
    krate: Krate,
}

#[derive(Deserialize)]
struct Krate {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct About {
    id: String,
    title: String,
}

/// The number of packages in a `Cargo.lock`.
pub(super) fn count(lock: &str) -> usize {
    lock.lines().filter(|line| line.trim_end() == "[[package]]").count()
}

/// The errors in the output of cargo-deny, with their lines in `lock`.
///
/// Fails if the output does not end with a summary: then cargo-deny stopped before it had checked everything.
pub(super) fn findings(output: &str, lock: &str) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    let mut is_complete = false;
    for text in output.lines().filter(|line| !line.trim().is_empty()) {
        // Before it reads its options, cargo-deny writes plain text.
        let Ok(line) = serde_json::from_str::<Line>(text) else {
            errors.push(text.trim().to_owned());
            continue;
        };
        match line.kind.as_str() {
            "summary" => is_complete = true,
            "diagnostic" if line.fields.severity == "error" => found.push(finding(&line.fields, lock)),
            "log" if line.fields.level == "ERROR" => errors.push(line.fields.message),
            _ => {}
        }
    }
    if !is_complete {
        let why = if errors.is_empty() { "it wrote no summary".to_owned() } else { errors.join("; ") };
        bail!("cargo-deny could not check the crates: {why}");
    }
    Ok(found)
}

fn finding(fields: &Fields, lock: &str) -> Finding {
    let krate = fields.graphs.first().map(|graph| &graph.krate);
    let package = krate.map_or_else(String::new, |krate| format!("{} {}", krate.name, krate.version));
    let line = krate.map_or(1, |krate| line_of(lock, krate));
    let message = match &fields.advisory {
        Some(advisory) => format!("{package}: {}: {}", advisory.id, advisory.title),
        None if package.is_empty() => fields.message.clone(),
        None => format!("{package}: {}", fields.message),
    };
    let solution = fields.notes.iter().find_map(|note| note.strip_prefix("Solution: "));
    let remedy = match (&fields.advisory, solution) {
        (Some(_), Some(solution)) => {
            format!("{solution} (cargo update), or accept it in policies/audit.toml")
        }
        (Some(_), None) => "replace the crate, or accept the advisory in policies/audit.toml".to_owned(),
        (None, _) => "replace the crate, or allow it in policies/deny.toml".to_owned(),
    };
    let severity = if fields.code == "vulnerability" { Severity::High } else { Severity::Medium };
    Advisory {
        rule: &format!("crate-{}", fields.code),
        severity,
        path: "Cargo.lock",
        package: &package,
        line,
        message,
        remedy,
    }
    .finding()
}

/// The line with the name of a crate of this version.
fn line_of(lock: &str, krate: &Krate) -> usize {
    let (name, version) = (format!("name = \"{}\"", krate.name), format!("version = \"{}\"", krate.version));
    let lines: Vec<&str> = lock.lines().collect();
    lines.windows(2).position(|pair| pair[0] == name && pair[1] == version).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"time\"\nversion = \"0.3.0\"\n\n[[package]]\nname = \"time\"\nversion = \"0.1.43\"\n";
    const SUMMARY: &str = r#"{"type":"summary","fields":{"advisories":{"errors":1}}}"#;
    const ADVISORY: &str = r#"{"type":"diagnostic","fields":{"code":"vulnerability","severity":"error",
        "message":"Potential segfault","graphs":[{"Krate":{"name":"time","version":"0.1.43"}}],
        "notes":["ID: RUSTSEC-2020-0071","Solution: Upgrade to >=0.2.23"],
        "advisory":{"id":"RUSTSEC-2020-0071","title":"Potential segfault"}}}"#;

    fn on_one_line(text: &str) -> String {
        text.replace('\n', "")
    }

    #[test]
    fn an_advisory_is_reported_at_the_version_that_it_affects() {
        let output = format!("{}\n{SUMMARY}\n", on_one_line(ADVISORY));
        let found = findings(&output, LOCK).expect("complete");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].rule.as_str(), found[0].span.line), ("crate-vulnerability", 6));
        assert_eq!(found[0].message, "time 0.1.43: RUSTSEC-2020-0071: Potential segfault");
        assert!(found[0].remedy.starts_with("Upgrade to >=0.2.23"), "{}", found[0].remedy);
        assert_eq!(count(LOCK), 2);
    }

    #[test]
    fn output_without_a_summary_is_an_error_and_not_clean() {
        let log =
            r#"{"type":"log","fields":{"level":"ERROR","message":"failed to fetch advisory database"}}"#;
        let error = findings(log, LOCK).expect_err("incomplete").to_string();
        assert!(error.contains("failed to fetch advisory database"), "{error}");
        let error = findings("error: unexpected argument", LOCK).expect_err("incomplete").to_string();
        assert!(error.contains("unexpected argument"), "{error}");
        findings("", LOCK).expect_err("nothing was checked");
    }

    #[test]
    fn warnings_are_not_findings() {
        let warning = on_one_line(ADVISORY).replace("\"error\"", "\"warning\"");
        assert_eq!(findings(&format!("{warning}\n{SUMMARY}"), LOCK).expect("complete"), []);
    }
}
