//! The files of a folder that dbt could read.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Every file below `folder` that dbt could read, sorted, through symbolic links.
pub(crate) fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        // A link may lead back to a folder above it.
        if !seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone())) {
            continue;
        }
        let failed = || format!("failed to read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if is_passed_over(&name) {
                continue;
            }
            if path.is_dir() {
                if !path.join("pyvenv.cfg").is_file() {
                    open.push(path);
                }
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Hidden files (`.user.yml`, `.DS_Store`), READMEs, and what tools leave.
fn is_passed_over(name: &str) -> bool {
    name.starts_with('.')
        || name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("readme"))
        || matches!(name, "__pycache__" | "node_modules")
}
