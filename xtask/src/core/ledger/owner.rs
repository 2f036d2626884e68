//! The dbt project that an environment belongs to. Several projects may share a database; an environment of one is never
//! written, copied or removed by another.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A dbt project, as the mark of an environment records it. All unknown in marks before version 3 of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Owner {
    /// Its name in `dbt_project.yml`.
    pub(crate) project: Option<String>,
    /// Its repository as `owner/name`; unknown without a remote.
    pub(crate) repository: Option<String>,
    /// GitHub's number of the repository, which stays when that is renamed; known on Actions only.
    pub(crate) repository_id: Option<String>,
    /// Its folder in the repository, `.` for the root.
    pub(crate) project_folder: Option<String>,
}

/// `stock@octo/lab:teams/stock`, as far as it is known: what `schema create --adopt-from` takes.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.project.as_deref().unwrap_or("unknown"))?;
        if let Some(repository) = &self.repository {
            write!(f, "@{repository}")?;
        }
        match self.project_folder.as_deref() {
            Some(folder) if folder != "." => write!(f, ":{folder}"),
            _ => Ok(()),
        }
    }
}

impl Owner {
    /// The same project as it is named now: it may have moved, and its repository may have been renamed.
    fn now(&self, Ours { owner: ours, upstream, .. }: &Ours) -> Self {
        let newer = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
        Self {
            project: newer(&ours.project, &self.project),
            // What the upstream of a fork has built stays the upstream's.
            repository: if is_same(self.repository.as_deref(), upstream.as_deref()) {
                self.repository.clone()
            } else {
                newer(&ours.repository, &self.repository)
            },
            repository_id: newer(&ours.repository_id, &self.repository_id),
            project_folder: newer(&ours.project_folder, &self.project_folder),
        }
    }

    fn is_in_another_repository(&self, Ours { owner: ours, upstream, .. }: &Ours) -> bool {
        if let (Some(its), Some(own)) = (&self.repository_id, &ours.repository_id) {
            return its != own;
        }
        let is_named = |name: &Option<String>| is_same(self.repository.as_deref(), name.as_deref());
        self.repository.is_some()
            && ours.repository.is_some()
            && !is_named(&ours.repository)
            && !is_named(upstream)
    }

    /// Its columns with their values.
    pub(crate) fn columns(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("project", self.project.as_deref()),
            ("repository", self.repository.as_deref()),
            ("repository_id", self.repository_id.as_deref()),
            ("project_folder", self.project_folder.as_deref()),
        ]
    }
}

/// Whether two names are known and of the same repository, as GitHub compares them.
fn is_same(a: Option<&str>, b: Option<&str>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// The dbt project that a command works for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ours {
    /// All unknown if there is no project, or several to choose from.
    pub(crate) owner: Owner,
    /// The repository that this one is a fork of, by the remote `upstream`: its environments are the project's too.
    pub(crate) upstream: Option<String>,
    /// The root of the repository.
    pub(crate) root: PathBuf,
    /// The names of the repository's other projects, without those that this one uses as packages.
    pub(crate) neighbours: BTreeSet<String>,
    /// Whether the database belongs to this project alone, so that only folders can be mistaken for each other.
    pub(crate) is_alone: bool,
}

impl Ours {
    /// Whether `recorded` is another project than this one.
    pub(crate) fn is_other(&self, recorded: &Owner) -> bool {
        if recorded.project.is_none() {
            return false;
        }
        let is_named_otherwise = !self.is_alone && recorded.project != self.owner.project;
        is_named_otherwise || recorded.is_in_another_repository(self) || self.is_elsewhere(recorded)
    }

    /// Whether `recorded` is in another folder of this repository. A project that has moved has left its folder.
    fn is_elsewhere(&self, recorded: &Owner) -> bool {
        let folders = recorded.project_folder.as_deref().zip(self.owner.project_folder.as_deref());
        folders.is_some_and(|(its, own)| its != own && self.root.join(its).join("dbt_project.yml").is_file())
    }

    /// The project that has built an environment whose mark names none, if it is another one. `packages` are those of the
    /// nodes in its ledger.
    pub(crate) fn other_of(&self, packages: &BTreeSet<String>) -> Option<Owner> {
        let named = |name: &String| Owner { project: Some(name.clone()), ..Owner::default() };
        if let Some(neighbour) = self.neighbours.intersection(packages).next() {
            return Some(named(neighbour));
        }
        let is_ours = self.owner.project.as_ref().is_some_and(|own| packages.contains(own));
        packages.first().filter(|_| !is_ours).map(named)
    }

