//! Types that the groups of `lint` share: a rule and its texts, an offence, a file to check, and the
//! parameters that a repository gives a rule.
//!
//! Rules only report offences; severities, scopes and waivers are applied afterwards, to all rules alike,
//! so that no rule can forget them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;

use crate::core::finding::{Group, Severity, Span};
pub(crate) use crate::core::source::Source;

/// A rule of this toolkit, with the texts that `--explain` and `policies/RULES.md` print.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// As policies and waivers write it: kebab-case, and it reads after "allow".
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    /// The default; `policies/lint.toml` can change it.
    pub(crate) severity: Severity,
    /// What it reports, in one line.
    pub(crate) summary: &'static str,
    /// Why that is a problem.
    pub(crate) why: &'static str,
    /// An example of an offence, and what to write instead, in Markdown.
    pub(crate) example: &'static str,
    /// How to fix it, in one line; an offence may give a more specific remedy.
    pub(crate) remedy: &'static str,
}

/// One place that violates a rule.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Offence {
    /// The rule's name: one of ours, or one of the style libraries' (`layout.indent`, `line-length`).
    pub(crate) rule: Cow<'static, str>,
    /// The file, as [`Source::path`] writes it.
    pub(crate) path: String,
    pub(crate) span: Span,
    pub(crate) message: String,
    /// A more specific remedy than the general one of the rule.
    pub(crate) remedy: Option<String>,
}

impl Rule {
    pub(crate) fn offence(&self, path: &str, span: Span, message: impl Into<String>) -> Offence {
        Offence {
            rule: Cow::Borrowed(self.name),
            path: path.to_owned(),
            span,
            message: message.into(),
            remedy: None,
        }
    }
}

/// The result of checking a file.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Sorted by line.
    pub(crate) offences: Vec<Offence>,
    /// Findings of rules that the settings downgrade to warnings.
    pub(crate) warnings: Vec<String>,
    /// Why a part of it could not be checked, although no fault is certain.
    pub(crate) unknown: Option<String>,
}

/// The parameters of `policies/lint.toml`: `[rules.<name>.parameters]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(pub(crate) BTreeMap<String, toml::Table>);

impl Parameters {
    /// The parameters of `rule`; each has a default, so that a repository without a policy is linted too.
    pub(crate) fn of<T: DeserializeOwned + Default>(&self, rule: &Rule) -> Result<T> {
        self.0.get(rule.name).map_or_else(
            || Ok(T::default()),
            |table| {
                table.clone().try_into().with_context(|| {
                    format!("failed to understand [rules.{}.parameters] of policies/lint.toml", rule.name)
                })
            },
        )
    }
}
