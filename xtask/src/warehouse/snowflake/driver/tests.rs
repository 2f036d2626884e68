//! Where a driver is found, in which order, and what is said of one that cannot be used.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

const ALL: &str = "manifest_version = 1\nname = 'ADBC Driver Foundry Driver for Snowflake'\nversion = '1.12.0'\nsource = 'dbc'\n";

struct Machine {
    folder: TempDir,
    variables: BTreeMap<&'static str, String>,
}

impl Machine {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), variables: BTreeMap::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, text).expect("written");
        path
    }

    fn set(&mut self, name: &'static str, value: &Path) {
        self.variables.insert(name, value.to_string_lossy().into_owned());
    }

    fn find(&self) -> Result<Option<Driver>> {
        Driver::find(&|name| self.variables.get(name).cloned(), &self.path("system"))
    }

    fn found(&self) -> Driver {
        self.find().expect("usable").expect("a driver")
    }

    fn refusal(&self) -> String {
        format!("{:#}", self.find().expect_err("refused"))
    }
}

/// A manifest of a library of that name beside it.
fn manifest(library: &str) -> String {
    format!("{ALL}[Driver]\nshared = '{library}'\n")
}

#[test]
fn the_first_place_of_the_standard_is_used_and_a_given_file_before_all() {
    let mut machine = Machine::new();
    assert_eq!(machine.find().expect("no error"), None, "then the pinned wheel is used");
    let user = if cfg!(target_os = "macos") {
        "home/Library/Application Support/ADBC/Drivers"
    } else {
        "home/.config/adbc/drivers"
    };
    let home = machine.path("home");
    machine.set("HOME", &home);
    let folders = ["system", user, "conda/etc/adbc/drivers", "venv/etc/adbc/drivers", "listed"];
    for folder in folders {
        machine.write(&format!("{folder}/driver.so"), "");
        machine.write(&format!("{folder}/snowflake.toml"), &manifest("driver.so"));
        match folder.split('/').next() {
            Some("conda") => machine.set("CONDA_PREFIX", &machine.path("conda")),
            Some("venv") => machine.set("VIRTUAL_ENV", &machine.path("venv")),
            Some("listed") => {
                let both = std::env::join_paths([machine.path("nothing"), machine.path("listed")]);
                machine.set("ADBC_DRIVER_PATH", Path::new(&both.expect("a list")));
            }
            _ => {}
        }
        let found = machine.found();
        assert_eq!(found.library, machine.path(folder).join("driver.so"), "{folder}");
        assert!(found.describe().starts_with("1.12.0, ") && found.describe().contains("installed by dbc"));
    }
    let own = machine.write("own.so", "");
    machine.set(VARIABLE, &own);
    assert_eq!((machine.found().library, machine.found().source), (own, Source::Variable));
    let own = machine.write("own.toml", &manifest("listed/driver.so"));
    machine.set(VARIABLE, &own);
    assert_eq!(machine.found().library, machine.path("listed/driver.so"));
}

/// The working folder of a command is a checkout, whose content is not the user's choice of a driver.
#[test]
fn a_relative_folder_chooses_no_driver() {
    let mut machine = Machine::new();
    // Tests run in the folder of their crate.
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let relative = Path::new(folder.path().file_name().expect("a name"));
    for place in [relative.join("etc/adbc/drivers"), relative.join("adbc/drivers"), relative.to_path_buf()] {
        fs::create_dir_all(&place).expect("a folder");
        fs::write(place.join("snowflake.toml"), manifest("/x")).expect("a manifest");
    }
    for name in ["ADBC_DRIVER_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "XDG_CONFIG_HOME"] {
        machine.set(name, relative);
    }
    assert_eq!(machine.find().expect("nothing is read"), None);
}

#[test]
fn a_library_is_chosen_by_the_system_and_keeps_its_entry_point() {
    let machine = Machine::new();
    let library = machine.write("a/driver.so", "");
    let each = format!(
        "[Driver]\nentrypoint = 'Start'\n[Driver.shared]\nplan9_mips = '/x'\n{}_{} = '{}'\n",
        std::env::consts::OS,
        if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" },
        library.display()
    );
    machine.write("system/snowflake.toml", &each);
    let found = machine.found();
    assert_eq!((found.library(), found.entrypoint()), (library.as_path(), Some("Start")));
    assert!(found.describe().starts_with("unknown version, "), "{}", found.describe());
}

#[test]
fn what_cannot_be_used_is_an_error_that_names_file_and_fix() {
    let mut machine = Machine::new();
    for (text, why) in [
        ("[Driver", "is not valid TOML"),
        ("name = 'x'", "Driver.shared is missing"),
        ("[Driver]\nshared = ''", "Driver.shared is empty"),
        ("[Driver]\nshared = 7", "Driver.shared is missing"),
        ("[Driver.shared]\nplan9_mips = '/x'", "(Driver.shared names plan9_mips)"),
        ("manifest_version = 2\n[Driver]\nshared = '/x'", "has the manifest_version 2"),
        ("[Driver]\nshared = '/x'\nentrypoint = 7", "Driver.entrypoint"),
        ("[Driver]\nshared = '/no/such/driver.so'", "/no/such/driver.so, which does not exist"),
    ] {
        let path = machine.write("system/snowflake.toml", text);
        let said = machine.refusal();
        for part in [why, &path.display().to_string(), "dbc install snowflake"] {
            assert!(said.contains(part), "{text}: {said}");
        }
    }
    machine.set(VARIABLE, Path::new("/no/such/driver.so"));
    assert!(
        machine.refusal().contains("XTASK_SNOWFLAKE_DRIVER is /no/such/driver.so"),
        "{}",
        machine.refusal()
    );
}

#[test]
fn a_file_that_is_not_a_driver_is_not_loaded() {
    let machine = Machine::new();
    let refused = |library: PathBuf| {
        let driver = Driver { library, ..Driver::pinned(machine.folder.path(), None) };
        format!("{:#}", driver.checked().expect_err("refused"))
    };
    assert!(refused(machine.path("none.so")).contains("cannot be read"));
    assert!(refused(machine.write("page.so", "<html>not found at all</html>")).contains("is not a library"));
    // This program is a file of this system, and not a library.
    let said = refused(std::env::current_exe().expect("a path"));
    assert!(said.contains("cannot be loaded") || said.contains("is not an ADBC driver"), "{said}");
    assert!(said.contains("python sync --set snowflake"), "{said}");
}

#[test]
fn the_policy_allows_drivers_by_their_digest() {
    let machine = Machine::new();
    machine.write("adbc_driver_snowflake/libadbc_driver_snowflake.so", "abc");
    let driver = || Driver::pinned(machine.folder.path(), None);
    let digest = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD".to_owned();
    assert!(driver().allowed(&[]).is_ok());
    assert!(driver().allowed(&["0".repeat(64), digest.clone()]).is_ok());
    let said = format!("{:#}", driver().allowed(&["0".repeat(64)]).expect_err("refused"));
    assert!(said.contains(&digest.to_lowercase()) && said.contains("driver_sha256"), "{said}");
}
