//! How a session logs in: passwords, keys, tokens and workload identity, and what is said when it is refused.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::endpoint::{Endpoint, PrivateKey, SECRET};
use crate::support::{Checkout, Ended};

#[test]
fn rejected_logins_say_who_was_tried_and_what_to_check() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    for (code, advice) in [
        ("390100", "SNOWFLAKE_PASSWORD"),
        ("390114", "has expired"),
        ("390189", "SNOWFLAKE_ROLE"),
        ("390201", "the database LOGISTICS_DEMO"),
        ("390422", "network policy"),
        ("390197", "instead of SNOWFLAKE_PASSWORD"),
        ("394508", "instead of SNOWFLAKE_PASSWORD"),
    ] {
        endpoint.demand(&json!({"reset": true, "fail_login": code}));
        let said = endpoint.run(&checkout, &["schema", "list"]).expect(2).stderr;
        for part in [advice, code, "ORG-ACCOUNT", "DEPLOYER", "BUILDER", "SMALL_WH", "LOGISTICS_DEMO"] {
            assert!(said.contains(part), "{code}: no {part} in\n{said}");
        }
        assert!(!said.contains(SECRET), "{said}");
    }
    for (way, code, advice) in [
        ("oauth", "390318", "the OAuth token in SNOWFLAKE_TOKEN has expired"),
        ("oauth", "390303", "the OAuth token in SNOWFLAKE_TOKEN is not valid"),
        (
            "programmatic_access_token",
            "394400",
            "the programmatic access token in SNOWFLAKE_TOKEN is not valid",
        ),
        ("programmatic_access_token", "394507", "needs a network policy on its user"),
    ] {
        endpoint.demand(&json!({"reset": true, "fail_login": code}));
        let mut command = endpoint.command(&checkout, &["schema", "list"]);
        command.env_remove("SNOWFLAKE_PASSWORD").env("SNOWFLAKE_TOKEN", SECRET);
        command.env("SNOWFLAKE_AUTHENTICATOR", way);
        let said = Ended::of(command).expect(2).stderr;
        assert!(said.contains(advice) && said.contains(code), "{said}");
        assert!(!said.contains(SECRET), "{said}");
    }
    assert_eq!(endpoint.statements(), Vec::<String>::new());
}

/// A network policy or a proxy that answers before Snowflake looks at the login.
#[test]
fn http_403_is_refused_at_once_with_advice() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.demand(&json!({"forbidden": 50, "on": "login"}));
    let said = endpoint.run(&checkout, &["schema", "list"]).expect(2).stderr;
    assert!(said.contains("network policy") && said.contains("SNOWFLAKE_ACCOUNT"), "{said}");
    assert!(!said.contains("trying again"), "{said}");
}

/// The documented form of the subject is wrong for a repository that was renamed: only the token knows it.
#[test]
fn a_refused_workload_identity_prints_the_statement_that_allows_it() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let subject = "repo:o@12/r@34:environment:preview";
    let token = oidc_token_of(subject);
    let statement = format!(
        "alter user LOGISTICS_CI add workload identity \"GITHUB_PREVIEW\" type = oidc issuer = \
         'https://token.actions.githubusercontent.com' subject = '{subject}'"
    );
    let command = |args: &[&str]| {
        let mut command = endpoint.command(&checkout, args);
        command.env_remove("SNOWFLAKE_PASSWORD").env("SNOWFLAKE_TOKEN", &token);
        command.env("SNOWFLAKE_USER", "logistics_ci").env("SNOWFLAKE_AUTHENTICATOR", "workload_identity");
        Ended::of(command)
    };
    for code in ["395090", "390303", "390144"] {
        endpoint.demand(&json!({"reset": true, "fail_login": code}));
        let said = command(&["schema", "list"]).expect(2).stderr;
        assert!(said.contains(&statement) && !said.contains(&token), "{code}: {said}");
    }
    let said = command(&["doctor"]).expect(1).stdout;
    assert!(said.matches(&statement).count() == 2 && !said.contains(&token), "{said}");
}

#[test]
fn settings_that_do_not_add_up_are_all_told_before_anything_starts() {
    let checkout = Checkout::new();
    let mut command = checkout.command(&["schema", "list", "--target", "snowflake"]);
    command.env("SNOWFLAKE_PASSWORD", SECRET).env("SNOWFLAKE_PRIVATE_KEY_PATH", "/no/key");
    let said = Ended::of(command).expect(2).stderr;
    for part in
        ["SNOWFLAKE_ACCOUNT", "SNOWFLAKE_ROLE", "SNOWFLAKE_WAREHOUSE", "SNOWFLAKE_DATABASE", "at once"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains(SECRET), "{said}");
    let said = checkout.run(&["schema", "list", "--target", "moon"]).expect(2).stderr;
    assert!(said.contains("--target"), "{said}");
}