    /// What the mark of an environment of this project is to record.
    pub(crate) fn recorded(&self, before: Option<&Owner>) -> Owner {
        match before.filter(|before| !self.is_other(before)) {
            Some(before) if self.owner.project.is_some() => before.now(self),
            Some(before) => before.clone(),
            None => self.owner.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(project: &str, repository: &str, id: &str, folder: &str) -> Owner {
        let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Owner {
            project: known(project),
            repository: known(repository),
            repository_id: known(id),
            project_folder: known(folder),
        }
    }

    fn ours(owner: Owner) -> Ours {
        Ours { owner, ..Ours::default() }
    }

    #[test]
    fn another_project_is_one_of_another_name_or_repository() {
        let here = ours(owner("sales", "octo/lab", "7", "sales"));
        for (recorded, expected) in [
            (owner("", "", "", ""), false),
            (owner("sales", "", "", ""), false),
            (owner("sales", "Octo/Lab", "", "sales"), false),
            (owner("sales", "octo/old-name", "7", "sales"), false),
            (owner("sales", "octo/lab", "8", "sales"), true),
            (owner("sales", "octo/fork", "", "sales"), true),
            (owner("stock", "octo/lab", "7", "sales"), true),
            (owner("Sales", "", "", ""), true),
            // Its folder is gone: it has moved.
            (owner("sales", "octo/lab", "7", "dbt"), false),
        ] {
            assert_eq!(here.is_other(&recorded), expected, "{recorded:?}");
        }
        let fork =
            Ours { upstream: Some("octo/lab".to_owned()), ..ours(owner("sales", "me/lab", "", "sales")) };
        assert!(!fork.is_other(&owner("sales", "Octo/Lab", "7", "sales")) && !fork.is_other(&fork.owner));
        assert!(fork.is_other(&owner("sales", "you/lab", "9", "sales")));
        let unknown = ours(Owner::default());
        assert!(unknown.is_other(&owner("sales", "", "", "")) && !unknown.is_other(&Owner::default()));
        let alone = Ours { is_alone: true, ..here };
        assert!(!alone.is_other(&owner("renamed", "", "", "sales")), "its database is this project's");
    }

    #[test]
    fn projects_of_one_name_are_told_apart_by_their_folders() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("a")).expect("a folder");
        std::fs::write(root.path().join("a/dbt_project.yml"), "name: p\n").expect("written");
        for is_alone in [false, true] {
            let here = Ours { root: root.path().into(), is_alone, ..ours(owner("p", "", "", "b")) };
            assert!(here.is_other(&owner("p", "", "", "a")));
            assert!(!here.is_other(&owner("p", "", "", "gone")) && !here.is_other(&owner("p", "", "", "b")));
        }
    }

    #[test]
    fn the_nodes_of_a_ledger_say_whose_it_is() {
        let here = Ours { neighbours: ["stock".to_owned()].into(), ..ours(owner("sales", "", "", "")) };
        for (packages, expected) in [
            (&[][..], None),
            (&["sales"], None),
            (&["dbt_utils", "sales"], None),
            (&["dbt_utils"], Some("dbt_utils")),
            // A project of this repository that uses this one as a package.
            (&["sales", "stock"], Some("stock")),
        ] {
            let packages = packages.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(here.other_of(&packages).and_then(|other| other.project).as_deref(), expected);
        }
    }

    #[test]
    fn a_mark_follows_its_project() {
        let here = ours(owner("sales", "octo/new", "7", "teams/sales"));
        assert_eq!(here.recorded(Some(&owner("sales", "octo/old", "7", "sales"))), here.owner);
        assert_eq!(here.recorded(None), here.owner);
        let laptop = ours(owner("sales", "", "", "sales"));
        let whole = owner("sales", "octo/lab", "7", "sales");
        assert_eq!(laptop.recorded(Some(&whole)), whole, "what is unknown here stays");
        assert_eq!(here.recorded(Some(&owner("stock", "x/y", "", "z"))), here.owner, "it was taken over");
        let fork =
            Ours { upstream: Some("octo/lab".to_owned()), ..ours(owner("sales", "me/lab", "", "sales")) };
        assert_eq!(fork.recorded(Some(&whole)), whole, "the upstream's stays the upstream's");
        assert_eq!(whole.to_string(), "sales@octo/lab:sales");
        assert_eq!(owner("p", "", "", ".").to_string(), "p");
    }
}
