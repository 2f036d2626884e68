//! `policies/audit.toml`: advisories that people accepted, each with a reason and a last day.

use anyhow::{Context as _, Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Advisory;
use crate::core::finding::{Finding, Severity};
use crate::system::contract::Contract;
use crate::system::repo::Repo;

const FILE: &str = "policies/audit.toml";

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    accepted: Vec<Accepted>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Accepted {
    /// The identifier of the advisory, such as `RUSTSEC-2020-0071`.
    id: String,
    reason: String,
    /// The last day on which it is accepted.
    #[schemars(with = "String")]
    until: toml::value::Datetime,
}

/// The accepted advisories of a repository.
#[derive(Debug, Default)]
pub(super) struct Exceptions(Vec<Accepted>);

pub(crate) fn contract() -> Contract {
    Contract::policy::<File>("policies/audit", "policies/audit.toml")
}

impl Exceptions {
    pub(super) fn load(repo: &Repo) -> Result<Self> {
        let path = repo.policies().join("audit.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).with_context(|| format!("{} is not valid", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        for accepted in &file.accepted {
            if accepted.reason.trim().is_empty() {
                bail!("{} is accepted without a reason", accepted.id);
            }
            last_day(accepted)?;
        }
        Ok(Self(file.accepted))
    }

    /// Remove what is accepted on `today`; add a finding for each exception that has expired or that matches nothing.
    /// Returns how many findings were removed.
    pub(super) fn apply(&mut self, findings: &mut Vec<Finding>, today: jiff::civil::Date) -> usize {
        let before = findings.len();
        let mut stale = Vec::new();
        for accepted in &self.0 {
            let is_about =
                |finding: &Finding| finding.message.split([' ', ':']).any(|word| word == accepted.id);
            let is_used = findings.iter().any(is_about);
            let is_expired = last_day(accepted).is_ok_and(|day| day < today);
            match (is_used, is_expired) {
                (false, _) => stale.push(complaint(accepted, "matches no finding", "remove it")),
                (true, true) => {
                    stale.push(complaint(accepted, "has expired", "update the dependency, or renew it"));
                }
                (true, false) => findings.retain(|finding| !is_about(finding)),
            }
        }
        let removed = before - findings.len();
        findings.extend(stale);
        removed
    }
}

fn last_day(accepted: &Accepted) -> Result<jiff::civil::Date> {
    let text = accepted.until.to_string();
    text.parse()
        .with_context(|| format!("{}: `until` is {text}; write a day such as 2027-01-31", accepted.id))
}

fn complaint(accepted: &Accepted, what: &str, remedy: &str) -> Finding {
    Advisory {
        rule: "audit-exception",
        severity: Severity::Medium,
        path: FILE,
        package: &accepted.id,
        line: 1,
        message: format!("the exception for {} {what}", accepted.id),
        remedy: remedy.to_owned(),
    }
    .finding()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn found(id: &str) -> Finding {
        Advisory {
            rule: "crate-vulnerability",
            severity: Severity::High,
            path: "Cargo.lock",
            package: "time 0.1.43",
            line: 1,
            message: format!("time 0.1.43: {id}: a fault"),
            remedy: String::new(),
        }
        .finding()
    }

    fn accepted(id: &str) -> Exceptions {
        Exceptions::parse(&format!(
            "[[accepted]]\nid = \"{id}\"\nreason = \"not reached\"\nuntil = 2026-12-31\n"
        ))
        .expect("valid")
    }

    #[test]
    fn an_accepted_advisory_is_removed_until_its_last_day() {
        let mut findings = vec![found("RUSTSEC-2020-0071"), found("RUSTSEC-2020-00711")];
        assert_eq!(accepted("RUSTSEC-2020-0071").apply(&mut findings, date(2026, 12, 31)), 1);
        assert_eq!(findings.len(), 1);
        let mut findings = vec![found("RUSTSEC-2020-0071")];
        assert_eq!(accepted("RUSTSEC-2020-0071").apply(&mut findings, date(2027, 1, 1)), 0);
        assert_eq!(findings.len(), 2);
        assert!(findings[1].message.ends_with("has expired"), "{}", findings[1].message);
    }

    #[test]
    fn an_exception_that_matches_nothing_is_a_finding() {
        let mut findings = Vec::new();
        accepted("RUSTSEC-2020-0071").apply(&mut findings, date(2026, 12, 1));
        assert_eq!(findings[0].message, "the exception for RUSTSEC-2020-0071 matches no finding");
    }

    #[test]
    fn an_exception_needs_a_reason_and_a_day() {
        for text in [
            "[[accepted]]\nid = \"A\"\nreason = \" \"\nuntil = 2026-12-31\n",
            "[[accepted]]\nid = \"A\"\nreason = \"b\"\n",
            "[[accepted]]\nid = \"A\"\nreason = \"b\"\nuntil = 10:00:00\n",
            "[[accepted]]\nid = \"A\"\nreason = \"b\"\nuntil = 2026-12-31\nowner = \"x\"\n",
        ] {
            Exceptions::parse(text).expect_err(text);
        }
    }
}
