//! Find a Python that can run dbt.
//!
//! Looked for only when the environment has to be made: starting Python costs 20 to 300 ms.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::system::probe;

/// The Pythons that the lock files hold wheels for: from this one …
pub(crate) const OLDEST: (u32, u32) = (3, 10);
/// … to before this one. dbt 1.11 supports none newer.
pub(crate) const FIRST_TOO_NEW: (u32, u32) = (3, 14);
/// The same range in words.
pub(crate) const RANGE: &str = "3.10 to 3.13";

/// Says the version first, so that even a Python which cannot run the rest is recognised. `venv`
/// without `ensurepip` is what Debian ships without the package python3-venv.
const QUESTION: &str = "import sys
print('%d.%d.%d' % sys.version_info[:3]); sys.stdout.flush()
import importlib.util as u
print(getattr(sys, '_base_executable', None) or sys.executable)
print('venv' if u.find_spec('venv') and u.find_spec('ensurepip') else 'no venv')";

/// A Python on this machine, within the range or not.
#[derive(Clone, Debug)]
pub(crate) struct Interpreter {
    /// What it was found as: `python3`, or a path.
    pub(crate) name: String,
    /// The real program, outside of any virtual environment.
    pub(crate) path: PathBuf,
    /// Such as `3.11.7`.
    pub(crate) version: String,
    /// Whether it can make a virtual environment with pip in it.
    pub(crate) has_venv: bool,
}

impl Interpreter {
    fn minor(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.split('.').map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??))
    }

    fn is_supported(&self) -> bool {
        self.minor().is_some_and(|version| (OLDEST..FIRST_TOO_NEW).contains(&version))
    }
}

/// The result of a search: the Python to use, or why each candidate is unsuitable.
pub(crate) enum Search {
    Found(Interpreter),
    /// None is suitable: one sentence each, empty if nothing called Python exists at all.
    Nothing {
        rejected: Vec<String>,
    },
}

/// The first supported Python; with `needs_venv`, one that can make an environment itself.
pub(crate) fn search(needs_venv: bool) -> Result<Search> {
    if let Some(chosen) = std::env::var_os("XTASK_PYTHON").filter(|value| !value.is_empty()) {
        return chosen_by_hand(&PathBuf::from(chosen), needs_venv).map(Search::Found);
    }
    let mut rejected = Vec::new();
    let mut seen = Vec::new();
    for name in candidates() {
        let Some(program) = probe::which(&name) else { continue };
        match question(&name, &program) {
            Ok(python) if seen.contains(&python.path) => {}
            Ok(python) => match objection(&python, needs_venv) {
                None => return Ok(Search::Found(python)),
                Some(reason) => {
                    seen.push(python.path);
                    rejected.push(reason);
                }
            },
            // A shim of a version that is not installed: not worth reporting to the user.
            Err(reason) => tracing::debug!("{name} ({}) {reason}", program.display()),
        }
    }
    Ok(Search::Nothing { rejected })
}

/// `XTASK_PYTHON` is binding: if it is unsuitable, silently using another Python would be a surprise.
fn chosen_by_hand(program: &Path, needs_venv: bool) -> Result<Interpreter> {
    let shown = program.display();
    let Some(found) = probe::which(program) else {
        bail!("XTASK_PYTHON is {shown}, but there is no such program; correct it or unset it");
    };
    let python = match question(&shown.to_string(), &found) {
        Ok(python) => python,
        Err(reason) => bail!("XTASK_PYTHON is {shown}, and that {reason}; correct it or unset it"),
    };
    match objection(&python, needs_venv) {
        None => Ok(python),
        Some(reason) => bail!("XTASK_PYTHON will not do: {reason}; set it to a Python {RANGE}"),
    }
}

/// Plain `python3` first: it is what people expect to be used. Then the newest supported one.
fn candidates() -> Vec<String> {
    let series = (OLDEST.1..FIRST_TOO_NEW.1).rev().map(|minor| format!("python3.{minor}"));
    let mut names: Vec<String> = std::iter::once("python3".to_owned()).chain(series).collect();
    names.push("python".to_owned());
    if cfg!(windows) {
        names.push("py".to_owned());
    }
    names
}

