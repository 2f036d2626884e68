//! `--target`: where environments live, ready to use. The one place that knows all targets.
//!
//! What a target needs is decided first and without side effects ([`Args::place`]), so that a wrong setting
//! is reported before anything is installed or sent. Then it is opened: the Python packages that contain the
//! engine are installed if needed, and there is no login yet.

mod opened;
mod ours;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use schemars::JsonSchema;

use self::opened::Engine;
pub(crate) use self::opened::{Guard, Opened};
use crate::core::context;
use crate::core::environment::{Name, REGISTRY};
use crate::core::policy::{self, Grant};
use crate::dbt::boundary::{Boundary, Extent};
use crate::dbt::engine::{Engine as Dbt, Versions};
use crate::dbt::native::Driver;
use crate::dbt::profile::{self, Adapter};
use crate::ledger::{self, Ours};
use crate::system::repo::Repo;
use crate::warehouse::Warehouse;
use crate::warehouse::duckdb::{self, Found, Layout};
use crate::warehouse::snowflake::{self, Login, Patience, Secret, Snowflake};

/// Where environments live.
#[derive(clap::Args, Clone, Copy, Debug)]
#[group(skip)]
pub(crate) struct Args {
    /// `local` (DuckDB, no account) or `snowflake` (an account, see the SNOWFLAKE_ variables).
    #[arg(long, value_name = "TARGET", env = "XTASK_TARGET", default_value = "local", value_parser = parse)]
    target: Target,

    /// How long to wait while another process uses the environment, such as `90s`, `10m` or `1h`.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_wait)]
    wait: Duration,
}

/// The variable that names the database at Snowflake.
pub(crate) const DATABASE: &str = "SNOWFLAKE_DATABASE";

/// How long to wait where no option says.
const USUAL_WAIT: Duration = Duration::from_mins(10);

fn parse_wait(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse().ok().map(Duration::from_secs);
    let given = text.trim().parse::<jiff::SignedDuration>().ok();
    seconds
        .or_else(|| Duration::try_from(given?).ok())
        .ok_or_else(|| "write a time such as 90s, 10m or 1h".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    Local,
    Snowflake,
}

impl Target {
    /// As `--target` takes it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Snowflake => "snowflake",
        }
    }

    /// The target that `XTASK_TARGET` names, or the usual one.
    pub(crate) fn from_environment() -> Self {
        parse(&context::variable("XTASK_TARGET").unwrap_or_default()).unwrap_or(Self::Local)
    }

    /// The driver that dbt and the toolkit connect through.
    pub(crate) fn driver(self) -> Driver {
        match self {
            Self::Local => Driver::DuckDb,
            Self::Snowflake => Driver::Snowflake,
        }
    }
}

/// An empty variable is what a workflow makes of one that is not set.
fn parse(text: &str) -> Result<Target, String> {
    match text.trim() {
        "" | "local" => Ok(Target::Local),
        "snowflake" => Ok(Target::Snowflake),
        _ => Err("it is `local` or `snowflake`".to_owned()),
    }
}

/// A target with its settings, before anything of it is touched.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Local {
        layout: Layout,
        /// The file in which an earlier version of the toolkit kept all environments, if there is one.
        one_file: Option<PathBuf>,
        ours: Ours,
    },
    Snowflake {
        login: Box<Login>,
        grants: Vec<Grant>,
        ours: Ours,
        patience: Patience,
    },
}

impl Args {
    pub(crate) fn target(self) -> Target {
        self.target
    }

    /// How long to wait for a lock.
    pub(crate) fn wait(self) -> Duration {
        self.wait
    }

