//! Values of other kinds: code, paths, addresses, file names, versions, dates, digests.

use super::Shape;
use super::placeholder::hex;

/// A reference in code rather than a literal: calls, member paths, indexing, operators.
pub(in super::super) fn code(value: &[u8]) -> bool {
    let has = |byte: u8| memchr::memchr(byte, value).is_some();
    if has(b'(')
        || has(b')')
        || has(b'[')
        || has(b']')
        || memchr::memmem::find(value, b"::").is_some()
        || memchr::memmem::find(value, b"->").is_some()
    {
        return true;
    }
    // `os.environ`, `self.token`, `config/secret.yml`: words joined by dots or slashes.
    value.split(|b| matches!(b, b'.' | b'/' | b'_' | b'-')).all(wordy)
}

/// Starts like a call or an index: `get_password("x")`, `args[0]`.
pub(in super::super) fn call(value: &[u8]) -> bool {
    let name =
        value.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':')).count();
    matches!(value.get(name), Some(b'(' | b'[')) && name >= 3 && code(&value[..name])
}

/// The number of a rule, an error or a ticket: words in capitals and a number at the end, `SSC-EWI-DBTOPS0002`.
pub(in super::super) fn numbered(value: &[u8]) -> bool {
    let end = value.iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |at| at + 1);
    let words = &value[..end];
    value.len() - end <= 6
        && words.iter().any(|b| matches!(b, b'-' | b'_'))
        && words.iter().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'))
}

/// One word as people and programmers write them: letters with at most a short number at the end.
pub(in super::super) fn wordy(word: &[u8]) -> bool {
    let letters = word.iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |at| at + 1);
    if word.len() - letters > 4 {
        return false;
    }
    let stem = &word[..letters];
    if !stem.iter().all(u8::is_ascii_alphabetic) {
        return false;
    }
    stem.len() < 5 || Shape::of(stem).surprise < 4.7
}

/// A value of another known kind: number, version, date, path, address, MIME type, colour, digest.
pub(in super::super) fn other_kind(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return true };
    if file_name(text)
        || host_name(text)
        || dated(value)
        || of_standard(text)
        || of_commit(value)
        || path_data(value)
        || driver(text)
        || region(text)
        || coordinates(text)
        || entry_of_directory(value)
    {
        return true;
    }
    let numeric = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b':' | b'-' | b'/' | b'+' | b',' | b'_' | b' '));
    numeric
        || text.starts_with("http://")
        || text.starts_with("https://")
        || text.contains("://")
        || text.starts_with("./")
        || text.starts_with("../")
        || text.starts_with("~/")
        || text.starts_with('#')
        || text.starts_with("sha256:")
        || text.starts_with("sha1-")
        || text.starts_with("sha256-")
        || text.starts_with("sha384-")
        || text.starts_with("sha512-")
        || text.starts_with("arn:")
        || text.starts_with("urn:")
        || text.starts_with("data:")
        || text.starts_with("ssh-")
        || text.starts_with("0x")
        || text.starts_with("xn--")
        || escapes_control(value)
        || rules_of_a_field(value)
        || stored(value)
        // A letter of another language, as texts in JSON have it.
        || ["\\u00c", "\\u00d", "\\u00e", "\\u00f"].iter().any(|letter| text.contains(letter))
        || text.strip_prefix("md5").is_some_and(|rest| rest.len() == 32 && hex(rest.as_bytes()))
        || (text.starts_with('/')
            && text.bytes().filter(|b| *b == b'/').count() >= 2
            && !text.contains(['+', '=']))
        || (text.starts_with('^') || text.ends_with('$') && text.contains('\\'))
}

/// Hashed or encrypted: what is kept of a password where it may be read.
pub(in super::super) fn stored(value: &[u8]) -> bool {
    const ENCRYPTED: &[&[u8]] =
        &[b"ENC[", b"ENC(", b"{cipher}", b"vault:v", b"enc:", b"encrypted:", b"$ANSIBLE_VAULT"];
    ENCRYPTED.iter().any(|start| value.starts_with(start)) || std::str::from_utf8(value).is_ok_and(hashed)
}

