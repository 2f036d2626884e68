//! Names of environments, what kind each is, and which may ever be dropped. Pure: no warehouse here.
//!
//! A name from outside (an option, an issue, a branch) becomes an identifier only as a [`Name`], so
//! text that does not fit the grammar never gets near SQL. A `DROP` takes a [`Droppable`], which can
//! only be had by showing three independent proofs; prod and dev cannot become one by type.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Snowflake's limit is 255; 63 is what every engine that dbt reaches can hold.
const LONGEST_NAME: usize = 63;

/// The schema in which the registry of environments lives.
pub(crate) const REGISTRY: &str = "xtask_registry";

/// The database in which the ledgers of many environments are brought together to be read.
pub(crate) const GATHERED: &str = "xtask_gathered";

/// Schemas and databases that belong to an engine or to this toolkit.
const RESERVED: [&str; 10] = [
    REGISTRY,
    GATHERED,
    "information_schema",
    "main",
    "memory",
    "pg_catalog",
    "public",
    "system",
    "temp",
    "account_usage",
];

/// The name of an environment, which is the name of its schema: `^[a-z][a-z0-9_]{0,62}$`, given in
/// any case and kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Name(#[schemars(regex(pattern = r"^[A-Za-z][A-Za-z0-9_]{0,62}$"))] String);

#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum NameError {
    #[error("a schema name cannot be empty; use a name such as issue_42")]
    Empty,
    #[error("a schema name has at most {LONGEST_NAME} characters, this one has {0}")]
    TooLong(usize),
    #[error("a schema name starts with a letter a-z and goes on with a-z, 0-9 and _, so {0:?} is not valid")]
    Grammar(String),
    #[error("the schema name {0:?} is reserved by the engine or this toolkit; use a name such as issue_42")]
    Reserved(String),
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let length = text.chars().count();
        if length == 0 {
            return Err(NameError::Empty);
        }
        if length > LONGEST_NAME {
            return Err(NameError::TooLong(length));
        }
        let mut bytes = text.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic());
        if !starts || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(NameError::Grammar(text.to_owned()));
        }
        let name = text.to_ascii_lowercase();
        if RESERVED.contains(&name.as_str()) {
            return Err(NameError::Reserved(name));
        }
        Ok(Self(name))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name from outside (a role of the policy, a database, a user's view) that is safe to quote: no
/// control characters, and no backslash, because tools treat it differently inside quotes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub(crate) struct Identifier(String);

/// Snowflake's limit.
const LONGEST_IDENTIFIER: usize = 255;

impl Identifier {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Identifier {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.chars().count() > LONGEST_IDENTIFIER {
            return Err(format!("a name has 1 to {LONGEST_IDENTIFIER} characters"));
        }
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return Err(format!("{text:?} is no name: it holds a backslash or a control character"));
        }
        Ok(Self(text))
    }
}

/// What an environment is for, read off its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Prod,
    Dev,
    Issue,
    PullRequest,
    Branch,
    /// A name that a user chose freely: it can be built, and only its owner can drop it, by hand.
    Custom,
}

impl Kind {
    pub(crate) fn is_temporary(self) -> bool {
        matches!(self, Self::Issue | Self::PullRequest | Self::Branch)
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Prod => "prod",
            Self::Dev => "dev",
            Self::Issue => "issue",
            Self::PullRequest => "pull_request",
            Self::Branch => "branch",
            Self::Custom => "custom",
        }
    }
}

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.0.as_str() {
            "prod" => Kind::Prod,
            "dev" => Kind::Dev,
            name if numbered(name, "issue_").is_some() => Kind::Issue,
            name if numbered(name, "pr_").is_some() => Kind::PullRequest,
            name if name.strip_prefix("branch_").is_some_and(|slug| !slug.is_empty()) => Kind::Branch,
            _ => Kind::Custom,
        }
    }

    /// The number of the issue or pull request that this environment is named after.
    pub(crate) fn number(&self) -> Option<u64> {
        numbered(&self.0, "issue_").or_else(|| numbered(&self.0, "pr_"))
    }
}

/// `prefix` and a decimal number without leading zeros: one number has one name.
fn numbered(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    if digits.starts_with('0') {
        return None;
    }
    digits.parse().ok()
}

/// What the name of a schema is in the family of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// The environment's first schema.
    First,
    /// The name of the first one with `_` and more after it, as dbt names custom schemas.
    Further,
}

