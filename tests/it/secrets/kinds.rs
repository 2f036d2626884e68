//! Kinds of values in the files they occur in: which are credentials, and which only look like one.

use serde_json::Value;

use super::{findings, write};

/// The findings in one file, as rule and severity.
fn found(name: &str, text: &str) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), name, text);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings(folder.path(), &[name]).1.iter().map(|f| (text(&f["rule"]), text(&f["severity"]))).collect()
}

#[test]
fn credentials_are_found_in_the_syntax_of_their_files() {
    let drawn = ["Vn3kQ8", "sLmP2xT7", "yBq41Z"].concat();
    let human = ["Harbor", "@48213", "!tiger"].concat();
    let phrase = ["copper-", "harbor-", "violet-", "lantern"].concat();
    let special = ["kX(7]v", "<Qm2,zR9{e", "+wL4"].concat();
    let hex = ["9f1c63b2", "d07e48a5", "b6420e9d", "71fa385c"].concat();
    let der = ["MIIEvgIBADANBgkqhkiG9w0BAQEFAASC", "BKgwggSkAgEAAoIBAQDBQ7B7twlLqUO0"].concat();
    for (name, text) in [
        ("a.py", format!("c = connect(user=\"svc\", password=\"{human}\", account=\"acme\")\n")),
        ("a.java", format!("ds.setPassword(\"{human}\");\n")),
        ("a.md", format!("```python\npassword = \"{human}\"\n```\n")),
        ("profiles.yml", format!("prod:\n  user: svc\n  password: {phrase}\n")),
        ("a.yml", format!("password: '{special}'\n")),
        ("b.yml", format!("password: &p '{drawn}'\nother: !!str 'x'\n")),
        ("a.scala", format!("val o = Map(\"sfUser\" -> \"svc\", \"sfPassword\" -> \"{drawn}\")\n")),
        ("a.env", format!("AIRFLOW_CONN_X='snowflake://svc:{drawn}@/db/schema?account=acme'\n")),
        ("c.yml", format!("user: DBT\nprivate_key: {der}\n")),
        ("b.sql", format!("where api_key = '{hex}'\n")),
        ("b.py", format!("if a and key == '{hex}':\n    pass\n")),
        ("key.py", format!("KEY = (\n    \"-----BEGIN PRIVATE KEY-----\\n\"\n    \"{der}\\n\"\n")),
    ] {
        assert_eq!(found(name, &text).len(), 1, "{name}: {text}");
    }
}

#[test]
fn what_only_looks_like_a_credential_is_not_reported() {
    let digest = ["f523a4e4dda38cbe", "3eee823c63420184"].concat();
    let base = ["aHR0cDovL2FwcC5hY21l", "LmNvbS91cmIvd3MvZmVlZC9jMmwwWlQxemVYWjBQ"].concat();
    let sum = ["UEGP4dFq61zTbxz0fdA4", "PAib0W8pQ64t2znIJJUyST0="].concat();
    let site = ["6LHXuc0C", "AAAAAuwtkt5GR0psZLjvuH17PGPLw0IY"].concat();
    for (name, text) in [
        ("a.sql", format!("select * from dim_customer where customer_key = '{digest}'\n")),
        ("b.sql", format!("select *\nfrom a\nWHERE\n    d._key != '{digest}'\n    or (key = '{digest}')\n")),
        ("where.yml", format!("        config:\n          where: \"key != '{digest}'\"\n")),
        ("unit.yml", format!("      rows:\n        - {{order_key: {digest}, n: 1}}\n")),
        ("helm.yaml", format!("checksum/secret: {digest}{digest}\n")),
        ("a.html", format!("<div class=\"g-recaptcha\" data-sitekey=\"{site}\"></div>\n")),
        ("main.tf", "resource \"google_storage_bucket\" \"tfer--dataproc-temp-us-west2-473674835135-yuzmmdyk\" {\n}\n".to_owned()),
        ("feed.yaml", format!("    uri: https://storage.googleapis.com/v1/b/acme/o/feed_results%2Fdt=2025-06-02%2F{base}.jsonl\n")),
        ("go.sum", format!("github.com/Azure/go-autorest/autorest/azure/auth v0.5.11 h1:{sum}\n")),
    ] {
        assert_eq!(found(name, &text), [], "{name}: {text}");
    }
}

#[test]
fn a_made_up_body_is_not_a_critical_key() {
    let text =
        ["KEY = \"-----BEGIN RSA PRIVATE", " KEY-----\\nfaketestkeydata\\n-----END RSA PRIVATE KEY-----\"\n"];
    let found = found("a.py", &text.concat());
    assert!(found.iter().all(|(_, severity)| severity == "low"), "{found:?}");
}