/// GitHub's end of workload identity: returns a token for the job's bearer token.
fn mint(token: String) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/mint?api-version=2.0", listener.local_addr().expect("an address"));
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let mut request = String::new();
        let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
        while let Some(Ok(line)) =
            lines.next().filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
        {
            request.push_str(&line);
            request.push('\n');
        }
        let body = json!({"value": token}).to_string();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
            .expect("answered");
        request
    });
    (url, asked)
}

/// A token as GitHub's, but for the signature: the driver reads whom it is about.
fn oidc_token() -> String {
    oidc_token_of("repo:o/r:environment:dev")
}

pub(super) fn oidc_token_of(subject: &str) -> String {
    oidc_token_with(&json!({"sub": subject}))
}

fn oidc_token_with(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut all =
        json!({"iss": "https://token.actions.githubusercontent.com", "aud": "snowflakecomputing.com"});
    all.as_object_mut().expect("claims").extend(claims.as_object().expect("claims").clone());
    [part(&json!({"alg": "RS256", "typ": "JWT"})), part(&all), URL_SAFE_NO_PAD.encode("unsigned")].join(".")
}

#[test]
fn a_job_logs_in_with_the_token_that_github_mints_for_it() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let token = oidc_token();
    let (url, asked) = mint(token.clone());
    let mut command = endpoint.command(&checkout, &["schema", "list"]);
    command.env_remove("SNOWFLAKE_PASSWORD").env_remove("SNOWFLAKE_USER").env("GITHUB_ACTIONS", "true");
    command.env("ACTIONS_ID_TOKEN_REQUEST_URL", url).env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", SECRET);
    let ended = Ended::of(command).expect(0);
    let request = asked.join().expect("asked").to_lowercase();
    assert!(request.starts_with("get /mint?api-version=2.0&audience=snowflakecomputing.com "), "{request}");
    assert!(request.contains(&format!("authorization: bearer {SECRET}")), "{request}");
    assert!(ended.stderr.contains(&format!("::add-mask::{token}")), "masked before its first use");
    let login = endpoint.logins().pop().expect("a login");
    assert_eq!(
        (&login["authenticator"], &login["provider"]),
        (&json!("WORKLOAD_IDENTITY"), &json!("OIDC")),
        "{login}"
    );
}

/// GitHub's end again, for as many tokens as are asked for; each expires after `seconds`.
fn mint_expiring(seconds: i64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/mint?api-version=2.0", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let expires = jiff::Timestamp::now().as_second() + seconds;
            let token =
                oidc_token_with(&json!({"sub": "repo:o/r:environment:dev", "exp": expires, "jti": number}));
            let body = json!({"value": token}).to_string();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
            write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("answered");
        }
    });
    url
}

/// Ten minutes of building with tokens of five, in seconds: a thread of dbt connects long after the token
/// that dbt was started with has expired.
#[test]
#[cfg(unix)]
fn a_build_outlives_the_token_that_it_started_with() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    // Without the tests that read models which are not built here.
    for model in ["suppliers", "products", "purchase_orders", "price_breaks", "supplier_closures"] {
        checkout
            .edit(&format!("dbt/models/bronze/stg_logistics__{model}.yml"), |_| "version: 2\n".to_owned());
    }
    let life = 12_i32;
    let slow = "raw_suppliers as";
    endpoint.demand(&json!({"delay": life + 3, "containing": slow}));
    // As many at once as dbt has threads, each as slow as the seed before them: while the seed was loaded, not all threads
    // had a connection, so at least one model opens one after the first token has expired.
    for model in ["first", "second", "third", "fourth"] {
        std::fs::write(
            checkout.path(&format!("dbt/models/bronze/{model}.sql")),
            format!("-- {slow}\nselect supplier_id from {{{{ ref('raw_suppliers') }}}}\n"),
        )
        .expect("a writable folder");
    }
    let selection = "raw_suppliers first second third fourth";
    let mut command = endpoint
        .command(&checkout, &["elt", "--schema", "issue_3", "--select", selection, "--format", "json"]);
    command.env_remove("SNOWFLAKE_PASSWORD").env_remove("SNOWFLAKE_USER").env("GITHUB_ACTIONS", "true");
    command.env("ACTIONS_ID_TOKEN_REQUEST_URL", mint_expiring(life.into()));
    command.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", SECRET);
    // The connector gives its identity to hosts of Snowflake's domain only, and to those named here.
    command.env("SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES", "127.0.0.1");
    let report = Ended::of(command).expect(0).json();
    assert_eq!(report["status"], "success", "{report}");

    let logins = endpoint.logins();
    let at = |login: &Value| login["at"].as_f64().expect("a time");
    let began = at(&logins[0]);
    let late =
        logins.iter().filter(|login| login["client"] != "xtask" && at(login) > began + f64::from(life));
    assert!(late.count() > 0, "dbt connected again after the first token had expired: {logins:#?}");
    let tokens: BTreeSet<&str> = logins.iter().filter_map(|login| login["secret_sha256"].as_str()).collect();
    assert_eq!(tokens.len(), logins.len(), "a token for each connection");
}

