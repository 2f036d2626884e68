//! Checks offline what a credential proves about itself: a checksum, or a structure that must parse.
//!
//! Nothing is asked of any provider. What must be so by the format and is not refutes a match; a checksum
//! that fails only makes it doubtful, as people alter a character before they show a token.

use super::assess::{self, Shape};
use super::decode;

/// What a secret's form says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Chance does not make this: it was given out by its provider.
    Holds,
    /// As it should be, which many other texts are too.
    Plausible,
    /// Not as its provider makes them: altered, cut or made up.
    Doubtful,
    /// Cannot be what it looks like.
    Refuted,
}

/// The kinds of proof that a rule may name as its `checksum`.
pub(super) const KINDS: &[&str] =
    &["github", "npm", "pypi", "slack", "stripe", "jwt", "pem", "card", "password"];

/// What the secret proves by its kind; a kind that is not in [`KINDS`] proves nothing.
pub(super) fn prove(kind: &str, secret: &[u8]) -> Proof {
    match kind {
        "github" | "npm" => crc32_base62(secret),
        "pypi" => pypi(secret),
        "slack" => plausible_if(slack(secret)),
        "stripe" => plausible_if(stripe(secret)),
        "jwt" => refuted_unless(jwt(secret) && !known_example(secret)),
        "pem" => pem(secret),
        "card" => refuted_unless(card(secret)),
        "password" if password(secret) => plausible_if(!assess::sample(secret)),
        "password" => Proof::Refuted,
        _ => Proof::Plausible,
    }
}

fn plausible_if(good: bool) -> Proof {
    if good { Proof::Plausible } else { Proof::Doubtful }
}

fn refuted_unless(good: bool) -> Proof {
    if good { Proof::Plausible } else { Proof::Refuted }
}

/// GitHub's and npm's: the last six characters are the CRC-32 of those between prefix and checksum,
/// in base62 with `0-9A-Za-z`.
fn crc32_base62(secret: &[u8]) -> Proof {
    const DIGITS: usize = 6;
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let start = memchr::memrchr(b'_', secret).map_or(0, |at| at + 1);
    if secret.len() < start + DIGITS + 1 {
        return Proof::Doubtful;
    }
    let (body, checksum) = secret[start..].split_at(secret.len() - start - DIGITS);
    let mut rest = crc32fast::hash(body);
    let mut expected = [b'0'; DIGITS];
    for digit in expected.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    if expected == checksum { Proof::Holds } else { Proof::Doubtful }
}

/// `PyPI`'s: a macaroon of version 2 whose location is an index and whose identifier follows it.
fn pypi(secret: &[u8]) -> Proof {
    let body = secret.strip_prefix(b"pypi-").unwrap_or(secret);
    // A length that no number of bytes encodes to: the end may be cut or extended, the start is still conclusive.
    let whole = &body[..body.len() - body.len() % 4];
    let Some(macaroon) = decode::base64(whole) else { return Proof::Refuted };
    let field = |bytes: &[u8], tag: u8| -> Option<usize> {
        let length = usize::from(*bytes.get(1)?);
        (bytes[0] == tag && length < 128 && bytes.len() >= 2 + length).then_some(2 + length)
    };
    let [2, rest @ ..] = macaroon.as_slice() else { return Proof::Refuted };
    let Some(location) = field(rest, 1).filter(|end| rest[2..*end].ends_with(b"pypi.org")) else {
        return Proof::Doubtful;
    };
    if field(&rest[location..], 2).is_some() { Proof::Holds } else { Proof::Doubtful }
}

/// Slack's: the kind, the numbers of workspace and user, then the random part.
fn slack(secret: &[u8]) -> bool {
    let mut parts: Vec<&[u8]> = secret.split(|byte| *byte == b'-').skip(1).collect();
    // `xoxe-1-…`, `xoxe.xoxp-1-…`: the version of tokens that expire.
    if parts.first().is_some_and(|part| part.len() == 1) {
        parts.remove(0);
        return parts.iter().any(|part| part.len() >= 100);
    }
    let Some((random, numbers)) = parts.split_last() else { return false };
    random.len() >= 16
        && !numbers.is_empty()
        && numbers.iter().all(|part| part.len() >= 8 && part.iter().all(u8::is_ascii_digit))
}