    /// The settings of the target, from the policy and the environment's variables.
    pub(crate) fn place(self, repo: &Repo) -> Result<Place> {
        match self.target {
            Target::Local => {
                let policy = policy::Environments::load(repo)?;
                let layout = layout_of(&policy, repo);
                let one_file = Some(policy.one_file(repo)).filter(|file| file.is_file());
                let one_file = one_file.filter(|_| matches!(layout, Layout::Folder(_)));
                let is_alone = one_file.is_none() && matches!(layout, Layout::Folder(_));
                Ok(Place::Local { layout, one_file, ours: ours::ours(repo, is_alone) })
            }
            Target::Snowflake => {
                let policy = policy::Environments::load(repo)?;
                let ours = ours::ours(repo, false);
                let given = context::variable(DATABASE);
                let database = policy.snowflake.database_of(&ours, given.as_deref())?.or(given);
                let variable =
                    |name: &str| if name == DATABASE { database.clone() } else { context::variable(name) };
                Ok(Place::Snowflake {
                    login: Box::new(Login::decide(&variable, &|path| std::fs::read_to_string(path))?),
                    grants: policy.snowflake.grants,
                    ours,
                    patience: patience()?,
                })
            }
        }
    }

    /// DuckDB, whatever the option says: for the checks of it.
    pub(crate) fn local() -> Self {
        Self { target: Target::Local, wait: USUAL_WAIT }
    }

    /// Snowflake, whatever the option says: for the checks of it.
    pub(crate) fn snowflake() -> Self {
        Self { target: Target::Snowflake, wait: USUAL_WAIT }
    }

    /// Everything set up, for a stage of the work on one environment or on all of them.
    pub(crate) fn open(self, repo: &Repo, schema: Option<&Name>, stage: &str) -> Result<Opened> {
        let tag = ledger::query_tag(schema.map(Name::as_str), None, stage);
        self.place(repo)?.open(repo, &tag)
    }
}

/// Where the environments of a repository are on DuckDB.
pub(crate) fn layout(repo: &Repo) -> Result<Layout> {
    Ok(layout_of(&policy::Environments::load(repo)?, repo))
}

/// In one file, if the user names one, else in a file each, in the folder of the policy's database.
fn layout_of(policy: &policy::Environments, repo: &Repo) -> Layout {
    match policy::file_for_all(repo) {
        Some(file) => Layout::Shared(file),
        None => Layout::of_policy(&policy.one_file(repo)),
    }
}

/// The folders of the repository's dbt projects, as the policy names them.
pub(crate) fn projects(repo: &Repo) -> Vec<String> {
    repo.projects().iter().map(|folder| ours::shown(repo, folder)).collect()
}

/// The setting that gives each project of the repository a database.
pub(crate) fn example(repo: &Repo) -> String {
    let line = |folder: String| {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name = if folder == "." { "MAIN".to_owned() } else { folder.chars().map(plain).collect() };
        format!("\n{folder:?} = \"{name}_DEMO\"")
    };
    format!("[snowflake.databases]{}", projects(repo).into_iter().map(line).collect::<String>())
}

fn patience() -> Result<Patience> {
    let usual = Patience::default();
    Ok(Patience {
        statement_seconds: context::seconds("XTASK_SNOWFLAKE_TIMEOUT")?.unwrap_or(usual.statement_seconds),
        lease_seconds: context::seconds("XTASK_SNOWFLAKE_LEASE")?.unwrap_or(usual.lease_seconds),
        ..usual
    })
}

impl Place {
    fn driver(&self) -> Driver {
        match self {
            Self::Local { .. } => Target::Local.driver(),
            Self::Snowflake { .. } => Target::Snowflake.driver(),
        }
    }

    /// Set up what is missing of what connects to the warehouse: the chosen dbt comes with it, unless the user has
    /// installed a driver. Nothing of the warehouse is touched yet.
    pub(crate) fn open(mut self, repo: &Repo, tag: &str) -> Result<Opened> {
        repo.state()?;
        let dbt = match self.installed_driver()? {
            Some(_) => OnceCell::new(),
            None => Dbt::ensure(repo, self.driver())?.into(),
        };
        if let Some(dbt) = dbt.get() {
            self.settle(dbt, true)?;
        }
        let engine = self.engine(repo, dbt.get(), tag)?;
        Ok(Opened { place: self, repo: repo.clone(), dbt, engine })
    }