/// A password as frameworks, directories and databases store it: the name of the hash, then its parameters, salt and
/// digest.
fn hashed(text: &str) -> bool {
    const SCHEMES: &[&str] = &[
        "argon2",
        "pbkdf2",
        "bcrypt",
        "scrypt",
        "sha1$",
        "sha1:",
        "sha256$",
        "sha512$",
        "md5$",
        "crypt$",
        "$1$",
        "$2",
        "$5$",
        "$6$",
        "$7$",
        "$y$",
        "$apr1$",
        "$argon2",
        "$pbkdf2",
        "$scrypt",
        "$A$",
        "SCRAM-SHA-",
        "{SSHA",
        "{SHA",
        "{SMD5",
        "{MD5",
        "{CRYPT",
        "{PBKDF2",
        "{ARGON2",
        "{bcrypt}",
        "{argon2}",
        "{scrypt}",
    ];
    let scheme = |scheme: &&&str| text.starts_with(**scheme);
    SCHEMES.iter().find(scheme).is_some_and(|scheme| {
        text[scheme.len()..].contains(['$', ':', '}']) && text.len() >= scheme.len() + 20
    })
}

/// What a form demands of a field: `required|confirmed|min:8`.
fn rules_of_a_field(value: &[u8]) -> bool {
    let rule = |rule: &[u8]| {
        let name = rule.split(|b| *b == b':').next().unwrap_or(rule);
        !name.is_empty() && name.iter().all(|b| b.is_ascii_lowercase() || *b == b'_')
    };
    value.contains(&b'|') && value.split(|b| *b == b'|').all(rule)
}

/// The keys with which standards show their ciphers (FIPS 197, SP 800-38A, RFC 4493), by their starts.
fn of_standard(text: &str) -> bool {
    const KEYS: &[&str] = &["2b7e151628aed2a6", "8e73b0f7da0e6452", "603deb1015ca71be", "000102030405060708"];
    text.len() >= 32
        && KEYS.iter().any(|key| text.get(..key.len()).is_some_and(|start| start.eq_ignore_ascii_case(key)))
}

/// Percent-escapes of untypeable characters, which are common in tests of URLs: `%00` to `%1F`, `%7F`.
pub(in super::super) fn escapes_control(value: &[u8]) -> bool {
    memchr::memchr(b'%', value).is_some()
        && value.windows(3).any(|escape| {
            escape[0] == b'%'
                && (matches!(escape[1], b'0' | b'1') && escape[2].is_ascii_hexdigit()
                    || escape[1] == b'7' && escape[2].eq_ignore_ascii_case(&b'F'))
        })
}

/// A file by its ending: `my-project-45e35d85.json`, `howweroll.sql`.
fn file_name(text: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "json",
        "jsonl",
        "yaml",
        "yml",
        "toml",
        "xml",
        "csv",
        "tsv",
        "txt",
        "md",
        "html",
        "sql",
        "py",
        "js",
        "ts",
        "sh",
        "pem",
        "crt",
        "cer",
        "key",
        "pub",
        "p12",
        "pfx",
        "jks",
        "png",
        "jpg",
        "jpeg",
        "svg",
        "gif",
        "parquet",
        "gz",
        "zip",
        "jar",
        "tf",
        "lock",
        "log",
        "conf",
        "cfg",
        "ini",
        "properties",
        "env",
    ];
    text.rsplit_once('.').is_some_and(|(stem, ending)| !stem.is_empty() && ENDINGS.contains(&ending))
}

