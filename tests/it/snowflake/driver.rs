//! Which driver a session loads: one that the user names or installed, without any Python; else the pinned wheel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::endpoint::Endpoint;
use crate::support::{Checkout, Ended, duckdb, environment};

/// The library of the pinned wheel, in the environment of the tests.
fn library() -> PathBuf {
    let packages = duckdb().ancestors().nth(2).expect("site-packages").to_path_buf();
    packages.join("adbc_driver_snowflake/libadbc_driver_snowflake.so")
}

/// The folder of a manifest as `dbc install snowflake` writes it, with the library beside it as `dbc` has it.
fn installed(checkout: &Checkout, library: &Path) -> PathBuf {
    let folder = checkout.path("drivers");
    let part = folder.join("snowflake_linux_amd64_v1.99.0");
    fs::create_dir_all(&part).expect("a folder");
    let own = part.join("libadbc_driver_snowflake.so");
    if library.is_file() {
        fs::copy(library, &own).expect("a copy");
    }
    describe(&folder, &own.display().to_string());
    folder
}

fn describe(folder: &Path, library: &str) {
    let text = format!(
        "manifest_version = 1\nname = 'ADBC Driver Foundry Driver for Snowflake'\npublisher = 'ADBC Drivers Contributors'\n\
         license = 'Apache-2.0'\nversion = '1.99.0'\nsource = 'dbc'\n\n[ADBC]\nversion = 'v1.1.0'\n\n[Driver]\n\
         [Driver.shared]\n{} = '{library}'\n",
        platform()
    );
    fs::write(folder.join("snowflake.toml"), text).expect("a manifest");
}

fn platform() -> String {
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    format!("{}_{arch}", std::env::consts::OS)
}

/// A command on a machine whose only driver is what `folder` describes.
fn command(endpoint: &Endpoint, checkout: &Checkout, folder: &Path, args: &[&str]) -> Command {
    let mut command = endpoint.command(checkout, args);
    command
        .env("XTASK_VENV", checkout.path("no such environment"))
        .env("XTASK_PYTHON", "/no/such/python")
        .env("ADBC_DRIVER_PATH", folder);
    command
}

#[test]
fn an_installed_driver_needs_no_python() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let folder = installed(&checkout, &library());
    let run = |args: &[&str]| Ended::of(command(&endpoint, &checkout, &folder, args));
    run(&["schema", "create", "--schema", "issue_1", "--dry-run"]).expect(0);
    run(&["schema", "create", "--schema", "issue_1"]).expect(0);
    assert!(run(&["schema", "list"]).expect(0).stdout.contains("issue_1"));
    run(&["metrics", "--schema", "issue_1"]).expect(0);
    run(&["schema", "drop", "--schema", "issue_1"]).expect(0);
    assert!(!checkout.path("no such environment").exists(), "Python packages were installed");

    let report = run(&["doctor", "--format", "json"]).json();
    let found = |name: &str| {
        let checks = report["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["name"] == name).cloned().expect("the check")
    };
    let (driver, login) = (found("driver"), found("login"));
    assert_eq!((&driver["status"], &login["status"]), (&"ok".into(), &"ok".into()), "{driver} {login}");
    let text = |check: &Value| check["found"].as_str().expect("text").to_owned();
    for part in ["1.99.0", "snowflake.toml", "snowflake_linux_amd64_v1.99.0", "installed by dbc"] {
        assert!(text(&driver).contains(part), "{driver}");
    }
    // The manifest may be wrong about the library: the driver itself is asked.
    assert!(text(&login).contains("driver v1.11.0"), "{login}");
}

