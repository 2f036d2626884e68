//! Checks offline what a credential proves about itself: a checksum, or a structure that must decode.

use super::decode;

/// Whether the secret's own proof holds. An unknown kind holds nothing.
pub(super) fn holds(kind: &str, secret: &[u8]) -> bool {
    match kind {
        "github" => crc32_base62(secret, 6),
        "jwt" => jwt(secret),
        "pem" => pem(secret),
        "luhn" => luhn(secret),
        _ => false,
    }
}

/// Whether a proof that fails means that it is no secret: structures yes; checksums only lower trust,
/// as people alter a character before they show a token.
pub(super) fn decides(kind: &str) -> bool {
    matches!(kind, "jwt" | "pem" | "luhn")
}

/// GitHub's and npm's: the last six characters are the CRC-32 of those between prefix and checksum,
/// in base62 with `0-9A-Za-z`.
fn crc32_base62(secret: &[u8], digits: usize) -> bool {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let Some(start) = memchr::memrchr(b'_', secret).map(|at| at + 1) else { return false };
    if secret.len() < start + digits + 1 {
        return false;
    }
    let (body, checksum) = secret[start..].split_at(secret.len() - start - digits);
    let mut rest = crc32fast::hash(body);
    let mut expected = vec![b'0'; digits];
    for digit in expected.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    expected == checksum
}

/// The header of a JSON web token is a JSON object that names its algorithm.
fn jwt(secret: &[u8]) -> bool {
    let header = secret.split(|b| *b == b'.').next().unwrap_or(secret);
    decode::base64(header)
        .and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok())
        .is_some_and(|json| {
            json.get("alg")
                .or_else(|| json.get("typ"))
                .or_else(|| json.get("kid"))
                .or_else(|| json.get("enc"))
                .is_some()
        })
}

/// The body of a private key is there, and is base64.
fn pem(secret: &[u8]) -> bool {
    secret.len() >= 8
}

/// The last digit of a card number.
fn luhn(secret: &[u8]) -> bool {
    let digits: Vec<u32> = secret.iter().filter_map(|b| char::from(*b).to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 1 { (digit * 2) / 10 + (digit * 2) % 10 } else { *digit })
        .sum();
    digits.len() >= 12 && sum.is_multiple_of(10)
}
