//! What the policy grants in an environment, and how a changed policy is applied.
//!
//! The schema's comment keeps what was granted last. So each command knows without a question to Snowflake
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

/// What a schema's comment says was granted.
pub(super) fn applied(comment: &str) -> Applied {
    let value: Option<Value> = serde_json::from_str(comment).ok();
    let grants = value.and_then(|value| value.get("grants").cloned());
    grants.and_then(|grants| serde_json::from_value(grants).ok()).unwrap_or_default()
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
        assert_eq!(applied(&super::super::statements::comment_with(&name, &grants)), grants);
        for other in ["", "mine", "{}", "{\"grants\": 3}", &super::super::statements::comment(&name)] {
            assert!(applied(other).is_empty(), "{other}");
        }
    }
}