    /// The warehouse for a look: nothing is installed for it. Also whether all is installed.
    pub(crate) fn look(
        &mut self,
        repo: &Repo,
        schema: Option<&Name>,
        tag: &str,
    ) -> Result<(Box<dyn Warehouse>, bool)> {
        let dbt = Dbt::find(repo, self.driver())?;
        match (&dbt, &*self) {
            (Some(dbt), _) => self.settle(dbt, false)?,
            (None, Self::Local { layout, .. }) if layout.path().exists() => bail!(
                "failed to read {}: the chosen dbt is not installed; `cargo xtask dbt use v1` or `v2` installs it",
                layout.path().display()
            ),
            _ => {}
        }
        let engine = self.engine(repo, dbt.as_ref(), tag)?;
        Ok((engine.warehouse(schema), dbt.is_some()))
    }

    /// Bring what an earlier version of the toolkit left to the layout of this one, or, if nothing may be changed, go
    /// on with it as it is.
    fn settle(&mut self, dbt: &Dbt, may_change: bool) -> Result<()> {
        let Self::Local { layout, one_file: Some(file), .. } = self else { return Ok(()) };
        match duckdb::found(&dbt.duckdb(), file)? {
            Found::Nothing => {}
            Found::Splits(_) if may_change => duckdb::split_file(&dbt.duckdb(), file, layout)?,
            Found::Splits(_) if layout.file(REGISTRY).exists() => {}
            Found::Splits(_) => *layout = Layout::Shared(file.clone()),
            Found::Stays(strange) => {
                tracing::debug!(
                    "{} stays one file, because it also holds schemas of no environment: {}",
                    file.display(),
                    strange.join(", ")
                );
                *layout = Layout::Shared(file.clone());
            }
        }
        Ok(())
    }

    fn engine(&self, repo: &Repo, dbt: Option<&Dbt>, tag: &str) -> Result<Engine> {
        Ok(match self {
            Self::Local { layout, ours, .. } => Engine::Local {
                program: dbt.map_or_else(|| PathBuf::from("duckdb"), Dbt::duckdb),
                layout: layout.clone(),
                ours: Ours { is_alone: matches!(layout, Layout::Folder(_)), ..ours.clone() },
            },
            Self::Snowflake { .. } => {
                let driver = self.driver_with(repo, dbt)?.context(
                    "the Snowflake driver is not installed; the next command that is no dry run installs it",
                )?;
                Engine::Snowflake(Snowflake::new(self.settings(driver, tag)?))
            }
        })
    }

    /// All that a session at Snowflake needs.
    pub(crate) fn settings(&self, driver: snowflake::Driver, tag: &str) -> Result<snowflake::Settings> {
        match self {
            Self::Local { .. } => bail!("the local target has no settings for Snowflake"),
            Self::Snowflake { login, grants, ours, patience } => Ok(snowflake::Settings {
                login: login.as_ref().clone(),
                driver,
                grants: grants.clone(),
                tag: ledger::tag_in(tag, login.database.as_str(), ours.owner.project.as_deref(), true),
                ours: ours.clone(),
                patience: *patience,
            }),
        }
    }

