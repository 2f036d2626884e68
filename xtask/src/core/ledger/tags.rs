//! The query tag: how Snowflake's history and its credits are attributed to environments.

/// What every session and dbt run is tagged with, so that cost can be attributed to an environment. The
/// target adds where that is, see [`tag_in`].
pub(crate) fn query_tag(schema: Option<&str>, run_id: Option<&str>, stage: &str) -> String {
    serde_json::json!({"tool": "xtask", "environment": schema, "run_id": run_id, "stage": stage}).to_string()
}

/// A tag with the place of its environment: other databases of an account, and other projects, may have
/// environments of the same names. `own` marks the toolkit's statements, which are not the project's.
pub(crate) fn tag_in(tag: &str, database: &str, project: Option<&str>, own: bool) -> String {
    let mut all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(tag).unwrap_or_default();
    all.insert("database".to_owned(), database.into());
    if let Some(project) = project {
        all.insert("project".to_owned(), project.into());
    }
    if own {
        all.insert("own".to_owned(), true.into());
    }
    serde_json::Value::Object(all).to_string()
}
