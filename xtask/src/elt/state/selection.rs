//! How dbt is asked for the nodes of a wave.

use std::collections::BTreeSet;

use super::Keeper;
use crate::state::define::Definition;
use crate::state::select;

/// The longest list of names that dbt is given, in bytes: systems refuse longer command lines.
const LONGEST: usize = 600_000;

impl Keeper {
    /// What dbt is asked to build first: `asked` as it was given, or the nodes that are certain.
    pub(in crate::elt) fn selection(&self, asked: Option<&str>) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(asked) = asked {
            words.push("--select".to_owned());
            words.extend(asked.split_whitespace().map(str::to_owned));
        } else {
            let (wave, refresh) = self.wave();
            self.add_selection(&mut words, &wave, refresh);
        }
        words
    }

    /// Add the options that select what to build, in the fewest names.
    pub(super) fn add_selection(&self, args: &mut Vec<String>, wave: &BTreeSet<String>, refresh: bool) {
        if refresh {
            args.push("--full-refresh".to_owned());
        }
        if let Some(selection) = &self.foreign {
            args.push("--select".to_owned());
            args.extend(selection.split_whitespace().map(str::to_owned));
            return;
        }
        let selectable = |d: &&Definition| d.kind != "source" && d.materialized != "ephemeral";
        let (chosen, rest): (Vec<&Definition>, Vec<&Definition>) =
            self.definitions.all.values().filter(selectable).partition(|d| wave.contains(&d.id));
        if rest.is_empty() {
            return;
        }
        let folders = select::folders(&self.definitions);
        let names = |of: &[&Definition]| -> Vec<String> {
            let mut names: Vec<String> = of.iter().map(|d| self.selector(d, &folders)).collect();
            names.sort();
            names.dedup();
            names
        };
        // To dbt, a test of a node that is left out is left out too.
        let left_out: BTreeSet<&str> = rest.iter().map(|d| d.id.as_str()).collect();
        let is_lost = |test: &&&Definition| {
            let mut read = test.parents.iter().chain(&test.attached);
            test.is_test() && read.any(|id| left_out.contains(id.as_str()))
        };
        let loses_tests = chosen.iter().any(|definition| is_lost(&definition));
        let (chosen, rest) = (names(&chosen), names(&rest));
        let length = |names: &[String]| names.iter().map(|name| name.len() + 1).sum::<usize>();
        if loses_tests || length(&chosen) <= length(&rest) {
            args.extend(["--indirect-selection", "empty", "--select"].map(str::to_owned));
            args.extend(chosen);
        } else if length(&rest) <= LONGEST {
            args.push("--exclude".to_owned());
            args.extend(rest);
        }
    }

    /// How dbt is asked for a node: by the name that dbt itself gave it, as far as that is known.
    fn selector(&self, definition: &Definition, folders: &BTreeSet<&str>) -> String {
        let known = self.records.get(&definition.id).and_then(|record| record.unique_id.as_deref());
        if definition.kind == "test"
            && let Some((id, _)) = known.and_then(|id| id.rsplit_once('.'))
            && id != definition.id
            && let Some(name) = id.splitn(3, '.').nth(2)
            && known != Some(definition.id.as_str())
        {
            let fqn = definition.fqn.iter().rev().skip(1).rev().cloned().chain([name.to_owned()]);
            return select::selector(&Definition { fqn: fqn.collect(), ..definition.clone() }, folders);
        }
        select::selector(definition, folders)
    }
}
