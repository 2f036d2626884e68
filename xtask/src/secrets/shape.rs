//! What a credential without marks looks like, in one word: `hex32`, `lower40-64`, `uuid`.
//!
//! Hundreds of providers give out plain random strings that differ in alphabet and length only. A
//! regex for each would be noise in the rule file and would have to be compiled; these are compared.

use serde::Deserialize;
use serde::de::Error as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenShape {
    alphabet: Alphabet,
    least: usize,
    most: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alphabet {
    /// `0-9a-fA-F`
    Hex,
    /// `0-9`
    Digits,
    /// `a-z0-9`
    Lower,
    /// `A-Z0-9`
    Upper,
    /// `A-Za-z0-9`
    Alnum,
    /// `A-Za-z0-9_-`
    Url,
    /// `A-Za-z0-9+/=`
    Base64,
    /// `8-4-4-4-12` hexadecimal digits
    Uuid,
    /// `A-Za-z0-9` and any of `_-.=+/~:`
    Any,
}

impl TokenShape {
    /// Reads `hex32`, `alnum20-40`, `uuid`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let split = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
        let (name, length) = text.split_at(split);
        let alphabet = match name {
            "hex" => Alphabet::Hex,
            "digits" => Alphabet::Digits,
            "lower" => Alphabet::Lower,
            "upper" => Alphabet::Upper,
            "alnum" => Alphabet::Alnum,
            "url" => Alphabet::Url,
            "base" => Alphabet::Base64,
            "any" => Alphabet::Any,
            "uuid" => {
                return length.is_empty().then_some(Self { alphabet: Alphabet::Uuid, least: 36, most: 36 });
            }
            _ => return None,
        };
        let (least, most) = length.split_once('-').unwrap_or((length, length));
        let (least, most) = (least.parse().ok()?, most.parse().ok()?);
        (1 <= least && least <= most).then_some(Self { alphabet, least, most })
    }

    /// The length alone: an alphabet is easily got wrong, a length seldom.
    pub(crate) fn fits_length(self, length: usize) -> bool {
        (self.least..=self.most).contains(&length)
    }

    pub(crate) fn fits(self, value: &[u8]) -> bool {
        if value.len() < self.least || value.len() > self.most {
            return false;
        }
        let all = |wanted: fn(&u8) -> bool| value.iter().all(wanted);
        match self.alphabet {
            Alphabet::Hex => {
                all(u8::is_ascii_hexdigit)
                    && !(value.iter().any(u8::is_ascii_lowercase) && value.iter().any(u8::is_ascii_uppercase))
            }
            Alphabet::Digits => all(u8::is_ascii_digit),
            Alphabet::Lower => all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
            Alphabet::Upper => all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()),
            Alphabet::Alnum => all(u8::is_ascii_alphanumeric),
            Alphabet::Url => all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')),
            Alphabet::Base64 => all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')),
            Alphabet::Uuid => value.iter().enumerate().all(|(at, b)| {
                if matches!(at, 8 | 13 | 18 | 23) { *b == b'-' } else { b.is_ascii_hexdigit() }
            }),
            Alphabet::Any => all(|b| {
                b.is_ascii_alphanumeric()
                    || matches!(b, b'_' | b'-' | b'.' | b'=' | b'+' | b'/' | b'~' | b':')
            }),
        }
    }
}

impl<'de> Deserialize<'de> for TokenShape {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is no token shape such as hex32, alnum20-40 or uuid"))
        })
    }
}
