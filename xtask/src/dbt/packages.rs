//! Packages of a dbt project: installed by `dbt deps` when what is declared has changed, and only then.
//!
//! A stamp in the folder of the packages says what they were installed from. Where another tool installed
//! them, dbt's own lock file is taken for it as long as it is not older than the declaration.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::engine::Engine;
use super::profile::Profile;
use super::project::Project;
use super::runner::Invocation;
use crate::core::yaml::{self, Node};
use crate::dbt::events::Progress;
use crate::system::digest::Digest;

const STAMP: &str = ".xtask-deps";
const LOCK: &str = "package-lock.yml";

/// Packages that have to be installed before dbt can parse the project.
#[derive(Debug)]
pub(crate) struct Packages {
    project: PathBuf,
    folder: PathBuf,
    /// As people name it: `packages.yml`.
    declared_in: &'static str,
}

/// The folders of the packages that a project takes from beside it.
pub(crate) fn local(project: &Project) -> Vec<PathBuf> {
    let declared = ["packages.yml", "dependencies.yml"].map(|name| read(&project.folder().join(name)));
    let declared = declared.into_iter().filter_map(|file| file.ok().flatten());
    let folders = |file: Node| -> Vec<PathBuf> {
        let packages = file.get("packages").map(Node::items).unwrap_or_default();
        let local = packages.iter().filter_map(|package| package.get("local").and_then(Node::text));
        local.map(|path| project.folder().join(path)).collect()
    };
    declared.flat_map(folders).collect()
}

impl Packages {
    /// What has to be installed; `None` if nothing is declared, or all of it is there.
    pub(crate) fn wanted(project: &Project) -> Result<Option<Self>> {
        let Some(declared_in) = declaring(project.folder())? else { return Ok(None) };
        let folder = project.packages_folder();
        let packages = Self { project: project.folder().to_path_buf(), folder, declared_in };
        Ok((!packages.are_installed()?).then_some(packages))
    }

    fn are_installed(&self) -> Result<bool> {
        if let Ok(stamp) = fs::read_to_string(self.folder.join(STAMP)) {
            return Ok(stamp.trim() == self.digest()? && self.missing()?.is_empty());
        }
        let modified =
            |name: &str| fs::metadata(self.project.join(name)).and_then(|meta| meta.modified()).ok();
        let is_locked =
            modified(LOCK).zip(modified(self.declared_in)).is_some_and(|(lock, file)| lock >= file);
        Ok(is_locked && self.folder.is_dir() && self.missing()?.is_empty())
    }

    /// Packages of the lock that have no folder.
    fn missing(&self) -> Result<Vec<String>> {
        let Some(lock) = read(&self.project.join(LOCK))? else { return Ok(vec![LOCK.to_owned()]) };
        let packages = lock.get("packages").map(Node::items).unwrap_or_default();
        let names = packages.iter().filter_map(|package| package.get("name").and_then(Node::text));
        Ok(names.filter(|name| !self.folder.join(name).exists()).map(str::to_owned).collect())
    }

