//! Which variables make which login, and what is wrong with the others.

use std::collections::BTreeMap;

use super::pem::{ENCRYPTED, PLAIN, pem};
use super::settings::{
    ACCOUNT, AUTHENTICATOR, KEY, KEY_PATH, MINT_BEARER, MINT_URL, PASSPHRASE, PASSWORD, TOKEN, USER,
};
use super::*;

const BASE: [(&str, &str); 4] = [
    (ACCOUNT, "ORG-ACC"),
    ("SNOWFLAKE_ROLE", "R"),
    ("SNOWFLAKE_WAREHOUSE", "W"),
    ("SNOWFLAKE_DATABASE", "logistics_demo"),
];

fn decide(more: &[(&str, &str)]) -> Result<Login, Wrong> {
    let all: BTreeMap<&str, &str> = BASE.iter().chain(more).copied().collect();
    Login::decide(&|name| all.get(name).map(|value| (*value).to_owned()), &|path| {
        if path == "/key.p8" { Ok(key(PLAIN)) } else { Err(std::io::ErrorKind::NotFound.into()) }
    })
}

fn key(label: &str) -> String {
    format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")
}

#[track_caller]
fn way(more: &[(&str, &str)]) -> Way {
    decide(more).expect("a login").way
}

#[track_caller]
fn complaints(more: &[(&str, &str)]) -> Vec<String> {
    decide(more).expect_err("a complaint").0
}

#[test]
fn each_way_is_found_by_what_it_needs() {
    let user = (USER, "u");
    assert_eq!(way(&[user, (PASSWORD, "p")]), Way::Password(Secret::new("p")));
    assert!(matches!(way(&[user, (KEY_PATH, "/key.p8")]), Way::KeyPair { passphrase: None, .. }));
    let encrypted = key(ENCRYPTED).replace('\n', "\\n");
    assert!(matches!(
        way(&[user, (KEY, &encrypted), (PASSPHRASE, "x")]),
        Way::KeyPair { passphrase: Some(_), .. }
    ));
    assert_eq!(way(&[(AUTHENTICATOR, "OAUTH"), (TOKEN, "t")]), Way::OAuth(Secret::new("t")));
    assert_eq!(
        way(&[user, (AUTHENTICATOR, "programmatic_access_token"), (TOKEN, "t")]),
        Way::AccessToken(Secret::new("t"))
    );
    let mint = [(MINT_URL, "https://mint"), (MINT_BEARER, "b")];
    assert!(matches!(way(&mint), Way::WorkloadIdentity(Identity::Actions { .. })));
    assert!(matches!(
        way(&[(AUTHENTICATOR, "workload_identity"), (TOKEN, "t")]),
        Way::WorkloadIdentity(Identity::Given(_))
    ));
    assert_eq!(way(&[user, (PASSWORD, "p"), mint[0], mint[1]]).label(), "a password");
    assert_eq!(decide(&[user, (PASSWORD, "p")]).expect("a login").database.as_str(), "LOGISTICS_DEMO");
}

#[test]
fn the_authenticator_that_is_told_to_dbt_is_one_that_is_understood() {
    let some = || Secret::new("x");
    for way in [
        Way::WorkloadIdentity(Identity::Given(some())),
        Way::KeyPair { key: some(), passphrase: None },
        Way::OAuth(some()),
        Way::AccessToken(some()),
        Way::Password(some()),
    ] {
        let mut settings = Settings { variables: &|_| None, wrong: Vec::new() };
        assert!(settings.asked(way.authenticator()).is_some(), "{way:?}");
    }
}

#[test]
fn everything_missing_is_named_at_once() {
    let Wrong(all) = Login::decide(&|_| None, &|_| Ok(String::new())).expect_err("nothing is set");
    for name in [ACCOUNT, "SNOWFLAKE_ROLE", "SNOWFLAKE_WAREHOUSE", "SNOWFLAKE_DATABASE", KEY_PATH, PASSWORD] {
        assert!(all.iter().any(|line| line.contains(name)), "{name}: {all:?}");
    }
    assert_eq!(complaints(&[(PASSWORD, "p"), (USER, " ")]).len(), 1, "blank is unset");
}