/// What the name of a schema is in the family of `environment`, in any case; `None` if it is not in it. A name is not
/// enough to belong to it: `branch_x_y` may be an environment beside `branch_x`.
pub(crate) fn member(schema: &str, environment: &str) -> Option<Member> {
    let (own, rest) = schema.split_at_checked(environment.len())?;
    if own.is_empty() || !own.eq_ignore_ascii_case(environment) {
        return None;
    }
    match rest.strip_prefix('_') {
        Some(custom) => (!custom.is_empty()).then_some(Member::Further),
        None => rest.is_empty().then_some(Member::First),
    }
}

pub(crate) fn is_named_after(schema: &str, environment: &str) -> bool {
    member(schema, environment) == Some(Member::Further)
}

/// The one of `environments` in whose family a schema is: the one with the longest name that fits.
pub(crate) fn family_of<'a>(schema: &str, environments: &[&'a str]) -> Option<&'a str> {
    let fits = environments.iter().filter(|name| member(schema, name).is_some());
    fits.max_by_key(|name| name.len()).copied()
}

/// What was found about a schema before a drop: each proof is read from another place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evidence<'a> {
    /// The schema named by the ownership mark in the schema itself.
    pub(crate) marked_for: Option<&'a str>,
    /// The schema named by the schema's own comment, if the engine keeps one.
    pub(crate) comment: Comment<'a>,
    /// Whether the registry knows the environment.
    pub(crate) registered: bool,
    /// The dbt project that it belongs to, if that is another one.
    pub(crate) other: Option<&'a str>,
}

/// The half of the ownership mark that is attached to the schema and not stored in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Comment<'a> {
    /// The engine has no comments on schemas.
    #[default]
    Unsupported,
    /// The schema has no comment, or the comment is not ours.
    Absent,
    For(&'a str),
}

/// A schema that may be dropped. Only [`prove_droppable`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Droppable(Name);

impl Droppable {
    pub(crate) fn name(&self) -> &Name {
        &self.0
    }
}

#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error("{0} is the {kind} environment, which is never dropped", kind = .0.kind().label())]
    Protected(Name),
    #[error(
        "{0} is not the name of an issue, pull request or branch environment (issue_42, pr_7, branch_x), \
         and only those are dropped; drop it by hand if it is yours"
    )]
    NotTemporary(Name),
    #[error(
        "{0} carries no ownership mark, so it was not made by this toolkit; drop it by hand if it is yours"
    )]
    Unmarked(Name),
    #[error("{0} carries the ownership mark of {1:?}, so it is a copy or was renamed; drop it by hand")]
    MarkedForAnother(Name, String),
    #[error(
        "{0} has lost the comment that marks the schema as this toolkit's; `cargo xtask schema create --schema {0}` \
         writes it again"
    )]
    WithoutComment(Name),
    #[error("{0} belongs to the dbt project {1}, so only that drops it; run this there")]
    OfAnotherProject(Name, String),
    #[error("{0} is not in the registry; `cargo xtask schema create --schema {0}` registers it again")]
    Unregistered(Name),
}