fn question(name: &str, program: &Path) -> Result<Interpreter, String> {
    let mut command = Command::new(program);
    // -I: no current folder and no user packages in its search path.
    command.args(["-I", "-c", QUESTION]).env_remove("PYTHONHOME").env_remove("PYTHONPATH");
    let answer = probe::ask(&mut command, Duration::from_secs(10))?;
    let mut lines = answer.stdout.lines().map(str::trim);
    let Some(version) = lines.next().and_then(version_in) else {
        return Err(format!("did not say its version: {}", answer.first_line()));
    };
    let path =
        lines.next().filter(|line| !line.is_empty()).map_or_else(|| program.to_path_buf(), PathBuf::from);
    let has_venv = lines.next() == Some("venv");
    Ok(Interpreter { name: name.to_owned(), path, version, has_venv })
}

/// The first thing that looks like a version: programs that answer `Python 3.9.2` are understood too.
fn version_in(line: &str) -> Option<String> {
    line.split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
        .map(str::to_owned)
}

/// Why this Python cannot be used, if so.
fn objection(python: &Interpreter, needs_venv: bool) -> Option<String> {
    let Interpreter { name, path, version, has_venv } = python;
    let place = if Path::new(name) == path { String::new() } else { format!(" ({})", path.display()) };
    if !python.is_supported() {
        let verdict =
            if python.minor().is_some_and(|version| version < OLDEST) { "too old" } else { "too new" };
        return Some(format!("{name}{place} is {version}, {verdict}"));
    }
    if needs_venv && !has_venv {
        return Some(format!("{name}{place} is {version}, but has no venv module"));
    }
    None
}

/// The message for the user if no Python is suitable.
pub(crate) fn nothing_found(rejected: &[String]) -> String {
    let series = missing_venv_series(rejected);
    let (what, remedy) = if rejected.is_empty() {
        (format!("no Python found: dbt needs Python {RANGE}, and PATH has no python3"), install_hint())
    } else if let Some(series) = series {
        (
            format!("Python cannot make an environment: {}", rejected.join("; ")),
            format!("install the missing part (Debian, Ubuntu: sudo apt install python{series}-venv)"),
        )
    } else {
        (format!("no usable Python: dbt needs Python {RANGE}, and {}", rejected.join("; ")), install_hint())
    };
    format!(
        "{what}; {remedy}, or install uv (https://docs.astral.sh/uv/), or set XTASK_PYTHON to a Python {RANGE}"
    )
}

fn missing_venv_series(rejected: &[String]) -> Option<String> {
    let reason = rejected.iter().find(|reason| reason.contains("no venv module"))?;
    let version = reason.split(" is ").nth(1)?.split(',').next()?;
    Some(version.splitn(3, '.').take(2).collect::<Vec<_>>().join("."))
}

fn install_hint() -> String {
    if cfg!(target_os = "macos") {
        "install one (brew install python@3.13)".to_owned()
    } else {
        "install one (Debian, Ubuntu: sudo apt install python3 python3-venv)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(version: &str, has_venv: bool) -> Interpreter {
        Interpreter {
            name: "python3".to_owned(),
            path: PathBuf::from("/usr/bin/python3"),
            version: version.to_owned(),
            has_venv,
        }
    }

    #[test]
    fn the_supported_range_ends_before_3_14() {
        for (version, objection_is) in [
            ("2.7.18", Some("too old")),
            ("3.9.18", Some("too old")),
            ("3.10.0", None),
            ("3.13.9", None),
            ("3.14.0", Some("too new")),
            ("4.0.0", Some("too new")),
        ] {
            let found = objection(&python(version, true), true);
            assert_eq!(found.is_some(), objection_is.is_some(), "{version}: {found:?}");
            assert!(found.unwrap_or_default().contains(objection_is.unwrap_or_default()));
        }
    }

    #[test]
    fn a_missing_venv_module_matters_only_without_uv() {
        let bare = python("3.11.2", false);
        assert_eq!(objection(&bare, false), None);
        let reason = objection(&bare, true).unwrap_or_default();
        let message = nothing_found(&[reason]);
        assert!(message.contains("apt install python3.11-venv"), "{message}");
    }

    #[test]
    fn versions_are_read_from_what_programs_print() {
        assert_eq!(version_in("Python 3.9.2").as_deref(), Some("3.9.2"));
        assert_eq!(version_in("3.13.0").as_deref(), Some("3.13.0"));
        assert_eq!(version_in("pyenv: command not found"), None);
    }
}
