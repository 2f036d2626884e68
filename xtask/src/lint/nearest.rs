//! The name that a misspelt one probably means.

/// How many unknown names are compared with all others: if more are wrong, spelling is not the cause.
const MOST_GUESSES: usize = 50;

/// A suggestion for the end of a message, given only if a name is close. `before` is the number of unknown names so far.
pub(super) fn nearest<'n>(name: &str, before: usize, names: impl Iterator<Item = &'n str>) -> String {
    if before >= MOST_GUESSES {
        return String::new();
    }
    close_to(name, names).map(|each| format!("; `{each}` is")).unwrap_or_default()
}

/// The name that is a few edits away.
pub(super) fn close_to<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let most = (name.chars().count() / 4).clamp(1, 3);
    names.filter_map(|each| Some((distance(name, each, most)?, each))).min().map(|(_, each)| each)
}

/// Edits from one name to another, if no more than `most`; an exchange of two neighbours is one.
fn distance(from: &str, to: &str, most: usize) -> Option<usize> {
    if from.len().abs_diff(to.len()) > most || from.len() > 200 {
        return None;
    }
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut last: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut edits = (row[j] + usize::from(a != b)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && from[i - 1] == *b && to[j - 1] == *a {
                edits = edits.min(last[j - 1] + 1);
            }
            next.push(edits);
        }
        last = std::mem::replace(&mut row, next);
    }
    row.last().copied().filter(|edits| *edits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_edits() {
        for (from, to, edits) in [
            ("abc", "abc", Some(0)),
            ("abc", "abd", Some(1)),
            ("abc", "ac", Some(1)),
            ("abc", "acb", Some(1)),
            ("modles", "models", Some(1)),
            ("abcd", "xyzt", None),
        ] {
            assert_eq!(distance(from, to, 2), edits, "{from} {to}");
        }
    }
}