/// Every combination of credentials, with every authenticator: a login uses all that is set for it
/// and nothing else is set, or there is a complaint.
#[test]
fn no_combination_of_credentials_leaves_one_unused() {
    let pem = key(PLAIN);
    let values =
        [(KEY, pem.as_str()), (KEY_PATH, "/key.p8"), (PASSPHRASE, "x"), (TOKEN, "t"), (PASSWORD, "p")];
    let asked =
        ["", "workload_identity", "snowflake_jwt", "oauth", "programmatic_access_token", "snowflake", "x"];
    for authenticator in asked {
        for chosen in 0..1_u32 << values.len() {
            let mut more = vec![(USER, "u"), (AUTHENTICATOR, authenticator)];
            more.extend(values.iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1).map(|(_, v)| *v));
            let set: Vec<&str> = more[2..].iter().map(|(name, _)| *name).collect();
            let fitting: &[&[&str]] = match authenticator {
                "" => &[&[KEY], &[KEY_PATH], &[PASSWORD]],
                "workload_identity" | "oauth" | "programmatic_access_token" => &[&[TOKEN]],
                "snowflake_jwt" => &[&[KEY], &[KEY_PATH]],
                "snowflake" => &[&[PASSWORD]],
                _ => &[],
            };
            assert_eq!(decide(&more).is_ok(), fitting.contains(&set.as_slice()), "{authenticator} {set:?}");
        }
    }
}

#[test]
fn addresses_and_protocols_are_checked() {
    let ok = [(USER, "u"), (PASSWORD, "p")];
    let with = |more: &[(&str, &str)]| decide(&[&ok, more].concat());
    assert!(
        with(&[("SNOWFLAKE_HOST", "127.0.0.1"), ("SNOWFLAKE_PROTOCOL", "http")]).expect("local").plain_http
    );
    for wrong in [
        ("SNOWFLAKE_PROTOCOL", "http"),
        ("SNOWFLAKE_PROTOCOL", "ftp"),
        ("SNOWFLAKE_PORT", "99999"),
        (ACCOUNT, "https://org-acc.snowflakecomputing.com"),
        (ACCOUNT, "org acc"),
        ("SNOWFLAKE_DATABASE", "a\\b"),
    ] {
        let Wrong(said) = with(&[wrong]).expect_err("refused");
        assert!(said.len() == 1 && said[0].contains(wrong.0), "{said:?}");
    }
}

#[test]
fn keys_come_as_pem_whatever_they_came_in() {
    assert_eq!(pem("AAAA", false).expect("bare base64"), key(PLAIN));
    assert_eq!(pem("AAAA", true).expect("bare base64"), key(ENCRYPTED));
    assert_eq!(pem(&key(PLAIN).replace('\n', "\r\n"), false).expect("PEM"), key(PLAIN));
    assert!(pem(&key(PLAIN), true).expect_err("not encrypted").contains(PASSPHRASE));
    assert!(pem(&key(ENCRYPTED), false).expect_err("encrypted").contains(PASSPHRASE));
    assert!(pem(&key("RSA PRIVATE KEY"), false).expect_err("PKCS #1").contains("openssl pkcs8"));
    assert!(pem("hello world!", false).is_err());
}

#[test]
fn what_was_tried_is_told_without_the_secret() {
    let login = decide(&[(USER, "u"), (PASSWORD, "hidden-value")]).expect("a login");
    assert!(login.tried().contains("user u, role R") && !login.tried().contains("hidden-value"));
    assert!(!format!("{login:?}").contains("hidden-value"));
}

#[test]
fn white_space_around_a_value_is_not_part_of_it() {
    let padded = [("SNOWFLAKE_ROLE", "R\n"), (USER, " u "), (TOKEN, "t\r\n"), (AUTHENTICATOR, "oauth\n")];
    let login = decide(&padded).expect("a login");
    assert_eq!((login.role.as_str(), login.user.as_deref()), ("R", Some("u")));
    assert_eq!(login.way, Way::OAuth(Secret::new("t")));
    assert_eq!(way(&[(USER, "u"), (PASSWORD, " p ")]), Way::Password(Secret::new(" p ")));
    let given: BTreeMap<&str, &str> = padded.into_iter().chain([("SNOWFLAKE_WAREHOUSE", "W")]).collect();
    assert_eq!(
        Login::trimmed(&|name| given.get(name).map(|value| (*value).to_owned())),
        [(USER, "u".to_owned()), ("SNOWFLAKE_ROLE", "R".to_owned())]
    );
}
