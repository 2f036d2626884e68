//! Bytes as hexadecimal text, the one format in which the toolkit writes digests.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Two lower-case digits per byte. Digests are written by the hundred thousand, so nothing is formatted.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_byte_takes_two_digits() {
        assert_eq!(super::encode(&[0, 0x0a, 0xff]), "000aff");
    }
}