/// A name of the issue, pull-request or branch grammar, a mark in the schema that names that schema,
/// and an entry in the registry: all three, or a refusal that says which is missing.
pub(crate) fn prove_droppable(name: Name, evidence: Evidence<'_>) -> Result<Droppable, Refusal> {
    let kind = name.kind();
    if matches!(kind, Kind::Prod | Kind::Dev) {
        return Err(Refusal::Protected(name));
    }
    if !kind.is_temporary() {
        return Err(Refusal::NotTemporary(name));
    }
    if let Some(other) = evidence.other {
        return Err(Refusal::OfAnotherProject(name, other.to_owned()));
    }
    match evidence.marked_for {
        None => return Err(Refusal::Unmarked(name)),
        Some(marked) if !marked.eq_ignore_ascii_case(name.as_str()) => {
            return Err(Refusal::MarkedForAnother(name, marked.to_owned()));
        }
        Some(_) => {}
    }
    match evidence.comment {
        Comment::Absent => return Err(Refusal::WithoutComment(name)),
        Comment::For(marked) if !marked.eq_ignore_ascii_case(name.as_str()) => {
            return Err(Refusal::MarkedForAnother(name, marked.to_owned()));
        }
        Comment::For(_) | Comment::Unsupported => {}
    }
    if !evidence.registered {
        return Err(Refusal::Unregistered(name));
    }
    Ok(Droppable(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a valid name")
    }

    #[test]
    fn case_does_not_make_another_environment() {
        assert_eq!(name("ISSUE_42"), name("issue_42"));
        assert_eq!(name("ISSUE_42").to_string(), "issue_42");
    }

    #[test]
    fn what_is_no_identifier_is_no_name() {
        for text in ["x; drop schema dev", "../x", "1x", "_x", "é", "ｉssue", "a b", "a\"b", "a\n", "a\0"] {
            assert!(matches!(text.parse::<Name>(), Err(NameError::Grammar(_))), "{text:?}");
        }
        assert_eq!("".parse::<Name>(), Err(NameError::Empty));
        assert_eq!("a".repeat(64).parse::<Name>(), Err(NameError::TooLong(64)));
        assert!("a".repeat(63).parse::<Name>().is_ok());
        assert_eq!("MAIN".parse::<Name>(), Err(NameError::Reserved("main".into())));
    }

    #[test]
    fn kinds_are_read_off_the_whole_name() {
        for (text, kind) in [
            ("prod", Kind::Prod),
            ("DEV", Kind::Dev),
            ("issue_42", Kind::Issue),
            ("issue_042", Kind::Custom),
            ("issue_", Kind::Custom),
            ("issue_42x", Kind::Custom),
            ("issue_99999999999999999999", Kind::Custom),
            ("pr_7", Kind::PullRequest),
            ("branch_x", Kind::Branch),
            ("branch_", Kind::Custom),
            ("production", Kind::Custom),
        ] {
            assert_eq!(name(text).kind(), kind, "{text}");
        }
    }

    #[test]
    fn a_further_schema_is_named_after_its_environment() {
        for (schema, expected) in [
            ("issue_1_raw", true),
            ("ISSUE_1_raw", true),
            ("issue_1__", true),
            ("issue_1", false),
            ("issue_1_", false),
            ("issue_12", false),
            ("issue_10_raw", false),
            ("raw", false),
            ("raw_issue_1", false),
            ("issué_1_raw", false),
            ("", false),
        ] {
            assert_eq!(is_named_after(schema, "issue_1"), expected, "{schema}");
        }
        assert_eq!(member("ISSUE_1", "issue_1"), Some(Member::First));
        assert_eq!(member("", ""), None);
        assert_eq!(member("_raw", ""), None);
        // A name that ends in an underline has its first schema, and further ones after one more.
        assert_eq!(member("x_", "x_"), Some(Member::First));
        assert_eq!(member("x_raw", "x_"), None);
        assert_eq!(member("x__raw", "x_"), Some(Member::Further));
    }

    #[test]
    fn a_schema_is_in_the_family_of_the_longest_name_that_fits() {
        let names = ["issue_1", "branch_a", "branch_a_b", "branch_a_"];
        for (schema, name) in [
            ("issue_1", Some("issue_1")),
            ("ISSUE_1_raw", Some("issue_1")),
            ("issue_1_", None),
            ("issue_12", None),
            ("branch_a_b", Some("branch_a_b")),
            ("branch_a_b_raw", Some("branch_a_b")),
            ("branch_a_raw", Some("branch_a")),
            ("branch_a_", Some("branch_a_")),
            ("branch_a__raw", Some("branch_a_")),
        ] {
            assert_eq!(family_of(schema, &names), name, "{schema}");
        }
    }

    #[test]
    fn prod_and_dev_stay_whatever_is_shown_for_them() {
        for text in ["prod", "dev"] {
            let shown = Evidence {
                marked_for: Some(text),
                comment: Comment::For(text),
                registered: true,
                other: None,
            };
            assert_eq!(prove_droppable(name(text), shown), Err(Refusal::Protected(name(text))));
        }
    }

    #[test]
    fn a_drop_takes_all_three_proofs() {
        let whole = Evidence {
            marked_for: Some("issue_42"),
            comment: Comment::For("ISSUE_42"),
            registered: true,
            other: None,
        };
        assert!(prove_droppable(name("issue_42"), whole).is_ok());

        let unmarked = Evidence { marked_for: None, ..whole };
        let foreign = Evidence { marked_for: Some("issue_4"), ..whole };
        let unknown = Evidence { registered: false, ..whole };
        let bare = Evidence { comment: Comment::Absent, ..whole };
        let renamed = Evidence { comment: Comment::For("issue_4"), ..whole };
        let of_another = Evidence { other: Some("stock"), ..whole };
        for (evidence, refusal) in [
            (unmarked, Refusal::Unmarked(name("issue_42"))),
            (foreign, Refusal::MarkedForAnother(name("issue_42"), "issue_4".into())),
            (of_another, Refusal::OfAnotherProject(name("issue_42"), "stock".into())),
            (unknown, Refusal::Unregistered(name("issue_42"))),
            (bare, Refusal::WithoutComment(name("issue_42"))),
            (renamed, Refusal::MarkedForAnother(name("issue_42"), "issue_4".into())),
        ] {
            assert_eq!(prove_droppable(name("issue_42"), evidence), Err(refusal));
        }
        let own = Evidence { marked_for: Some("scratch"), registered: true, ..whole };
        assert_eq!(prove_droppable(name("scratch"), own), Err(Refusal::NotTemporary(name("scratch"))));
    }
}
