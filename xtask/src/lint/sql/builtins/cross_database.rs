//! dbt's macros that every adapter has: `dbt.dateadd`, `dbt.listagg` and the rest.

use minijinja::Value;

use super::super::values::{Placeholder, argument, split};
use super::Result;

/// The names of dbt's macros that every adapter has, which older projects call without `dbt.`.
pub(super) fn is_cross_database(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "any_value",
        "array_append",
        "array_concat",
        "array_construct",
        "bool_or",
        "cast",
        "cast_bool_to_text",
        "concat",
        "current_timestamp",
        "current_timestamp_backcompat",
        "date",
        "date_trunc",
        "dateadd",
        "datediff",
        "escape_single_quotes",
        "except",
        "hash",
        "intersect",
        "last_day",
        "length",
        "listagg",
        "position",
        "replace",
        "right",
        "safe_cast",
        "split_part",
        "string_literal",
    ];
    NAMES.contains(&name) || name.starts_with("type_")
}

/// What a `dbt.*` macro writes: plausible SQL, the same for every engine.
pub(super) fn cross_database(name: &str, args: &[Value]) -> Result {
    let (positional, named) = split(args)?;
    let get = |index: usize, parameter: &str| {
        argument(&positional, &named, index, parameter).map_or_else(String::new, |value| value.to_string())
    };
    let all = || positional.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let listed = |value: Option<&Value>| {
        let items =
            value.and_then(|value| value.try_iter().ok()).map(|items| items.map(|item| item.to_string()));
        items.map(Iterator::collect::<Vec<_>>).unwrap_or_default()
    };
    Ok(Value::from(match name {
        "any_value" | "length" | "last_day" | "right" | "replace" | "split_part" | "array_append"
        | "array_concat" => format!("{name}({})", all()),
        "bool_or" => format!("boolor_agg({})", all()),
        "array_construct" => format!("array_construct({})", listed(positional.first()).join(", ")),
        "cast" | "safe_cast" => format!("cast({} as {})", get(0, "field"), get(1, "type")),
        "cast_bool_to_text" => format!("cast({} as varchar)", get(0, "field")),
        "concat" => listed(positional.first()).join(" || "),
        "current_timestamp" | "current_timestamp_backcompat" | "current_timestamp_in_utc" => {
            "current_timestamp()".to_owned()
        }
        "date" => format!("date_from_parts({})", all()),
        "date_trunc" => format!("date_trunc('{}', {})", get(0, "datepart"), get(1, "date")),
        "dateadd" => format!(
            "dateadd({}, {}, {})",
            get(0, "datepart"),
            get(1, "interval"),
            get(2, "from_date_or_timestamp")
        ),
        "datediff" => {
            format!("datediff({}, {}, {})", get(2, "datepart"), get(0, "first_date"), get(1, "second_date"))
        }
        "escape_single_quotes" => get(0, "expression").replace('\'', "''"),
        "except" | "intersect" => name.to_owned(),
        "hash" => format!("md5(cast({} as varchar))", get(0, "field")),
        "listagg" => format!("listagg({}, {})", get(0, "measure"), get(1, "delimiter_text")),
        "position" => format!("position({}, {})", get(0, "substring_text"), get(1, "string_text")),
        "string_literal" => format!("'{}'", get(0, "value")),
        "date_spine" => "select current_date() as date_day".to_owned(),
        "generate_series" => "select 1 as generated_number".to_owned(),
        "type_string" => "varchar".to_owned(),
        "type_int" => "integer".to_owned(),
        _ if name.starts_with("type_") => name["type_".len()..].to_owned(),
        _ => return Ok(Placeholder::of(format!("dbt_{name}"))),
    }))
}
