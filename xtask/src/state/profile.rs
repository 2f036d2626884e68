//! What of the generated profile decides what is built: settings, extensions, attached databases. Where the
//! environment is, who builds it and how fast are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value as Json;

use crate::dbt::profile::OURS;

/// Keys that change no row, beside those that only the toolkit sets.
const NEUTRAL: [&str; 11] = [
    "workload_identity_provider",
    "host",
    "port",
    "protocol",
    "role",
    "warehouse",
    "query_tag",
    "retries",
    "connect_retries",
    "connect_timeout",
    "external_root",
];

/// What a profile sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) text: String,
    /// Variables of the environment that it reads.
    pub(crate) variables: BTreeSet<String>,
    /// Local files that it attaches as databases, by the name of the database in lower case.
    pub(crate) attached: BTreeMap<String, String>,
}

/// Read the text of a `profiles.yml` as the toolkit generates it: JSON, with one target.
pub(crate) fn read(text: &str) -> Settings {
    let parsed: Json = serde_json::from_str(text).unwrap_or_default();
    let profile = parsed.as_object().and_then(|profiles| profiles.values().next());
    let outputs = profile.and_then(|profile| profile.get("outputs")).and_then(Json::as_object);
    let output = outputs.and_then(|outputs| outputs.values().next()).and_then(Json::as_object);
    let mut found = Settings::default();
    for (key, value) in output.into_iter().flatten() {
        let is_neutral = OURS.contains(&key.as_str()) || NEUTRAL.contains(&key.as_str());
        if is_neutral || key.starts_with("client_") || key == "reuse_connections" {
            continue;
        }
        let value = value.to_string();
        let calls = value.split("env_var(").skip(1);
        found.variables.extend(calls.filter_map(name_of));
        found.text.extend([key, "=", &value, "\n"]);
    }
    let attached = output.and_then(|output| output.get("attach")).and_then(Json::as_array);
    for each in attached.into_iter().flatten() {
        let Some(path) = each.get("path").and_then(Json::as_str) else { continue };
        if path.contains("://") || path.contains("{{") || path.starts_with("md:") {
            continue;
        }
        let stem = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let alias = each.get("alias").and_then(Json::as_str).map(str::to_owned).or(stem);
        found.attached.extend(alias.map(|alias| (alias.to_lowercase(), path.to_owned())));
    }
    found
}

/// The first argument of a call, which follows.
fn name_of(arguments: &str) -> Option<String> {
    let quote = arguments.trim_start().trim_start_matches('\\').chars().next()?;
    let name = arguments.split(quote).nth(1)?.trim_end_matches('\\');
    (!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_count_and_the_place_does_not() {
        let of = |output: &str| read(&format!(r#"{{"p": {{"target": "t", "outputs": {{"t": {output}}}}}}}"#));
        let base = of(r#"{"type": "duckdb", "path": "a", "threads": 1, "extensions": ["icu"]}"#);
        assert_eq!(of(r#"{"type": "duckdb", "path": "b", "threads": 8, "extensions": ["icu"]}"#), base);
        assert_ne!(of(r#"{"type": "duckdb", "path": "a", "threads": 1, "extensions": []}"#), base);
        let more = of(
            r#"{"settings": {"x": "{{ env_var('SIZE', '1') }}"}, "attach": [{"path": "raw.duckdb"}, {"path": "s3://x/y.db"}]}"#,
        );
        assert_eq!(more.variables, ["SIZE".to_owned()].into());
        assert_eq!(more.attached, [("raw".to_owned(), "raw.duckdb".to_owned())].into());
    }
}
