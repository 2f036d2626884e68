//! Rows on their way into a table: a file of JSON, which the engine reads as text.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::super::{Row, literal, quote};

pub(super) fn rows_file(rows: &[Row]) -> Result<tempfile::NamedTempFile> {
    let write = || -> std::io::Result<tempfile::NamedTempFile> {
        let file = tempfile::Builder::new().prefix("xtask-rows-").suffix(".json").tempfile()?;
        let mut writer = BufWriter::new(file);
        for row in rows {
            serde_json::to_writer(&mut writer, row)?;
            writer.write_all(b"\n")?;
        }
        Ok(writer.into_inner()?)
    };
    write().with_context(|| format!("failed to write rows to {}", std::env::temp_dir().display()))
}

/// Every column is read as text and converted by the table's own types: the engine guesses nothing.
pub(super) fn insert_from(file: &Path, table: &str, first: &Row) -> String {
    let columns: Vec<String> = first.keys().map(|name| format!("{}: 'varchar'", quote(name))).collect();
    format!(
        "insert into {} by name\nselect * from read_json({}, format = 'newline_delimited', columns = {{{}}})",
        table,
        literal(&file.to_string_lossy()),
        columns.join(", ")
    )
}