    /// A digest of what is declared and locked.
    fn digest(&self) -> Result<String> {
        let mut digest = Digest::default();
        for name in ["packages.yml", "dependencies.yml", LOCK] {
            let path = self.project.join(name);
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
                Err(error) => {
                    return Err(error).with_context(|| format!("failed to read {}", path.display()));
                }
            };
            digest.add(bytes);
        }
        Ok(digest.finish())
    }

    /// Run `dbt deps`, as `build` will be run.
    pub(crate) fn install(&self, build: &Invocation, profile: &Profile, engine: &Engine) -> Result<()> {
        tracing::info!("installing the packages of {}", self.declared_in);
        let mut args = vec!["deps".to_owned()];
        args.extend(profile.options());
        let deps = Invocation {
            project: self.project.clone(),
            args,
            environment: build.environment.clone(),
            secrets: Vec::new(),
        };
        let mut problems = Vec::new();
        let ended = deps.run(
            engine,
            |_| Ok(()),
            |event| {
                if let Progress::Problem(message) = event.progress() {
                    problems.push(message.to_owned());
                }
            },
        )?;
        if ended.interrupted {
            return Err(crate::system::interrupt::Interrupted.into());
        }
        if !ended.status.success() {
            let said = problems.first().cloned();
            let said = said.or_else(|| ended.stray.lines().last().map(str::to_owned)).unwrap_or_default();
            bail!("{}", self.failure(&said));
        }
        let digest = self.digest()?;
        // A project whose packages are all empty has no folder for them.
        let stamp = self.folder.join(STAMP);
        fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(&stamp, format!("{digest}\n")))
            .with_context(|| format!("failed to write {}", stamp.display()))
    }

    /// Why packages could not be installed, and what to do.
    fn failure(&self, said: &str) -> String {
        let path = self.project.join(self.declared_in);
        let is_unreachable =
            ["Max retries exceeded", "ConnectionError", "External connection exception", "resolve"]
                .iter()
                .any(|part| said.contains(part));
        let advice = if is_unreachable {
            "the package hub or repository cannot be reached; check the network and proxy (HTTPS_PROXY), or list the \
             package as `local:` with a copy of it"
        } else {
            "correct the file, or run `dbt deps` in the project to see more"
        };
        format!("failed to install the packages of {}: {advice}\n{said}", path.display())
    }
}

/// The file that declares packages, if any is declared.
fn declaring(project: &Path) -> Result<Option<&'static str>> {
    for name in ["packages.yml", "dependencies.yml"] {
        let declared = read(&project.join(name))?;
        let packages = declared.as_ref().and_then(|node| node.get("packages")).map(Node::items);
        if packages.is_some_and(|packages| !packages.is_empty()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn read(path: &Path) -> Result<Option<Node>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            yaml::parse_one(&text).with_context(|| format!("failed to understand {}", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench(tempfile::TempDir);

    impl Bench {
        fn new(files: &[(&str, &str)]) -> Self {
            let bench = Self(tempfile::tempdir().expect("a folder"));
            bench.write("dbt_project.yml", "name: p\n");
            for (name, text) in files {
                bench.write(name, text);
            }
            bench
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("written");
        }

        fn wanted(&self) -> Option<Packages> {
            Packages::wanted(&Project::read(self.0.path()).expect("a project")).expect("readable")
        }
    }

    const LOCAL: (&str, &str) = ("packages.yml", "packages:\n  - local: ../shared\n");

    #[test]
    fn nothing_is_wanted_where_nothing_is_declared() {
        assert!(Bench::new(&[]).wanted().is_none());
        assert!(Bench::new(&[("packages.yml", "packages: []\n")]).wanted().is_none());
        assert!(Bench::new(&[("dependencies.yml", "projects: [{name: x}]\n")]).wanted().is_none());
        assert!(Bench::new(&[LOCAL]).wanted().is_some());
    }

    #[test]
    fn a_changed_declaration_or_a_lost_folder_is_installed_again() {
        let bench = Bench::new(&[LOCAL]);
        let packages = bench.wanted().expect("not installed");
        bench.write("package-lock.yml", "packages:\n  - local: ../shared\n    name: shared\n");
        bench.write("dbt_packages/shared/dbt_project.yml", "name: shared\n");
        bench.write("dbt_packages/.xtask-deps", &packages.digest().expect("a digest"));
        assert!(bench.wanted().is_none());
        bench.write("packages.yml", "packages:\n  - local: ../other\n");
        assert!(bench.wanted().is_some(), "declared differently");
        bench.write(LOCAL.0, LOCAL.1);
        assert!(bench.wanted().is_none());
        fs::remove_dir_all(bench.0.path().join("dbt_packages/shared")).expect("removed");
        assert!(bench.wanted().is_some(), "its folder is missing");
    }

    #[test]
    fn an_unreachable_hub_gets_advice() {
        let packages = Bench::new(&[LOCAL]).wanted().expect("not installed");
        let text = packages
            .failure("External connection exception occurred: HTTPSConnectionPool: Max retries exceeded");
        assert!(text.contains("cannot be reached") && text.contains("packages.yml"), "{text}");
    }
}
