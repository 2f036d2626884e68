//! `policies/environments.toml`: where environments live, for how long, and who may use them. Owned by
//! people, so it is data.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::core::environment::{Identifier, Kind};
use crate::core::ledger::Ours;
use crate::system::contract::Contract;
use crate::system::repo::Repo;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Environments {
    pub(crate) local: Local,
    pub(crate) snowflake: Snowflake,
    pub(crate) lifetime: Lifetime,
    pub(crate) dbt: Dbt,
    pub(crate) incremental: Incremental,
}

/// What happens to an incremental model whose definition changed: its rows were made by the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Changed {
    /// It is built from nothing, as a new environment would have it.
    FullRefresh,
    /// Nothing is built, and the command to type is shown.
    Stop,
    /// New rows are added by the new definition; old rows stay.
    Run,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Incremental {
    changed: Option<Changed>,
}

impl Incremental {
    /// What is set, or else the usual: history of prod and dev may be irreplaceable, other environments can be dropped.
    pub(crate) fn changed(&self, kind: Kind) -> Changed {
        let usual = match kind {
            Kind::Prod | Kind::Dev => Changed::Stop,
            _ => Changed::FullRefresh,
        };
        self.changed.unwrap_or(usual)
    }
}

/// What `[dbt] engine` and `XTASK_DBT_ENGINE` ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wish {
    /// v2 if it is installed for this repository, else v1.
    #[default]
    Auto,
    V1,
    V2,
}

/// Which dbt builds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Dbt {
    pub(crate) engine: Wish,
    /// Whether a dbt v2 that is installed for a run is the one that the package index carries.
    pub(crate) wheel: bool,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Snowflake {
    pub(crate) grants: Vec<Grant>,
    /// The databases of several dbt projects of one repository, by their folders.
    pub(crate) databases: BTreeMap<String, Identifier>,
    /// The SHA-256 of each library of the driver that may be loaded, one per platform; any if it is empty.
    pub(crate) driver_sha256: Vec<String>,
    /// Settings for the adapter, as in a profile of dbt.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub(crate) profile: toml::Table,
}

impl Snowflake {
    /// The database that the policy gives the project `ours`; `None` if it is the one that is `given` by the variable.
    pub(crate) fn database_of(&self, ours: &Ours, given: Option<&str>) -> Result<Option<String>> {
        const KEY: &str = "policies/environments.toml: [snowflake.databases]";
        let mut folders: BTreeMap<String, &str> = BTreeMap::new();
        for (folder, database) in &self.databases {
            if !ours.root.join(folder).join("dbt_project.yml").is_file() {
                bail!(
                    "{KEY} {folder:?}: there is no dbt_project.yml in that folder; name the folder of a dbt project"
                );
            }
            if let Some(other) = folders.insert(database.as_str().to_uppercase(), folder) {
                bail!(
                    "{KEY} gives {other:?} and {folder:?} the same database {}; each project needs a separate one",
                    database.as_str()
                );
            }
        }
        let Some(own) = &ours.owner.project_folder else {
            if self.databases.is_empty() {
                return Ok(None);
            }
            bail!(
                "{KEY} gives each project a database, and the project of this command is unknown; run it in the folder of \
                 one, or name that with --project-dir"
            );
        };
        if let Some(database) = self.databases.get(own) {
            return Ok(Some(database.as_str().to_owned()));
        }
        match given.and_then(|given| folders.get(&given.to_uppercase())) {
            Some(other) => bail!(
                "SNOWFLAKE_DATABASE is {:?}, which {KEY} gives to {other:?}; add a line for {own:?} with another database",
                given.unwrap_or_default()
            ),
            None => Ok(None),
        }
    }
}

/// What a role may do in environments.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grant {
    /// As Snowflake keeps it: in upper case if it needs no quotes.
    #[serde(deserialize_with = "role")]
    pub(crate) role: Identifier,
    pub(crate) access: Access,
    /// The kinds of environments; all if none is named.
    #[serde(default)]
    pub(crate) kinds: Vec<Kind>,
}

