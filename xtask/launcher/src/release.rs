//! `cargo xtask release fetch`: take the toolkit that a release compiled from exactly these sources instead of compiling
//! it.
//!
//! The launcher does it, since the toolkit is what is missing. The name of a release's archive holds the hash of its
//! sources, so a checkout that changes one byte of them finds none and compiles. What is downloaded is unpacked only
//! after GitHub's attestation says that the release workflow of the repository built it from the tag of the version.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The version of these sources: a release is tagged with it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is asked of `gh`, and where it puts the archive.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    archive: String,
    /// The program in the archive.
    member: String,
    download: Vec<String>,
    verify: Vec<String>,
}

/// The repository of `release fetch --repo OWNER/NAME`; `None` if `arguments` are another command.
pub(crate) fn wanted(arguments: &[impl AsRef<OsStr>]) -> Option<&str> {
    let texts: Vec<&str> = arguments.iter().map(|text| text.as_ref().to_str()).collect::<Option<_>>()?;
    match texts[..] {
        ["release", "fetch", "--repo", repository] => Some(repository),
        ["release", "fetch", given] => given.strip_prefix("--repo="),
        _ => None,
    }
}

/// What to download and how to verify it, for the sources with this hash.
fn plan(repository: &str, key: &str, system: &str, machine: &str) -> Result<Plan, String> {
    let plain = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !part.is_empty() && !part.starts_with(['-', '.']) && part.bytes().all(allowed)
    };
    match repository.split_once('/') {
        Some((owner, name)) if plain(owner) && plain(name) => {}
        _ => return Err(format!("--repo is {repository:?}; it takes OWNER/NAME of a repository on GitHub")),
    }
    let archive = archive(system, machine, key);
    let tag = format!("v{VERSION}");
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Ok(Plan {
        member: format!("{key}/xtask{}", std::env::consts::EXE_SUFFIX),
        download: words(&["release", "download", &tag, "--repo", repository, "--pattern", &archive]),
        verify: words(&[
            "attestation",
            "verify",
            &archive,
            "--repo",
            repository,
            "--signer-workflow",
            &format!("{repository}/.github/workflows/release.yml"),
            "--source-ref",
            &format!("refs/tags/{tag}"),
            "--deny-self-hosted-runners",
        ]),
        archive,
    })
}

/// The file name that `cargo xtask release pack` gives an archive, in the words of the runners of GitHub Actions.
fn archive(system: &str, machine: &str, key: &str) -> String {
    let system = match system {
        "macos" => "macOS",
        "windows" => "Windows",
        _ => "Linux",
    };
    let machine = if machine == "aarch64" { "ARM64" } else { "X64" };
    format!("toolkit-{system}-{machine}-{key}.tar.gz")
}

/// Puts the released program of the sources with the hash `key` to `kept`; the error says why it has to be compiled.
pub(crate) fn fetch(repository: &str, key: &str, kept: &Path, target: &Path) -> Result<(), String> {
    let plan = plan(repository, key, std::env::consts::OS, std::env::consts::ARCH)?;
    let staging = target.join(format!("release-{}", std::process::id()));
    fs::create_dir_all(&staging)
        .map_err(|error| format!("failed to create {}: {error}", staging.display()))?;
    let fetched = unpack(&plan, &staging).and_then(|()| {
        let program = staging.join(&plan.member);
        let is_file = fs::symlink_metadata(&program).is_ok_and(|found| found.is_file());
        if !is_file {
            return Err(format!("{} does not hold {}", plan.archive, plan.member));
        }
        let place = || -> std::io::Result<()> {
            fs::create_dir_all(kept.parent().unwrap_or(target))?;
            fs::rename(&program, kept)
        };
        place().map_err(|error| format!("failed to put the toolkit to {}: {error}", kept.display()))
    });
    drop(fs::remove_dir_all(&staging));
    fetched
}

fn unpack(plan: &Plan, staging: &Path) -> Result<(), String> {
    let none = |why| format!("no release was compiled from these sources ({why})");
    run("gh", &plan.download, staging).map_err(none)?;
    run("gh", &plan.verify, staging)
        .map_err(|why| format!("{} is not used, as its origin is not attested ({why})", plan.archive))?;
    let unpack = ["-xzf", &plan.archive, &plan.member].map(str::to_owned);
    run("tar", &unpack, staging)
}

/// Runs a program in `folder`; the error is its last line.
fn run(program: &str, arguments: &[String], folder: &Path) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("GH_PROMPT_DISABLED", "1")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("failed to start {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // A workflow's log takes lines that begin with `::` for commands.
    let last = said.trim().lines().last().unwrap_or_default().replace("::", ": :");
    Err(format!("{program}: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn only_the_exact_command_is_taken_from_the_toolkit() {
        assert_eq!(wanted(&["release", "fetch", "--repo", "octo/lab"]), Some("octo/lab"));
        assert_eq!(wanted(&["release", "fetch", "--repo=octo/lab"]), Some("octo/lab"));
        for other in [&["release", "pack"][..], &["release", "fetch", "--help"], &["release"], &[]] {
            assert_eq!(wanted(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_archive_is_that_of_the_sources_the_system_and_the_version() {
        let plan = plan("octo/lab", KEY, "linux", "x86_64").expect("a plan");
        assert_eq!(plan.archive, format!("toolkit-Linux-X64-{KEY}.tar.gz"));
        let other = super::plan("octo/lab", &KEY.replace('0', "1"), "linux", "x86_64").expect("a plan");
        assert_ne!(plan.archive, other.archive, "other sources");
        assert_eq!(archive("macos", "aarch64", KEY), format!("toolkit-macOS-ARM64-{KEY}.tar.gz"));
        assert!(plan.download.contains(&format!("v{VERSION}")), "{:?}", plan.download);
        let verify = plan.verify.join(" ");
        assert!(verify.contains("--repo octo/lab --signer-workflow octo/lab/.github/workflows/release.yml"));
        assert!(verify.contains(&format!("--source-ref refs/tags/v{VERSION}")), "{verify}");
    }

    #[test]
    fn a_repository_is_an_owner_and_a_name() {
        for wrong in ["", "lab", "/lab", "octo/", "--repo/x", "octo/lab/x", "octo/$(id)", "octo/..", "a b/c"]
        {
            plan(wrong, KEY, "linux", "x86_64").expect_err(wrong);
        }
    }
}
