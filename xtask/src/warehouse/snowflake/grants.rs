//! What the policy grants in an environment, and how a changed policy is applied.
//!
//! The schema's comment keeps what was granted last, and what is being granted: it is written before the first new grant,
//! so a command that is cut short leaves no grant that is not recorded. So each command knows without a question to Snowflake
//! whether the policy has changed since, and what to revoke; grants that people made by hand are theirs.
//! Grants are made on the schema, never on the database: a future grant on a schema makes Snowflake ignore
//! those on its database.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::environment::Name;
use crate::core::policy::{Access, Grant};
use crate::warehouse::quote;

/// Roles, as Snowflake keeps their names, and what they may do.
pub(super) type Applied = BTreeMap<String, Access>;

/// The kinds of objects that dbt makes, with the privileges of a reader and those that a writer has besides.
const OBJECTS: [(&str, &str, &str); 2] =
    [("tables", "select", "insert, update, delete, truncate"), ("views", "select", "")];

/// What the policy says for `name`; the wider access, if it says several for one role.
pub(super) fn declared(grants: &[Grant], name: &Name) -> Applied {
    let mut all = Applied::new();
    for grant in grants.iter().filter(|grant| grant.kinds.is_empty() || grant.kinds.contains(&name.kind())) {
        let access = all.entry(grant.role.as_str().to_owned()).or_insert(grant.access);
        *access = (*access).max(grant.access);
    }
    all
}

/// What a schema's comment records of grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// What was granted.
    pub(super) applied: Applied,
    /// What a command began to grant, and did not record as granted: some of it may be.
    pub(super) granting: Applied,
}

impl Record {
    pub(super) fn of(comment: &str) -> Self {
        let value: Value = serde_json::from_str(comment).unwrap_or_default();
        let read = |key: &str| {
            value.get(key).and_then(|grants| serde_json::from_value(grants.clone()).ok()).unwrap_or_default()
        };
        Self { applied: read("grants"), granting: read("granting") }
    }

    /// Of a schema that is made, before its first grant.
    pub(super) fn announced(granting: &Applied) -> Self {
        Self { granting: granting.clone(), ..Self::default() }
    }

    pub(super) fn done(applied: &Applied) -> Self {
        Self { applied: applied.clone(), ..Self::default() }
    }

    /// Before what `declared` has more is granted.
    pub(super) fn before(&self, declared: &Applied) -> Self {
        if self.is(declared) {
            self.clone()
        } else {
            Self { applied: self.granted(), granting: declared.clone() }
        }
    }

    /// All that may have been granted.
    pub(super) fn granted(&self) -> Applied {
        let mut all = self.applied.clone();
        for (role, access) in &self.granting {
            let known = all.entry(role.clone()).or_insert(*access);
            *known = (*known).max(*access);
        }
        all
    }

    /// Whether just that was granted.
    pub(super) fn is(&self, declared: &Applied) -> bool {
        self.applied == *declared && self.granting.is_empty()
    }

    /// Whether it records all that is about to be granted.
    pub(super) fn covers(&self, declared: &Applied) -> bool {
        let granted = self.granted();
        declared.iter().all(|(role, access)| granted.get(role).is_some_and(|known| known >= access))
    }
}

/// For what exists and for what dbt will make. `schema` is qualified and quoted.
pub(super) fn grants(schema: &str, declared: &Applied) -> Vec<String> {
    let mut all = Vec::new();
    for (role, access) in declared {
        let role = quote(role);
        all.push(format!("grant usage on schema {schema} to role {role}"));
        for (objects, read, more) in OBJECTS {
            let privileges = match access {
                Access::Write if !more.is_empty() => format!("{read}, {more}"),
                _ => read.to_owned(),
            };
            for which in ["all", "future"] {
                all.push(format!(
                    "grant {privileges} on {which} {objects} in schema {schema} to role {role}"
                ));
            }
        }
    }
    all
}

/// What `before` has and `after` has not.
pub(super) fn revocations(schema: &str, before: &Applied, after: &Applied) -> Vec<String> {
    let mut all = Vec::new();
    for (role, access) in before {
        let kept = after.get(role);
        let role = quote(role);
        for (objects, read, more) in OBJECTS {
            let lost: Vec<&str> = match (access, kept) {
                (Access::Write, None) => vec![read, more],
                (Access::Write, Some(Access::Read)) => vec![more],
                (Access::Read, None) => vec![read],
                _ => Vec::new(),
            };
            let lost: Vec<&str> = lost.into_iter().filter(|part| !part.is_empty()).collect();
            if !lost.is_empty() {
                let lost = lost.join(", ");
                for which in ["all", "future"] {
                    all.push(format!(
                        "revoke {lost} on {which} {objects} in schema {schema} from role {role}"
                    ));
                }
            }
        }
        if kept.is_none() {
            all.push(format!("revoke usage on schema {schema} from role {role}"));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::statements::Database;
    use super::*;

    fn of(pairs: &[(&str, Access)]) -> Applied {
        pairs.iter().map(|(role, access)| ((*role).to_owned(), *access)).collect()
    }

    #[test]
    fn what_is_gone_from_the_policy_is_revoked() {
        let both = of(&[("R", Access::Read), ("W", Access::Write)]);
        assert_eq!(revocations("S", &both, &both), [""; 0]);
        assert_eq!(
            revocations("S", &both, &of(&[("W", Access::Read)])),
            [
                "revoke select on all tables in schema S from role \"R\"",
                "revoke select on future tables in schema S from role \"R\"",
                "revoke select on all views in schema S from role \"R\"",
                "revoke select on future views in schema S from role \"R\"",
                "revoke usage on schema S from role \"R\"",
                "revoke insert, update, delete, truncate on all tables in schema S from role \"W\"",
                "revoke insert, update, delete, truncate on future tables in schema S from role \"W\"",
            ]
        );
        assert_eq!(revocations("S", &of(&[("R", Access::Read)]), &of(&[("R", Access::Write)])), [""; 0]);
    }

    #[test]
    fn the_comment_keeps_what_was_granted() {
        let grants = of(&[("R", Access::Read), ("a b", Access::Write)]);
        let name: Name = "issue_1".parse().expect("a name");
        let database = Database::new(&"DB".to_owned().try_into().expect("a name"));
        for record in [Record::done(&grants), Record::announced(&grants), Record::default()] {
            assert_eq!(Record::of(&database.comment(&name, &record)), record);
        }
        for other in ["", "mine", "{}", "{\"grants\": 3}"] {
            assert_eq!(Record::of(other), Record::default(), "{other}");
        }
    }

    #[test]
    fn what_may_have_been_granted_is_recorded_before() {
        let (one, two) = (of(&[("R", Access::Read)]), of(&[("R", Access::Write), ("S", Access::Read)]));
        let cut = Record::done(&one).before(&two);
        assert_eq!((cut.granted(), cut.is(&two), cut.covers(&two)), (two.clone(), false, true));
        assert!(!Record::done(&one).covers(&two) && Record::done(&two).covers(&one));
        assert_eq!(Record::done(&two).before(&two), Record::done(&two));
        // The policy drops it before the command is repeated.
        assert_eq!(revocations("S", &cut.granted(), &one).len(), 7);
    }
}