#[test]
fn every_way_to_log_in_reaches_snowflake_as_itself() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    for (authenticator, expected) in [
        ("oauth", "OAUTH"),
        ("programmatic_access_token", "PROGRAMMATIC_ACCESS_TOKEN"),
        ("workload_identity", "WORKLOAD_IDENTITY"),
    ] {
        let mut command = endpoint.command(&checkout, &["schema", "list"]);
        let token = if authenticator == "workload_identity" { oidc_token() } else { SECRET.to_owned() };
        command.env_remove("SNOWFLAKE_PASSWORD").env("SNOWFLAKE_TOKEN", token);
        command.env("SNOWFLAKE_AUTHENTICATOR", authenticator);
        Ended::of(command).expect(0);
        let login = endpoint.logins().pop().expect("a login");
        assert_eq!(login["authenticator"], expected, "{login}");
        let parameters = &login["parameters"];
        assert_eq!(parameters["STATEMENT_TIMEOUT_IN_SECONDS"], "600", "{login}");
        let tag: Value =
            serde_json::from_str(parameters["QUERY_TAG"].as_str().expect("a tag")).expect("JSON");
        assert_eq!((&tag["tool"], &tag["stage"]), (&json!("xtask"), &json!("schema list")));
    }
}

/// A variable or secret that was pasted with its line end is the usual first mistake: dbt, too, gets it without.
#[test]
fn settings_with_white_space_around_them_log_in_both_halves() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::slim());
    let mut command = endpoint.command(&checkout, &["elt", "--schema", "issue_1"]);
    command.envs(endpoint.place().into_iter().map(|(name, value)| (name, format!(" {value}\n"))));
    command.env_remove("SNOWFLAKE_PASSWORD").env("SNOWFLAKE_TOKEN", format!("{SECRET}\n"));
    command.env("SNOWFLAKE_AUTHENTICATOR", "programmatic_access_token\n").env("SNOWFLAKE_USER", "DEPLOYER ");
    Ended::of(command).expect(0);
    let logins = endpoint.logins();
    let digests: BTreeSet<&str> = logins.iter().filter_map(|login| login["secret_sha256"].as_str()).collect();
    assert_eq!(digests.len(), 1, "one secret, for the toolkit and for dbt: {logins:#?}");
}

/// Snowflake identifies a key by its fingerprint, which is part of the token that the driver signs.
#[test]
fn a_key_pair_logs_in_with_what_it_signed() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let key = PrivateKey::new();
    let file = checkout.path("rsa_key.p8");
    std::fs::write(&file, &key.encrypted).expect("a writable folder");
    let by_value = vec![("SNOWFLAKE_PRIVATE_KEY", key.plain.as_str())];
    let by_path = vec![
        ("SNOWFLAKE_PRIVATE_KEY_PATH", file.to_str().expect("a path in UTF-8")),
        ("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", key.passphrase.as_str()),
    ];
    let list = |variables: &[(&str, &str)]| {
        let mut command = endpoint.command(&checkout, &["schema", "list"]);
        command.env_remove("SNOWFLAKE_PASSWORD").envs(variables.iter().copied());
        Ended::of(command)
    };
    for variables in [&by_value, &by_path] {
        list(variables).expect(0);
        let login = endpoint.logins().pop().expect("a login");
        assert_eq!(login["authenticator"], "SNOWFLAKE_JWT", "{login}");
        assert_eq!(login["issuer"], format!("ORG-ACCOUNT.DEPLOYER.{}", key.fingerprint), "{login}");
    }
    endpoint.demand(&json!({"fail_login": "390144"}));
    let ended = list(&by_path).expect(2);
    assert!(ended.stderr.contains("RSA_PUBLIC_KEY_FP"), "{}", ended.stderr);
    let said = format!("{ended:?}");
    assert!(!said.contains(&key.passphrase) && !said.contains(&key.encrypted[40..80]), "{said}");
}
