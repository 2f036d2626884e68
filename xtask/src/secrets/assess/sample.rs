//! Passwords of samples, tests and default accounts.

use std::collections::HashSet;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::placeholder::any_of;

/// Parts of passwords that samples and default accounts have, whatever is around them.
const SAMPLE_PARTS: &[&str] = &[
    "passw",
    "secret",
    "sample",
    "example",
    "dummy",
    "default",
    "admin",
    "qwer",
    "asdf",
    "letmein",
    "changeme",
    "change",
    "1234",
    "4321",
    "abcd",
    "abc1",
    "aaaa",
    "xxxx",
    "mypass",
    "passphrase",
    "welcome",
    "topsecret",
    "foobar",
    "placeholder",
    "hunter2",
    "iloveyou",
    "monkey123",
    "dragon123",
    "trustno1",
    "rootroot",
    "testtest",
    "keyboard",
    "password",
    "pa55",
    "insert",
    "replace",
    "redacted",
    "undefined",
    "encrypted",
];

/// Words that samples and default accounts consist of; in other words they are letters like any.
const SAMPLE_WORDS: &[&str] = &[
    "pass",
    "pwd",
    "pw",
    "test",
    "tests",
    "testing",
    "tester",
    "demo",
    "user",
    "users",
    "username",
    "root",
    "guest",
    "fake",
    "mock",
    "foo",
    "bar",
    "baz",
    "qux",
    "abc",
    "xyz",
    "hello",
    "world",
    "temp",
    "tmp",
    "your",
    "my",
    "token",
    "key",
    "string",
    "value",
    "field",
    "input",
    "valid",
    "invalid",
    "wrong",
    "correct",
    "incorrect",
    "bad",
    "good",
    "new",
    "old",
    "short",
    "long",
    "weak",
    "strong",
    "simple",
    "complex",
    "some",
    "any",
    "other",
    "another",
    "hash",
    "hashed",
    "bcrypt",
    "plain",
    "text",
    "name",
    "email",
    "account",
    "company",
    "server",
    "client",
    "service",
    "database",
    "data",
    "db",
    "sql",
    "postgres",
    "postgresql",
    "pg",
    "mysql",
    "mariadb",
    "mongo",
    "mongodb",
    "redis",
    "oracle",
    "mssql",
    "docker",
    "local",
    "localhost",
    "airflow",
    "superset",
    "keycloak",
    "minio",
    "grafana",
    "kafka",
    "rabbitmq",
    "clickhouse",
    "snowflake",
    "dremio",
    "trino",
    "presto",
    "hive",
    "spark",
    "vault",
    "app",
    "api",
    "login",
    "auth",
    "dev",
    "prod",
    "staging",
    "public",
    "private",
    "anonymous",
    "unused",
    "not",
    "the",
    "and",
    "for",
    "id",
    "type",
    "column",
    "table",
    "model",
    "label",
    "page",
    "button",
    "form",
    "confirm",
    "confirmation",
    "reset",
    "letter",
    "number",
    "first",
    "second",
    "third",
    "one",
    "two",
    "three",
];

/// A password that samples, tests and default accounts have: the word itself, a product's name, counting.
pub(in super::super) fn sample(value: &[u8]) -> bool {
    static PARTS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| any_of(SAMPLE_PARTS));
    static WORDS: LazyLock<HashSet<&[u8]>> =
        LazyLock::new(|| SAMPLE_WORDS.iter().map(|word| word.as_bytes()).collect());
    // Digits and signs read as the letters they are written for, too: `P@ssw0rd` as `password`.
    let plain = unleet(value);
    let holds = |text: &[u8]| {
        let letters = text.iter().filter(|b| b.is_ascii_alphabetic()).count();
        let said: usize =
            words_of(text).filter(|word| WORDS.contains(word.as_slice())).map(|word| word.len()).sum();
        // Most of it: `NewYork` and `My-Harbor` are not about something new or mine.
        PARTS.as_ref().is_some_and(|parts| parts.is_match(text)) || said > 0 && said * 2 >= letters
    };
    holds(value) || holds(&plain)
}

fn unleet(value: &[u8]) -> Vec<u8> {
    let letter = |byte: &u8| match byte {
        b'0' => b'o',
        b'1' | b'!' => b'i',
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'7' => b't',
        other => *other,
    };
    value.iter().map(letter).collect()
}

/// The runs of letters of a value, in lower case; a capital after a small letter starts a new one.
fn words_of(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut words: Vec<Vec<u8>> = vec![Vec::new()];
    let mut previous = b' ';
    for &byte in value {
        if !byte.is_ascii_alphabetic() || byte.is_ascii_uppercase() && previous.is_ascii_lowercase() {
            words.push(Vec::new());
        }
        if byte.is_ascii_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.push(byte.to_ascii_lowercase());
        }
        previous = byte;
    }
    words.into_iter().filter(|word| !word.is_empty())
}