/// A host: labels of letters, digits and dashes, and a top-level domain that is in wide use.
fn host_name(text: &str) -> bool {
    const TOPS: &[&str] = &[
        "com", "org", "net", "io", "dev", "gov", "edu", "cloud", "app", "co", "ai", "de", "uk", "eu", "us",
        "local", "internal", "svc", "test", "example",
    ];
    let text = text
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(text, |(host, _)| host);
    let Some((rest, top)) = text.rsplit_once('.') else { return false };
    TOPS.contains(&top)
        && rest.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

/// The version that Go gives to a commit: `v0.0.0-20250102033503-faa5f7b0171c`.
pub(in super::super) fn of_commit(value: &[u8]) -> bool {
    let mut parts = value.rsplit(|b| *b == b'-');
    let (commit, time) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let time = time.rsplit(|b| *b == b'.').next().unwrap_or(time);
    value.first() == Some(&b'v')
        && commit.len() == 12
        && hex(commit)
        && time.len() == 14
        && time.iter().all(u8::is_ascii_digit)
}

/// Lines and curves of a drawing in SVG: `10H3V12H14V10M14`.
fn path_data(value: &[u8]) -> bool {
    let command = |b: u8| b"MLHVCSQTAZmlhvcsqtaz".contains(&b);
    let number = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b',');
    value.iter().all(|b| command(*b) || number(*b))
        && value.iter().filter(|b| command(**b)).count() >= 3
        && !value.windows(2).any(|pair| command(pair[0]) && command(pair[1]) && !pair[0].eq_ignore_ascii_case(&b'z'))
        // Digits as many as a drawing has between its letters: hexadecimal text has single letters seldom.
        && !value.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-')
}

/// A region of a cloud: `us-east-1`, `europe-west4`.
fn region(text: &str) -> bool {
    const PARTS: &[&str] =
        &["us", "eu", "ap", "sa", "ca", "af", "me", "il", "europe", "asia", "northamerica", "australia"];
    let mut parts = text.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-').split('-');
    let side = |part: &str| {
        ["north", "south", "east", "west", "central"].iter().any(|side| part.starts_with(side))
            && part.bytes().all(|b| b.is_ascii_lowercase())
    };
    text.ends_with(|c: char| c.is_ascii_digit())
        && parts.next().is_some_and(|first| PARTS.contains(&first))
        && parts.next().is_some_and(side)
        && parts.next().is_none()
}

/// A database and the driver for it, as `SQLAlchemy` names them: `postgresql+psycopg2`.
fn driver(text: &str) -> bool {
    const DATABASES: &[&str] = &[
        "postgresql",
        "postgres",
        "mysql",
        "mariadb",
        "mssql",
        "oracle",
        "sqlite",
        "redshift",
        "trino",
        "clickhouse",
        "databricks",
        "snowflake",
        "cockroachdb",
    ];
    text.split_once('+').is_some_and(|(database, driver)| {
        DATABASES.contains(&database)
            && driver.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    })
}

/// Starts with a date: names of files and exports do, `2022-03-12-e435471e`.
fn dated(value: &[u8]) -> bool {
    value.len() > 10
        && value[..10].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
        && matches!(value[0], b'1' | b'2')
        && matches!(value[10], b'-' | b'_' | b'T' | b':' | b'/')
}

/// A package as build tools of Java name it: `com.nimbusds:oauth2-oidc-sdk:11.38.2`.
fn coordinates(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let [group, artifact, version] = parts[..] else { return false };
    let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    group.contains('.')
        && [group, artifact]
            .iter()
            .all(|part| part.starts_with(|c: char| c.is_ascii_lowercase()) && part.chars().all(name))
        && version.starts_with(|c: char| c.is_ascii_digit())
        && version.contains('.')
}

/// An entry of a directory: `cn=reader,ou=people,dc=acme,dc=com`, or its start.
pub(in super::super) fn entry_of_directory(value: &[u8]) -> bool {
    let attribute = value.iter().position(|b| *b == b'=').map_or(&value[..0], |end| &value[..end]);
    [&b"cn"[..], b"ou", b"dc", b"uid"].iter().any(|known| attribute.eq_ignore_ascii_case(known))
}
