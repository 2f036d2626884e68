//! Definitions in a file, which hold for as long as all that they are read from is the same: to read the file takes a fraction
//! of the time that it takes to understand a project.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Definition, Definitions, Facts};
use crate::state::project::Gathered;
use crate::system::digest::Digest;
use crate::system::program;

/// The first line of the file; each of the others is a definition.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Head {
    /// A random number, so that values of the environment cannot be found again by trying.
    salt: String,
    /// A digest of all that the definitions are read from.
    key: String,
    schema: String,
    count: usize,
}

/// A file of definitions, and what they are read from now.
pub(super) struct Kept<'a> {
    head: Head,
    lines: &'a str,
    /// The digest as it is now.
    key: String,
}

impl<'a> Kept<'a> {
    /// `None` if it cannot be known whether the definitions are the same: secrets and seeds of another folder have rules of
    /// their own.
    pub(super) fn new(file: &'a [u8], gathered: &Gathered, facts: &Facts) -> Option<Self> {
        if facts.seeds.is_some() || facts.has_secrets() {
            return None;
        }
        let (head, lines) =
            str::from_utf8(file).ok().and_then(|text| text.split_once('\n')).unwrap_or_default();
        let head = serde_json::from_str(head)
            .unwrap_or_else(|_| Head { salt: uuid::Uuid::now_v7().to_string(), ..Head::default() });
        let mut digest = Digest::default().with(&head.salt).with(program::stamp());
        digest.add(format!("{:?}", of_any_run(facts)));
        gathered.add_to(&mut digest);
        Some(Self { head, lines, key: digest.finish() })
    }

    /// The definitions of the file, if they were read from the same.
    pub(super) fn definitions(&self) -> Option<Definitions> {
        if self.head.key != self.key {
            return None;
        }
        let lines: Vec<&str> = self.lines.lines().collect();
        let found: Vec<Definition> =
            lines.par_iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>().ok()?;
        let all: BTreeMap<String, Definition> =
            found.into_iter().map(|each| (each.id.clone(), each)).collect();
        let schema = self.head.schema.clone();
        (all.len() == self.head.count).then(|| Definitions { all, schema, ..Definitions::default() })
    }

    /// The file for `definitions`; `None` if they may change although all that they are read from is the same.
    pub(super) fn replaced(self, definitions: &Definitions) -> Option<Vec<u8>> {
        if definitions.reads_files || !definitions.faults.is_empty() {
            return None;
        }
        let (schema, count) = (definitions.schema.clone(), definitions.all.len());
        let head = serde_json::to_vec(&Head { salt: self.head.salt, key: self.key, schema, count });
        let all: Vec<&Definition> = definitions.all.values().collect();
        let lines: Vec<Vec<u8>> = all.par_iter().map(serde_json::to_vec).collect::<Result<_, _>>().ok()?;
        Some([vec![head.ok()?], lines].concat().join(&b'\n'))
    }
}

/// Without what differs between runs and is read by no definition: the key, which is for secrets alone, and what a shell sets
/// for itself.
fn of_any_run(facts: &Facts) -> Facts {
    let is_of_a_shell = |name: &str| matches!(name, "_" | "OLDPWD" | "SHLVL");
    let mut facts = Facts { key: String::new(), ..facts.clone() };
    facts.environment.retain(|name, _| !is_of_a_shell(name));
    facts
}