fn role<'de, D: Deserializer<'de>>(text: D) -> Result<Identifier, D::Error> {
    Identifier::try_from(role_name(&String::deserialize(text)?)).map_err(D::Error::custom)
}

/// A name as Snowflake keeps it, from one as people write it in SQL: in upper case if it needs no quotes,
/// to the letter within quotes or if it needs them.
pub(crate) fn role_name(text: &str) -> String {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return inner.replace("\"\"", "\"");
    }
    let mut chars = text.chars();
    let is_simple = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$'));
    if is_simple { text.to_ascii_uppercase() } else { text.to_owned() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Access {
    Read,
    Write,
}

/// How long an unused environment is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Lifetime {
    issue_days: u32,
    pull_request_days: u32,
    branch_days: u32,
    /// Between the pass that notes an environment and the one that drops it.
    pub(crate) grace_hours: u32,
}

impl Default for Lifetime {
    fn default() -> Self {
        Self { issue_days: 14, pull_request_days: 7, branch_days: 7, grace_hours: 24 }
    }
}

impl Lifetime {
    /// Days without a run after which an environment of this kind is needed no more; `None` for kinds
    /// that are never dropped.
    pub(crate) fn days(&self, kind: Kind) -> Option<u32> {
        match kind {
            Kind::Issue => Some(self.issue_days),
            Kind::PullRequest => Some(self.pull_request_days),
            Kind::Branch => Some(self.branch_days),
            Kind::Prod | Kind::Dev | Kind::Custom => None,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Local {
    database: PathBuf,
    /// Settings for the adapter, as in a profile of dbt.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub(crate) profile: toml::Table,
}

impl Default for Local {
    fn default() -> Self {
        Self { database: PathBuf::from(".xtask/warehouse.duckdb"), profile: toml::Table::new() }
    }
}

pub(crate) fn contract() -> Contract {
    Contract::policy::<Environments>("policies/environments", "policies/environments.toml")
}

impl Environments {
    /// The repository's policy; a repository without the file gets the defaults.
    pub(crate) fn load(repo: &Repo) -> Result<Self> {
        let path = repo.policies().join("environments.toml");
        if !path.exists() {
            return Ok(Self::default());
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("failed to understand {}", path.display()))
    }

    /// The policy's database, in which an earlier version of the toolkit kept all environments.
    ///
    /// Environments of two projects never share a file: the name of one for another project than the
    /// repository's main one ends with the folder of that.
    pub(crate) fn one_file(&self, repo: &Repo) -> PathBuf {
        let other = repo.dbt_project().ok().filter(|project| !repo.is_main_project(project));
        let policy = match &other {
            Some(project) => of_project(&self.local.database, repo.relative(project)),
            None => self.local.database.clone(),
        };
        // `join` keeps an absolute path as it is.
        repo.root().join(policy)
    }
}

/// The one file for all environments that `DBT_DUCKDB_PATH` names, as dbt's own profile reads it.
pub(crate) fn file_for_all(repo: &Repo) -> Option<PathBuf> {
    given(std::env::var_os("DBT_DUCKDB_PATH")).map(|file| repo.root().join(file))
}

/// A variable that is set and not empty: an empty one is what a workflow makes of one that is not set.
fn given(variable: Option<OsString>) -> Option<PathBuf> {
    variable.filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// `.xtask/w.duckdb` for the project in `teams/sales`: `.xtask/w_teams_sales.duckdb`.
fn of_project(database: &Path, project: &Path) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let folder: String = project.to_string_lossy().chars().map(plain).collect();
    let stem = database.file_stem().unwrap_or_default().to_string_lossy();
    let ending = database.extension().map(|ending| format!(".{}", ending.to_string_lossy()));
    database.with_file_name(format!("{stem}_{folder}{}", ending.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::Owner;

    #[test]
    fn an_empty_variable_is_not_given() {
        assert_eq!(given(None), None);
        assert_eq!(given(Some(OsString::new())), None);
        assert_eq!(given(Some("x.duckdb".into())), Some("x.duckdb".into()));
    }

    #[test]
    fn roles_are_named_as_snowflake_names_them() {
        for (written, kept) in [
            ("logistics_reader", "LOGISTICS_READER"),
            ("\"Mixed\"", "Mixed"),
            ("a b", "a b"),
            ("\"a\"\"b\"", "a\"b"),
        ] {
            assert_eq!(role_name(written), kept);
        }
    }

    #[test]
    fn projects_of_one_repository_have_files_of_their_own() {
        let of = |project: &str| of_project(Path::new(".xtask/w.duckdb"), Path::new(project));
        assert_eq!(of("teams/sales"), Path::new(".xtask/w_teams_sales.duckdb"));
        assert_ne!(of("a"), of("b"));
    }

    #[test]
    fn each_project_has_a_database() {
        let root = tempfile::tempdir().expect("a folder");
        for folder in ["sales", "teams/stock", "more"] {
            std::fs::create_dir_all(root.path().join(folder)).expect("a folder");
            std::fs::write(root.path().join(folder).join("dbt_project.yml"), "name: p\n").expect("written");
        }
        let of = |databases: &str, folder: Option<&str>, given: Option<&str>| {
            let policy: Environments =
                toml::from_str(&format!("[snowflake.databases]\n{databases}")).expect("TOML");
            let owner = Owner { project_folder: folder.map(str::to_owned), ..Owner::default() };
            let ours = Ours { owner, root: root.path().into(), ..Ours::default() };
            policy.snowflake.database_of(&ours, given).map_err(|why| why.to_string())
        };
        let two = "sales = 'SALES'\n'teams/stock' = 'STOCK'\n";
        assert_eq!(of(two, Some("sales"), Some("X")), Ok(Some("SALES".to_owned())));
        assert_eq!(of(two, Some("teams/stock"), None), Ok(Some("STOCK".to_owned())));
        assert_eq!(of(two, Some("more"), Some("x")), Ok(None));
        assert_eq!(of("", None, Some("x")), Ok(None));
        for (databases, folder, given, part) in [
            (two, Some("more"), Some("stock"), "add a line for \"more\""),
            (two, None, Some("x"), "--project-dir"),
            ("sales = 'S'\nmore = 's'\n", Some("sales"), None, "the same database"),
            ("gone = 'S'\n", Some("sales"), None, "no dbt_project.yml"),
        ] {
            let said = of(databases, folder, given).expect_err("refused");
            assert!(said.contains(part), "{said}");
        }
        assert!(toml::from_str::<Environments>("[snowflake.databases]\nsales = ''\n").is_err());
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        assert!(toml::from_str::<Environments>("[local]\ndatabse = 'x'\n").is_err());
        let odd = "[[snowflake.grants]]\nrole = 'a\\b'\naccess = 'read'\n";
        assert!(toml::from_str::<Environments>(odd).is_err(), "a role that is no name");
        assert!(toml::from_str::<Environments>("[lifetime]\nisue_days = 1\n").is_err());
    }

    #[test]
    fn grants_and_lifetimes_are_read() {
        let text = "[lifetime]\nissue_days = 3\n\n[[snowflake.grants]]\nrole = 'R'\naccess = 'read'\nkinds = ['prod']\n";
        let policy: Environments = toml::from_str(text).expect("a policy");
        let grant = Grant {
            role: "R".to_owned().try_into().expect("a role"),
            access: Access::Read,
            kinds: vec![Kind::Prod],
        };
        assert_eq!(policy.snowflake.grants, [grant]);
        assert_eq!(
            (policy.lifetime.days(Kind::Issue), policy.lifetime.days(Kind::Branch)),
            (Some(3), Some(7))
        );
        assert_eq!((policy.lifetime.days(Kind::Prod), policy.lifetime.grace_hours), (None, 24));
    }
}
