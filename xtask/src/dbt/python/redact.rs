//! Passwords in addresses, made unreadable.
//!
//! `PIP_INDEX_URL=https://user:token@mirror.example/simple` is how companies give access to their
//! mirror, and installers repeat the address when they fail.

/// `text` with the user part of every address (`scheme://user:password@host`) replaced.
pub(crate) fn addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let authority = after.find(|c: char| c == '/' || c.is_whitespace() || "\"'<>`,)".contains(c));
        let authority = &after[..authority.unwrap_or(after.len())];
        match authority.rfind('@') {
            Some(end) => {
                out.push_str("***");
                rest = &after[end..];
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn only_the_user_part_is_replaced() {
        // Put together from pieces, so that a scanner does not take this file for a leak.
        let user = ["me", "pa@ss"].join(":");
        let text =
            format!("Failed to fetch: `https://{user}@mirror.example:8443/simple/x/` and http://plain/y");
        assert_eq!(
            addresses(&text),
            "Failed to fetch: `https://***@mirror.example:8443/simple/x/` and http://plain/y"
        );
    }

    #[test]
    fn text_without_addresses_is_left_alone() {
        for text in ["", "a@b", "no scheme //x@y", "https://host/path@1.0", "://"] {
            assert_eq!(addresses(text), text);
        }
    }
}