/// Stripe's: 24 characters, or about a hundred that begin with the number of the account's kind.
fn stripe(secret: &[u8]) -> bool {
    let body = secret.rsplit(|byte| *byte == b'_').next().unwrap_or(secret);
    matches!(body.len(), 24 | 32..=34) || body.len() >= 90 && body.starts_with(b"5")
}

/// The header of a JSON web token is a JSON object that names its algorithm.
pub(super) fn jwt(secret: &[u8]) -> bool {
    let header = secret.split(|b| *b == b'.').next().unwrap_or(secret);
    decode::base64(header)
        .and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok())
        .is_some_and(|json| ["alg", "typ", "kid", "enc"].iter().any(|key| json.get(key).is_some()))
}

/// The token that jwt.io shows, and tests and documents copy: of John Doe, with the number 1234567890.
fn known_example(secret: &[u8]) -> bool {
    let claims = secret.split(|b| *b == b'.').nth(1).and_then(decode::base64);
    claims.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok()).is_some_and(|claims| {
        claims.get("name").is_some_and(|name| name == "John Doe")
            && claims.get("sub").is_some_and(|number| number == "1234567890")
    })
}

/// How long the claims of a signed token are at least if they cannot be read, in bytes.
const CLAIMS_LEAST: usize = 40;

/// A signed token whose claims are a JSON object too or could be altered ones, or an encrypted one.
pub(super) fn web_token(secret: &[u8]) -> bool {
    let parts: Vec<&[u8]> = secret.split(|b| *b == b'.').collect();
    let claims = |text: &[u8]| {
        decode::base64(text)
            .and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok())
            .is_some_and(|json| json.is_object())
    };
    jwt(secret)
        && (parts.len() == 5 || parts.get(1).is_some_and(|text| text.len() >= CLAIMS_LEAST || claims(text)))
}

/// The body of a private key: base64 of a DER sequence, of OpenSSH's format, or of a PGP packet.
fn pem(secret: &[u8]) -> Proof {
    let text = String::from_utf8_lossy(secret).replace("\\r", "").replace("\\n", "\n").replace('\\', "");
    // `Proc-Type: 4,ENCRYPTED` and similar headers precede the body.
    let body: String = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.contains(": "))
        .take_while(|line| !line.starts_with('='))
        .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
        .collect();
    let body = body.trim_end_matches('=');
    // `MIIE…` and `...`: documents show the start of a key and leave the rest out.
    if text.contains("...") || text.contains('\u{2026}') {
        return Proof::Refuted;
    }
    // Words, dots or a name of a variable in the key's place.
    let drawn = |run: &str| {
        let shape = Shape::of(run.as_bytes());
        shape.len >= 16
            && usize::from(shape.lower > 0) + usize::from(shape.upper > 0) + usize::from(shape.digits > 0)
                >= 2
    };
    if !text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/'))).any(drawn) {
        return Proof::Refuted;
    }
    let whole = &body.as_bytes()[..body.len() - body.len() % 4];
    let Some(bytes) = decode::base64(whole) else { return Proof::Doubtful };
    let der = bytes.len() >= 40
        && bytes[0] == 0x30
        && (bytes[1] & 0x80 != 0 || usize::from(bytes[1]) + 2 <= bytes.len());
    let pgp = bytes.len() >= 100 && matches!(bytes[0], 0x94 | 0x95 | 0xC5);
    if der && !cut(&bytes) || pgp || bytes.starts_with(b"openssh-key-v1\0") {
        Proof::Holds
    } else {
        Proof::Doubtful
    }
}

/// Whether a DER sequence with a length of two bytes is shorter than that says: documents show the start of a key.
fn cut(der: &[u8]) -> bool {
    matches!(der, [0x30, 0x82, high, low, ..] if der.len() + 16 < usize::from(u16::from_be_bytes([*high, *low])))
}

/// A payment card's number: an issuer's first digits and length, and the last digit by Luhn.
fn card(secret: &[u8]) -> bool {
    let digits: Vec<u32> = secret.iter().filter_map(|b| char::from(*b).to_digit(10)).collect();
    let first = |count: usize| digits.iter().take(count).fold(0, |number, digit| number * 10 + digit);
    let issued = match digits.len() {
        13 | 19 => first(1) == 4,
        14 => matches!(first(2), 30 | 36 | 38 | 39),
        15 => matches!(first(2), 34 | 37),
        16 => {
            first(1) == 4
                || matches!(first(2), 51..=55 | 60 | 62 | 64 | 65)
                || matches!(first(4), 2221..=2720 | 3528..=3589)
        }
        _ => false,
    };
    let mut kinds = digits.clone();
    kinds.sort_unstable();
    kinds.dedup();
    // Test numbers repeat few digits: 4111…, 4242…, 5555….
    issued && kinds.len() > 4 && luhn(&digits)
}

fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 1 { (digit * 2) / 10 + (digit * 2) % 10 } else { *digit })
        .sum();
    sum.is_multiple_of(10)
}

/// A password in a connection string: a literal value, and not a placeholder word.
fn password(secret: &[u8]) -> bool {
    secret.len() >= 4 && !assess::template(secret) && !assess::placeholder(secret) && !assess::masked(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body with its checksum behind it, as the provider puts them together.
    fn with_crc(prefix: &str, body: &str) -> Vec<u8> {
        const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut rest = crc32fast::hash(body.as_bytes()) as usize;
        let mut digits = Vec::new();
        for _ in 0..6 {
            digits.insert(0, ALPHABET[rest % 62]);
            rest /= 62;
        }
        [prefix.as_bytes(), body.as_bytes(), &digits].concat()
    }

    fn base64(bytes: &[u8]) -> String {
        use ::base64::Engine as _;
        ::base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }

    #[test]
    fn the_checksum_of_github_and_npm() {
        let body = ["q7Rk2Zt9Wm4Lx8", "Vb3Np6Ys1Hd5Jf0G"].concat();
        for (kind, prefix) in [("github", "ghp_"), ("github", "ghs_"), ("npm", "npm_")] {
            let mut token = with_crc(prefix, &body);
            assert_eq!(prove(kind, &token), Proof::Holds, "{prefix}");
            token[8] ^= 1;
            assert_eq!(prove(kind, &token), Proof::Doubtful, "{prefix}");
        }
        assert_eq!(prove("github", b"ghp_"), Proof::Doubtful);
        // The checksum has six digits whatever it is.
        let padded = with_crc("npm_", &["0", "5"].concat());
        assert_eq!(padded.len(), 12);
        assert_eq!(prove("npm", &padded), Proof::Holds);
    }

    #[test]
    fn a_macaroon_of_pypi() {
        let macaroon = |location: &str, tag: u8| {
            let mut bytes = vec![2, 1, u8::try_from(location.len()).expect("short")];
            bytes.extend(location.as_bytes());
            bytes.extend([tag, 36]);
            bytes.extend([b'7'; 60]);
            format!("pypi-{}", base64(&bytes)).into_bytes()
        };
        assert_eq!(prove("pypi", &macaroon("pypi.org", 2)), Proof::Holds);
        assert_eq!(prove("pypi", &macaroon("test.pypi.org", 2)), Proof::Holds);
        assert_eq!(prove("pypi", &macaroon("pypi.org", 9)), Proof::Doubtful);
        assert_eq!(prove("pypi", &macaroon("example.org", 2)), Proof::Doubtful);
        assert_eq!(prove("pypi", b"pypi-AAAAAAAAAAAAAAAAAAAA"), Proof::Refuted);
        assert_eq!(prove("pypi", b"pypi-*"), Proof::Refuted);
    }

    #[test]
    fn the_parts_of_slack_and_stripe() {
        let long = "k7Fq2Zx9Lm4Tn8WpR3vB5c".to_owned();
        let good = ["xoxb-", "123456789012-", "2345678901234-", &long].concat();
        assert_eq!(prove("slack", good.as_bytes()), Proof::Plausible);
        let rotating = ["xoxe.xoxp-", "1-", &long.repeat(6)].concat();
        assert_eq!(prove("slack", rotating.as_bytes()), Proof::Plausible);
        for bad in ["", "abc-def-ghijklmnopqrst", "123456789012-short"] {
            let bad = ["xoxb", bad].join("-");
            assert_eq!(prove("slack", bad.as_bytes()), Proof::Doubtful, "{bad}");
        }
        let stripe = |body: &str| prove("stripe", ["sk_", "live_", body].concat().as_bytes());
        assert_eq!(stripe(&long.repeat(2)[..24]), Proof::Plausible);
        assert_eq!(stripe(&format!("51{}", long.repeat(5))), Proof::Plausible);
        assert_eq!(stripe(&long[..11]), Proof::Doubtful);
    }

    #[test]
    fn the_header_of_a_web_token() {
        let token = |header: &str| format!("{}.{}.sig", base64(header.as_bytes()), base64(b"{}"));
        assert_eq!(prove("jwt", token("{\"alg\":\"HS256\"}").as_bytes()), Proof::Plausible);
        for header in ["{\"a\":1}", "[\"alg\"]", "{\"alg\":", "no json"] {
            assert_eq!(prove("jwt", token(header).as_bytes()), Proof::Refuted, "{header}");
        }
        let claims = base64(b"{\"sub\":\"1234567890\",\"name\":\"John Doe\"}");
        let example = format!("{}.{claims}.sig", base64(b"{\"alg\":\"HS256\"}"));
        assert_eq!(prove("jwt", example.as_bytes()), Proof::Refuted);
    }

    #[test]
    fn the_claims_of_a_web_token_are_an_object() {
        let header = base64(b"{\"alg\":\"HS256\"}");
        let claims = base64(b"{\"sub\":\"a\"}");
        assert!(web_token(format!("{header}.{claims}.sig").as_bytes()));
        assert!(web_token(format!("{header}.a.b.c.d").as_bytes()));
        for bad in [format!("{header}.short.token"), header.clone(), format!("x.{claims}.sig")] {
            assert!(!web_token(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn the_body_of_a_private_key() {
        let der: Vec<u8> = [0x30, 0x82, 0, 90].into_iter().chain(0..90).collect();
        let ssh: Vec<u8> = b"openssh-key-v1\0".iter().copied().chain(0..60).collect();
        for bytes in [&der, &ssh] {
            let body = base64(bytes).replace('-', "+").replace('_', "/");
            let (first, rest) = body.split_at(64);
            for text in [
                body.clone(),
                format!("{first}\n{rest}\n"),
                format!("{first}\\n{rest}\\n"),
                format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{first}\n{rest}"),
            ] {
                assert_eq!(prove("pem", text.as_bytes()), Proof::Holds, "{text}");
            }
        }
        let start: Vec<u8> = [0x30, 0x82, 4, 189].into_iter().chain(0..90).collect();
        assert_eq!(
            prove("pem", base64(&start).replace('-', "+").replace('_', "/").as_bytes()),
            Proof::Doubtful
        );
        let shown = format!("{}\\n...\\n", base64(&start));
        assert_eq!(prove("pem", shown.as_bytes()), Proof::Refuted);
        assert_eq!(prove("pem", b"QUJDREVGR0hJSktMTU5P"), Proof::Doubtful);
        assert_eq!(prove("pem", b"not base64 at all, but a text"), Proof::Refuted);
        for text in [
            "  \n\n abc",
            "your_private_key",
            "##",
            "...",
            "thisisnotakeybutatextinplaceofone",
            "faketestkeydata",
            "name should line up with a tlsSecret",
        ] {
            assert_eq!(prove("pem", text.as_bytes()), Proof::Refuted, "{text}");
        }
    }

    #[test]
    fn the_number_of_a_card() {
        // Valid by Luhn and issuer, and not one of the numbers that payment providers print.
        for pieces in [["4539", "1488", "0343", "6467"], ["5425", "2334", "3010", "9903"]] {
            assert_eq!(prove("card", pieces.concat().as_bytes()), Proof::Plausible, "{pieces:?}");
            assert_eq!(prove("card", pieces.join("-").as_bytes()), Proof::Plausible, "{pieces:?}");
        }
        for bad in ["4539148803436468", "4242424242424242", "1234567890123452", "0000000000000000", "12", ""]
        {
            assert_eq!(prove("card", bad.as_bytes()), Proof::Refuted, "{bad}");
        }
    }

    #[test]
    fn the_password_of_a_connection() {
        assert_eq!(prove("password", ["ti", "ger7"].concat().as_bytes()), Proof::Plausible);
        assert_eq!(prove("password", b"P@ssword1"), Proof::Doubtful);
        for bad in ["${PASSWORD}", "password", "<pw>", "****", "abc", "yourpassword", "{{ pw }}"] {
            assert_eq!(prove("password", bad.as_bytes()), Proof::Refuted, "{bad}");
        }
    }

    #[test]
    fn no_text_breaks_a_verifier() {
        for kind in KINDS {
            for text in
                [&b""[..], b"_", b"-", b"=", b"\xFF\xFE", b"pypi-", b"pypi-A", b"....", b"AgAA", b"AgEC"]
            {
                prove(kind, text);
            }
        }
    }
}
