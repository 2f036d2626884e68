//! From a branch to the name of its environment, so that no two branches ever share one.

use sha2::{Digest as _, Sha256};

use crate::core::environment::Name;
use crate::system::hex;

const PREFIX: &str = "branch_";

/// What is left of 63 characters for the branch itself.
const LONGEST_SLUG: usize = 63 - PREFIX.len();

/// Digits of the digest: 40 bits.
const DIGITS: usize = 10;

/// `branch_<slug>`; a slug that lost anything of the branch's name ends in a digest of the whole name.
pub(crate) fn environment(branch: &str) -> Name {
    let mut slug: String = branch.chars().take(LONGEST_SLUG + 1).map(letter).collect();
    if slug != branch || slug.is_empty() || slug.len() > LONGEST_SLUG || ends_like_a_digest(&slug) {
        slug.truncate(LONGEST_SLUG - DIGITS - 1);
        let slug_end = slug.trim_end_matches('_').len();
        slug.truncate(slug_end);
        slug.push('_');
        slug.push_str(&digest(branch));
    }
    format!("{PREFIX}{slug}").parse().expect("the grammar of environments holds by construction")
}

fn letter(c: char) -> char {
    if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }
}

/// A branch that is called like another one's shortened name must not become it.
fn ends_like_a_digest(slug: &str) -> bool {
    slug.rsplit_once('_').is_some_and(|(_, end)| {
        end.len() == DIGITS && end.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

fn digest(branch: &str) -> String {
    hex::encode(&Sha256::digest(branch.as_bytes())[..DIGITS / 2])
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::core::environment::Kind;

    #[test]
    fn a_plain_name_stays_readable() {
        assert_eq!(environment("kpi_2").as_str(), "branch_kpi_2");
        assert!(environment("feature/new-kpi").as_str().starts_with("branch_feature_new_kpi_"));
    }

    #[test]
    fn branches_that_look_alike_stay_apart() {
        let long = "x".repeat(56);
        let shortened = environment("a/b").as_str().strip_prefix(PREFIX).expect("a prefix").to_owned();
        let branches = [
            "a/b",
            "a-b",
            "a_b",
            "A_b",
            "a.b",
            "a b",
            "a_b_",
            "é",
            "è",
            "",
            "_",
            "__",
            "/",
            &long,
            &format!("{long}x"),
            &format!("{long}y"),
            &shortened,
            "prod",
            "main",
            "ａ_b",
        ];
        let mut taken = HashMap::new();
        for branch in branches {
            let other = taken.insert(environment(branch), branch);
            assert_eq!(other, None, "{branch}");
        }
    }

    proptest! {
        #[test]
        fn any_branch_has_a_name_of_its_own(one in ".{0,80}", other in ".{0,80}") {
            let (first, second) = (environment(&one), environment(&other));
            prop_assert_eq!(first.kind(), Kind::Branch);
            prop_assert_eq!(first == second, one == other);
        }

        #[test]
        fn alphabets_that_collide_often_do_not(one in "[aA_/-]{0,6}", other in "[aA_/-]{0,6}") {
            prop_assert_eq!(environment(&one) == environment(&other), one == other);
        }
    }
}
