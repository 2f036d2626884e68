//! Values of this process's secret variables, taken out of what leaves it.
//!
//! GitHub masks its logs, but neither a comment, a Slack message nor a file that is handed on.

use serde_json::Value;

/// The endings of names of variables that hold secrets.
const ENDS: [&str; 7] =
    ["PASSWORD", "TOKEN", "SECRET", "PASSPHRASE", "PRIVATE_KEY", "API_KEY", "WEBHOOK_URL"];

/// Shorter values would tear holes into ordinary words.
const SHORTEST: usize = 6;

/// Their replacement.
pub(crate) const HIDDEN: &str = "***";

/// Values of variables that hold secrets by their names.
pub(crate) fn secrets(variables: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let of_secret =
        variables.filter(|(name, _)| ENDS.iter().any(|end| name.to_ascii_uppercase().ends_with(end)));
    // A key of several lines may be quoted line by line.
    of_secret
        .flat_map(|(_, value)| {
            let lines: Vec<String> = value.lines().map(|line| line.trim().to_owned()).collect();
            std::iter::once(value.trim().to_owned()).chain(lines)
        })
        .filter(|value| value.len() >= SHORTEST)
        .collect()
}

/// `value` with every text in it free of `secrets`.
pub(crate) fn redact(value: &mut Value, secrets: &[String]) {
    match value {
        Value::String(text) => {
            for secret in secrets {
                if text.contains(secret.as_str()) {
                    *text = text.replace(secret.as_str(), HIDDEN);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| redact(value, secrets)),
        Value::Object(map) => map.values_mut().for_each(|value| redact(value, secrets)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_of_every_text() {
        let password = ["hunter", "2hunter"].concat();
        let variables = [("SNOWFLAKE_PASSWORD", password.as_str()), ("MY_TOKEN", "x"), ("HOME", "/home/me")];
        let secrets = secrets(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        let mut value = serde_json::json!({"nodes": [{"message": format!("login with {password} failed")}]});
        redact(&mut value, &secrets);
        assert_eq!(value["nodes"][0]["message"], "login with *** failed");
    }
}
