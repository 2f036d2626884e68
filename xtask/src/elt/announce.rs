//! Asks dbt v2 what it is going to write.

use std::path::Path;

use anyhow::Result;

use super::parse_cache::{self, ParseCache};
use crate::dbt::artifacts::Manifest;
use crate::dbt::boundary::Intended;
use crate::dbt::runner::Invocation;
use crate::target::Opened;

/// What dbt v2 is going to write: it cannot be asked on its way, so it parses the project first. `None` if it could not.
pub(super) fn intended(
    build: &Invocation,
    opened: &Opened,
    cache: Option<&ParseCache>,
    artifacts_folder: &Path,
) -> Result<Option<Vec<Intended>>> {
    let mut args = vec!["parse".to_owned()];
    let mut is_selection = false;
    for word in build.args.iter().skip(1) {
        // A selection is of the build; the words after it belong to it until the next option.
        is_selection = word == "--select" || is_selection && !word.starts_with('-');
        if !is_selection && word != "--full-refresh" {
            args.push(word.clone());
        }
    }
    let parse = Invocation {
        project: build.project.clone(),
        args,
        environment: build.environment.clone(),
        secrets: opened.place.dbt_secrets()?,
    };
    let ended = parse_cache::start(&parse, opened, cache, false, |_| {})?;
    if !ended.status.success() {
        return Ok(None);
    }
    Ok(Manifest::read(artifacts_folder)?.map(|manifest| manifest.intended()))
}
