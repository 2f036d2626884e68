//! ADBC driver manifests: where they are looked for, and what one says.
//!
//! The order of folders is that of the standard's driver managers and of `dbc`: `ADBC_DRIVER_PATH`, the active Python or
//! Conda environment, the user, the system. The manager's own search is not used: it passes over a manifest that it
//! cannot use without a word, and takes any library that the system's loader finds under the driver's name.

use std::env;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::super::login::Lookup;

const FILE: &str = "snowflake.toml";

/// The one version of the format.
const FORMAT: i64 = 1;

/// What a manifest says of a driver on this system.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) library: PathBuf,
    pub(super) entrypoint: Option<String>,
    pub(super) version: Option<String>,
    pub(super) installer: Option<String>,
}

/// The folder for all users.
pub(super) fn system() -> PathBuf {
    if cfg!(target_os = "macos") {
        "/Library/Application Support/ADBC/Drivers".into()
    } else {
        "/etc/adbc/drivers".into()
    }
}

/// The manifest that the standard finds first. Relative folders are left out: what they name depends on the working
/// folder, and a checkout must not choose the library that is loaded.
pub(super) fn find(variable: Lookup<'_>, system: &Path) -> Option<PathBuf> {
    let listed = variable("ADBC_DRIVER_PATH").unwrap_or_default();
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable);
    let folders = env::split_paths(&listed)
        .chain(active.map(|folder| Path::new(&folder).join("etc/adbc/drivers")))
        .chain(user(variable))
        .chain([system.to_path_buf()]);
    let absolute = folders.filter(|folder| folder.is_absolute());
    absolute.map(|folder| folder.join(FILE)).find(|path| path.is_file())
}

fn user(variable: Lookup<'_>) -> Option<PathBuf> {
    let home = || variable("HOME").map(PathBuf::from);
    if cfg!(target_os = "macos") {
        return Some(home()?.join("Library/Application Support/ADBC/Drivers"));
    }
    if cfg!(windows) {
        return Some(Path::new(&variable("LOCALAPPDATA")?).join("ADBC").join("Drivers"));
    }
    let settings =
        variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".config")))?;
    Some(settings.join("adbc/drivers"))
}

/// The name of this system in manifests, such as `linux_amd64`.
fn platform() -> String {
    let arch = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let library = if cfg!(target_env = "musl") { "_musl" } else { "" };
    format!("{}_{arch}{library}", env::consts::OS)
}

/// What is wrong with it is a clause without its subject.
pub(super) fn read(path: &Path) -> Result<Manifest, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        format!("is not valid TOML: {} on line {line}", error.message())
    })?;
    let found = of(&table, &platform())?;
    // Names in a manifest of another tool may be relative to it.
    let library = path.parent().unwrap_or(Path::new("")).join(found.library);
    if !library.is_file() {
        return Err(format!("names the library {}, which does not exist", library.display()));
    }
    Ok(Manifest { library, ..found })
}

fn of(table: &Table, platform: &str) -> Result<Manifest, String> {
    let text = |key: &str| table.get(key).and_then(Value::as_str).map(str::to_owned);
    let format = table.get("manifest_version").and_then(Value::as_integer).unwrap_or(FORMAT);
    if format != FORMAT {
        return Err(format!("has the manifest_version {format}, and this toolkit reads {FORMAT}"));
    }
    let driver = table.get("Driver").and_then(Value::as_table);
    let shared = driver.and_then(|driver| driver.get("shared"));
    let library = match shared {
        Some(Value::String(path)) => path,
        Some(Value::Table(each)) => {
            each.get(platform).and_then(Value::as_str).ok_or_else(|| other_systems(each, platform))?
        }
        _ => return Err("names no library: Driver.shared is missing".to_owned()),
    };
    if library.is_empty() {
        return Err("names no library: Driver.shared is empty".to_owned());
    }
    let entrypoint = match driver.and_then(|driver| driver.get("entrypoint")) {
        None => None,
        Some(Value::String(name)) if name.is_empty() => None,
        Some(Value::String(name)) if !name.contains('\0') => Some(name.clone()),
        Some(_) => return Err("has a Driver.entrypoint that is not the name of a function".to_owned()),
    };
    Ok(Manifest { library: library.into(), entrypoint, version: text("version"), installer: text("source") })
}

fn other_systems(each: &Table, platform: &str) -> String {
    let given = each.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let given = if given.is_empty() { "none".to_owned() } else { given };
    format!("has no library for {platform} (Driver.shared names {given})")
}
