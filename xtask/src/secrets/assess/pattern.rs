//! Values that follow a pattern, as people type them to fill the length of a token. Chance makes none of them.

/// So many characters that occur twice in one value show that it was not drawn.
const TWICE: usize = 8;

/// The longest value that is searched for repetitions, in bytes: longer ones are encoded structures, which repeat.
const SEARCHED_MOST: usize = 200;

/// How many characters have to follow a pattern of classes: of drawn values of 64 hexadecimal digits, one in a thousand
/// has as many, of others far fewer.
const FOLLOWING: usize = 20;

/// Repeats itself, or alternates between kinds of characters: `a1b2c3d4…`, `aB1cD2eF3…`, `R7mQ2vN9xK4p…`.
pub(in super::super) fn patterned(value: &[u8]) -> bool {
    value.len() <= SEARCHED_MOST && (repeats(value) || alternates(value))
}

fn repeats(value: &[u8]) -> bool {
    // Pieces are compared as numbers: a search for each of them would take longer.
    let mut pieces = Vec::with_capacity(value.len());
    let mut last = 0_u64;
    for (at, byte) in value.iter().enumerate() {
        last = last << 8 | u64::from(*byte);
        if at + 1 >= TWICE {
            pieces.push(last);
        }
    }
    for at in 0..pieces.len() {
        let piece = pieces[at];
        if pieces[at + 1..].contains(&piece) {
            // Runs of one character are padding, as binary data in base64 has it.
            let bytes = piece.to_be_bytes();
            if bytes.iter().any(|byte| *byte != bytes[0] && *byte != bytes[1]) {
                return true;
            }
        }
    }
    false
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    Other,
}

/// Whether the classes of characters recur every two, three, four or six characters.
fn alternates(value: &[u8]) -> bool {
    let class = |byte: &u8| match byte {
        b'a'..=b'z' => Class::Lower,
        b'A'..=b'Z' => Class::Upper,
        b'0'..=b'9' => Class::Digit,
        _ => Class::Other,
    };
    let classes: Vec<Class> = value.iter().map(class).collect();
    [2, 3, 4, 6].into_iter().any(|period| {
        let (mut following, mut changes) = (0, 0);
        (period..classes.len()).any(|at| {
            if classes[at] == classes[at - period] {
                following += 1;
                changes += usize::from(classes[at] != classes[at - 1]);
            } else {
                (following, changes) = (0, 0);
            }
            // Digits only, or letters only, follow every pattern.
            following >= FOLLOWING && changes * 2 >= following
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_patterns_are_not_drawn() {
        for value in [
            "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6",
            "aB1cD2eF3gH4iJ5kL6mN7oP8",
            "R7mQ2vN9xK4pT8cW1zL6gH3sD5fJ0aB7",
            "GR1348941123123123123123123",
            "k7Fq2Zx9Lmk7Fq2Zx9Lm",
        ] {
            assert!(patterned(value.as_bytes()), "{value}");
        }
        for value in [
            "k7Fq2Zx9Lm4Tn8WpR3vB5cHd",
            "9f8e2b7a61c04d3e5f12",
            "3fJ0AAAAAAAAAAAAAAAAAAAAAAAAq7Zk",
            "1234567890123457",
            "",
            "abc",
        ] {
            assert!(!patterned(value.as_bytes()), "{value}");
        }
    }
}