    /// What dbt connects to.
    pub(crate) fn adapter(&self) -> Adapter<'_> {
        match self {
            Self::Local { .. } => Adapter::DuckDb,
            Self::Snowflake { login, .. } => Adapter::Snowflake { database: login.database.as_str() },
        }
    }

    /// What a run of dbt in the folder `project` may write in the environment `schema`.
    pub(crate) fn boundary(&self, schema: &Name, project: &Path) -> Boundary {
        let (database, files) = match self {
            Self::Local { layout, .. } => {
                (layout.catalog(schema), Some((layout.external_files(schema), project.to_path_buf())))
            }
            Self::Snowflake { login, .. } => (login.database.as_str().to_owned(), None),
        };
        let is_alone = matches!(self, Self::Local { layout: Layout::Folder(_), .. });
        let extent = if is_alone { Extent::Database } else { Extent::Family };
        Boundary { schema: schema.clone(), database, extent, files }
    }

    /// The versions of the dbt that is installed for the target. Installs nothing.
    pub(crate) fn dbt_versions(&self, repo: &Repo) -> Result<Option<Versions>> {
        Ok(Dbt::find(repo, self.driver())?.map(|dbt| dbt.versions(self.adapter().kind())))
    }

    /// The driver that sessions at Snowflake will load, if there is one already. Installs nothing.
    pub(crate) fn snowflake_driver(&self, repo: &Repo) -> Result<Option<snowflake::Driver>> {
        self.driver_with(repo, Dbt::find(repo, self.driver())?.as_ref())
    }

    /// The driver that the user installed, else the pinned one that comes with dbt.
    fn driver_with(&self, repo: &Repo, dbt: Option<&Dbt>) -> Result<Option<snowflake::Driver>> {
        let driver = self.installed_driver()?.or_else(|| dbt.and_then(Dbt::snowflake_driver));
        let digests = policy::Environments::load(repo)?.snowflake.driver_sha256;
        driver.map(|driver| driver.allowed(&digests)).transpose()
    }

    fn installed_driver(&self) -> Result<Option<snowflake::Driver>> {
        match self {
            Self::Local { .. } => Ok(None),
            Self::Snowflake { .. } => snowflake::Driver::installed(),
        }
    }

    /// The place of an environment for people: a path below the repository, or an account and database.
    pub(crate) fn describe(&self, repo: &Repo, schema: &str) -> String {
        match self {
            Self::Local { layout, .. } => repo.relative(&layout.file(schema)).display().to_string(),
            Self::Snowflake { login, .. } => {
                format!("Snowflake {} {}", login.account, login.database.as_str())
            }
        }
    }

    /// The variables by which dbt finds the same place, but for secrets.
    pub(crate) fn dbt_variables(&self, schema: &Name, tag: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::Local { layout, .. } => vec![
                ("DBT_DUCKDB_PATH", layout.file(schema.as_str()).to_string_lossy().into_owned()),
                ("DBT_TARGET_SCHEMA", layout.schema(schema).to_owned()),
                (profile::EXTERNAL_ROOT, layout.external_files(schema).to_string_lossy().into_owned()),
            ],
            Self::Snowflake { login, ours, .. } => {
                let tag = ledger::tag_in(tag, login.database.as_str(), ours.owner.project.as_deref(), false);
                let mut variables = vec![
                    ("DBT_TARGET_SCHEMA", schema.to_string()),
                    ("DBT_SNOWFLAKE_QUERY_TAG", tag),
                    ("SNOWFLAKE_AUTHENTICATOR", login.way.authenticator().to_owned()),
                ];
                variables.extend(Login::trimmed(&|name| context::variable(name)));
                variables
            }
        }
    }

    /// What renews dbt's credentials while it runs, if they expire before a long build ends. Keep it as long
    /// as dbt runs, and give dbt its variable.
    #[cfg(unix)]
    pub(crate) fn broker(&self) -> Result<Option<snowflake::Broker>> {
        match self {
            Self::Local { .. } => Ok(None),
            Self::Snowflake { login, .. } => snowflake::Broker::start(login),
        }
    }

    /// The secrets by which dbt logs in the same way. Call it just before dbt starts: a workload
    /// identity token lives for minutes.
    pub(crate) fn dbt_secrets(&self) -> Result<Vec<(&'static str, Secret)>> {
        match self {
            Self::Local { .. } => Ok(Vec::new()),
            Self::Snowflake { login, .. } => snowflake::dbt_secrets(login),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_means_the_default() {
        assert_eq!((parse(""), parse(" snowflake ")), (Ok(Target::Local), Ok(Target::Snowflake)));
        assert!(parse("duckdb").is_err());
    }

    #[test]
    fn a_wait_is_a_time() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("10m", 600), ("1h 30m", 5400)] {
            assert_eq!(parse_wait(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "soon", "-5s", "10 parsecs"] {
            assert!(parse_wait(text).is_err(), "{text}");
        }
    }
}
