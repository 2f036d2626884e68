//! The shape of property files, as far as dbt rejects files that lack it.

use crate::core::finding::Span;
use crate::core::yaml::{Node as Yaml, Value};

/// The keys whose values must be lists of mappings with a name.
pub(super) const LISTS: [&str; 12] = [
    "analyses",
    "exposures",
    "groups",
    "macros",
    "metrics",
    "models",
    "saved_queries",
    "seeds",
    "semantic_models",
    "snapshots",
    "sources",
    "unit_tests",
];

/// What dbt rejects about the list of a key, each with its place.
pub(super) fn faults_of_list<'n>(
    key: &'n Yaml,
    list: &'n Yaml,
) -> impl Iterator<Item = (Span, String)> + use<'n> {
    let name = key.text().unwrap_or_default();
    let is_list = matches!(list.value, Value::Sequence(_));
    let whole = (!is_list).then(|| (key.span, format!("`{name}` is not a list")));
    let items = list.items().iter().filter_map(move |item| {
        let lacks = if !item.is_mapping() {
            "is not a mapping"
        } else if item.get("name").is_none() {
            "has no name"
        } else {
            return None;
        };
        Some((item.span, format!("an item of `{name}` {lacks}")))
    });
    whole.into_iter().chain(items)
}

/// The name of a generic test, or what dbt rejects about it.
pub(super) fn test(test: &Yaml) -> Result<(String, Span), String> {
    let named = |name: &Yaml| Some((name.text()?.to_owned(), name.span));
    let not_named = || "a test has no name".to_owned();
    if !test.is_mapping() {
        return named(test).ok_or_else(not_named);
    }
    if let Some(name) = test.get("test_name") {
        return named(name).ok_or_else(not_named);
    }
    match test.entries() {
        [(_, Yaml { value: Value::Sequence(_), .. })] => {
            Err("the arguments of a test are not a mapping".to_owned())
        }
        [(name, _)] => named(name).ok_or_else(not_named),
        entries => {
            let keys: Vec<&str> = entries.iter().filter_map(|(key, _)| key.text()).collect();
            Err(format!(
                "a test has {} keys, {}, but only its name may be there: indent the others below it",
                keys.len(),
                keys.join(", ")
            ))
        }
    }
}
