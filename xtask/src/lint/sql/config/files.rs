//! Settings as files of sqlfluff have them: section, key and value.

use anyhow::{Result, bail};

/// Section, key and value of each setting in an INI file, as Python's `configparser` reads it.
pub(super) fn of_ini(text: &str) -> Result<Vec<(String, String, String)>> {
    let mut found: Vec<(String, String, String)> = Vec::new();
    let mut section: Option<String> = None;
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t']) && open {
            if let Some((_, _, value)) = found.last_mut() {
                if !value.is_empty() {
                    value.push('\n');
                }
                value.push_str(bare);
            }
            continue;
        }
        open = false;
        if let Some(rest) = bare.strip_prefix('[') {
            let Some((name, _)) = rest.split_once(']') else {
                bail!("line {}: `{bare}` lacks its `]`", number + 1);
            };
            let inner = name.strip_prefix("sqlfluff").or_else(|| name.strip_prefix("sqruff"));
            section = inner
                .filter(|rest| rest.is_empty() || rest.starts_with(':'))
                .map(|rest| rest.trim_start_matches(':').to_owned());
            continue;
        }
        let Some(section) = &section else { continue };
        let Some((key, value)) = bare.split_once('=') else {
            bail!("line {}: `{bare}` is neither a section nor `key = value`", number + 1);
        };
        found.push((section.clone(), key.trim().to_owned(), value.trim().to_owned()));
        open = true;
    }
    Ok(found)
}

/// The same of `[tool.sqlfluff]` in a `pyproject.toml`.
pub(super) fn of_toml(text: &str) -> Result<Vec<(String, String, String)>> {
    let root: toml::Table = text.parse()?;
    let mut found = Vec::new();
    if let Some(table) =
        root.get("tool").and_then(|tool| tool.get("sqlfluff")).and_then(toml::Value::as_table)
    {
        let mut path = Vec::new();
        flatten(table, &mut path, &mut found);
    }
    Ok(found)
}

pub(super) fn flatten(
    table: &toml::Table,
    path: &mut Vec<String>,
    found: &mut Vec<(String, String, String)>,
) {
    for (key, value) in table {
        let text = match value {
            toml::Value::Table(inner) => {
                path.push(key.clone());
                flatten(inner, path, found);
                path.pop();
                continue;
            }
            toml::Value::String(text) => text.clone(),
            toml::Value::Array(items) => {
                let items: Vec<String> = items
                    .iter()
                    .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                    .collect();
                items.join(",")
            }
            other => other.to_string(),
        };
        // The parts of a rule's name are nested tables: `[tool.sqlfluff.rules.capitalisation.keywords]`.
        let section = match path.split_first() {
            Some((first, rest)) if first == "rules" && !rest.is_empty() => {
                format!("rules:{}", rest.join("."))
            }
            Some((first, [])) if first == "core" => String::new(),
            _ => path.join(":"),
        };
        found.push((section, key.clone(), text));
    }
}