#[test]
fn a_driver_that_cannot_be_used_is_refused_before_the_login() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let folder = installed(&checkout, Path::new("/none"));
    let library = folder.join("snowflake_linux_amd64_v1.99.0/libadbc_driver_snowflake.so");
    let refused = |why: &str| {
        let said = Ended::of(command(&endpoint, &checkout, &folder, &["schema", "list"])).expect(2).stderr;
        for part in [why, &folder.display().to_string(), "dbc install snowflake"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let doctor = Ended::of(command(&endpoint, &checkout, &folder, &["doctor"])).expect(1).stdout;
        assert!(doctor.contains(why), "{doctor}");
    };
    refused("which does not exist");
    fs::write(&library, "<html>the download was refused</html>").expect("a file");
    refused("is not a library");
    let mut other = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
    other.extend(if cfg!(target_arch = "x86_64") { [0xb7, 0] } else { [0x3e, 0] });
    fs::write(&library, other).expect("a file");
    refused(if cfg!(target_os = "linux") { "is for linux on" } else { "is for linux" });
    // A library without the interface, of those that are here anyway.
    fs::copy(stranger(), &library).expect("a copy");
    refused("is not an ADBC driver");
    describe(&folder, "");
    refused("Driver.shared is empty");
    fs::write(folder.join("snowflake.toml"), "[Driver.shared]\nplan9_mips = '/x'\n").expect("a manifest");
    refused(&format!("has no library for {}", platform()));
    assert_eq!(endpoint.logins(), Vec::<Value>::new(), "a login was tried");
}

/// A library of this system that is not a driver.
fn stranger() -> PathBuf {
    let folder = library().ancestors().nth(2).expect("site-packages").join("yaml");
    let files = fs::read_dir(folder).expect("a package").flatten().map(|entry| entry.path());
    let mut libraries = files.filter(|path| path.extension().is_some_and(|end| end == "so"));
    libraries.next().expect("a library")
}

#[test]
fn a_named_driver_is_used_before_an_installed_one() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let folder = installed(&checkout, Path::new("/none"));
    let run = |driver: &Path| {
        let mut command = command(&endpoint, &checkout, &folder, &["schema", "list"]);
        command.env("XTASK_SNOWFLAKE_DRIVER", driver);
        Ended::of(command)
    };
    run(&library()).expect(0);
    let said = run(Path::new("/no/such/driver.so")).expect(2).stderr;
    assert!(said.contains("XTASK_SNOWFLAKE_DRIVER is /no/such/driver.so"), "{said}");
}

#[test]
fn the_policy_pins_the_library_by_its_digest() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let pin = |digest: &str| {
        checkout.edit("policies/environments.toml", |text| {
            text + &format!("\n[snowflake]\ndriver_sha256 = [\"{digest}\"]\n")
        });
    };
    pin(&"0".repeat(64));
    let said = endpoint.run(&checkout, &["schema", "list"]).expect(2).stderr;
    assert!(said.contains("driver_sha256") && said.contains("the pinned wheel"), "{said}");
    let digest = said.split("SHA-256 ").nth(1).and_then(|rest| rest.get(..64)).expect("a digest").to_owned();
    checkout.edit("policies/environments.toml", |text| text.replace(&"0".repeat(64), &digest));
    endpoint.run(&checkout, &["schema", "list"]).expect(0);
}

/// dbt v2 loads the same library, under the name that it asks for.
#[cfg(target_os = "linux")]
#[test]
fn dbt_v2_gets_the_installed_driver() {
    let Some(dbt) = crate::dbt_v2::folder() else { return };
    let (endpoint, checkout) = (Endpoint::start(), Checkout::slim());
    let folder = installed(&checkout, &library());
    let parts = checkout.path("engine");
    fs::create_dir(&parts).expect("a folder");
    for part in ["dbt", "duckdb"] {
        std::os::unix::fs::symlink(dbt.join(part), parts.join(part)).expect("a link");
    }
    let mut command =
        command(&endpoint, &checkout, &folder, &["elt", "--schema", "issue_1", "--format", "json"]);
    command.env("XTASK_DBT_DIR", &parts);
    let report = Ended::of(command).expect(0).json();
    assert_eq!((&report["engine"], &report["target"]), (&"v2".into(), &"snowflake".into()));
    assert!(!parts.join("snowflake").exists(), "the pinned driver was installed");
    assert!(environment().exists() && !checkout.path("no such environment").exists());
}
