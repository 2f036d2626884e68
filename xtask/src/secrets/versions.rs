//! The versions of files that commits brought, and what is new in each.
//!
//! A version is compared with the one before it, and only what is new there is searched. If that holds a secret, both
//! versions are searched as a whole, so that the finding is the same as in a file. New files, binary files, UTF-16 and
//! archives are always searched as a whole.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::io::{self, Cursor, Read};

use anyhow::Result;

use super::added;
use super::engine::Place;
use super::git::{in_parallel, scan_blob, size};
use super::scanner::{Scanner, count};
use crate::core::finding::Finding;
use crate::system::git::{self, CommitChange};
use crate::system::repo::Repo;

/// The largest version that is compared with the one before it, in bytes: both are held in memory.
const COMPARED_MOST: u64 = 8 << 20;

/// How many versions of a file are kept to compare the next ones with: branches change a file in turns.
const KEPT: usize = 8;

/// A blob under a path, and the commit for which it is scanned if an allowlist asks for that commit.
type Key<'a> = (&'a str, &'a str, Option<&'a str>);

/// One object to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'a> {
    /// A version to compare others with.
    Base { path: &'a str, blob: &'a str },
    /// A version to search, and the one before it.
    Search { key: Key<'a>, base: Option<&'a str> },
}

impl<'a> Step<'a> {
    fn path(self) -> &'a str {
        match self {
            Self::Base { path, .. } => path,
            Self::Search { key, .. } => key.0,
        }
    }

    fn blob(self) -> &'a str {
        match self {
            Self::Base { blob, .. } => blob,
            Self::Search { key, .. } => key.1,
        }
    }
}

/// The versions that commits brought, and the findings of those that were searched as a whole.
pub(super) struct Versions<'a> {
    scanner: &'a Scanner,
    repo: &'a Repo,
    changes: Vec<&'a CommitChange>,
    found: HashMap<Key<'a>, Vec<Finding>>,
}

impl<'a> Versions<'a> {
    pub(super) fn new(scanner: &'a Scanner, repo: &'a Repo, changes: &'a [CommitChange]) -> Self {
        let mut skipped = HashMap::new();
        let mut skips = |path: &'a str| *skipped.entry(path).or_insert_with(|| scanner.skips(path));
        // What an allowed commit brought counts as unseen: another commit may bring it too.
        let changes = changes
            .iter()
            .filter(|change| !scanner.engine.set.allows_commit(&change.commit) && !skips(&change.path))
            .collect();
        Self { scanner, repo, changes, found: HashMap::new() }
    }

    fn key(&self, change: &'a CommitChange) -> Key<'a> {
        let commit =
            self.scanner.engine.set.asks_for_commit(&change.commit).then_some(change.commit.as_str());
        (&change.path, &change.blob, commit)
    }

    /// What each commit has and its parents do not have, in the order of the commits.
    pub(super) fn findings(mut self) -> Result<Vec<Finding>> {
        let changes = self.changes.clone();
        let versions =
            changes.iter().map(|change| (self.key(change), change.before.first().map(String::as_str)));
        self.scan(self.scanner, versions.collect())?;
        let with_findings: Vec<&CommitChange> = changes
            .into_iter()
            .filter(|change| self.found.get(&self.key(change)).is_some_and(|found| !found.is_empty()))
            .collect();
        let before = with_findings
            .iter()
            .flat_map(|change| change.before.iter().map(|blob| (change.path.as_str(), blob.as_str(), None)))
            .filter(|key| !self.found.contains_key(key));
        // They were counted when their own commits were looked at.
        let uncounted = self.scanner.counting_anew();
        self.scan(&uncounted, before.map(|key| (key, None)).collect())?;
        let mut findings = Vec::new();
        for change in with_findings {
            let known: BTreeSet<&str> = change
                .before
                .iter()
                .filter_map(|blob| self.found.get(&(change.path.as_str(), blob.as_str(), None)))
                .flatten()
                .map(|finding| finding.fingerprint.as_str())
                .collect();
            let of_commit = self.found.get(&self.key(change)).into_iter().flatten();
            findings.extend(
                of_commit
                    .filter(|finding| !known.contains(finding.fingerprint.as_str()))
                    .map(|finding| Finding { commit: Some(change.commit.clone()), ..finding.clone() }),
            );
        }
        Ok(findings)
    }

    /// Searches versions, each with the one before it; without one, all of it.
    fn scan(&mut self, scanner: &Scanner, mut versions: Vec<(Key<'a>, Option<&'a str>)>) -> Result<()> {
        let mut known = HashSet::new();
        versions.retain(|version| known.insert(*version));
        // Versions of one file follow each other, as git packs them.
        versions.sort_by_key(|((path, _, _), _)| *path);
        let batches: Vec<Vec<Step<'a>>> = versions.chunks(size(versions.len())).map(steps).collect();
        let root = self.repo.root();
        let found = in_parallel(&batches, |batch| {
            let ids: Vec<&str> = batch.iter().map(|step| step.blob()).collect();
            let mut reader = Reader { scanner, kept: VecDeque::new(), buffer: Vec::new(), found: Vec::new() };
            git::read_objects(
                root,
                &ids,
                |at, body| reader.read(batch[at], body),
                |at, why| match batch[at] {
                    // Without it, all of the next version is searched.
                    Step::Base { .. } => {}
                    // The counts of the versions before are not those of the summary, what is unread is.
                    Step::Search { key: (path, blob, _), .. } => {
                        self.scanner.unread(&format!("{path} (blob {blob})"), why);
                    }
                },
            )?;
            Ok(reader.found)
        })?;
        self.found.extend(found.into_iter().flatten());
        Ok(())
    }
}

/// The objects to read so that each version's base is among the last that were read.
fn steps<'a>(versions: &[(Key<'a>, Option<&'a str>)]) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> = Vec::with_capacity(versions.len());
    for &(key, base) in versions {
        let kept = |blob: &str| {
            steps.iter().rev().take(KEPT).any(|step| step.path() == key.0 && step.blob() == blob)
        };
        if let Some(blob) = base.filter(|blob| !kept(blob)) {
            steps.push(Step::Base { path: key.0, blob });
        }
        steps.push(Step::Search { key, base });
    }
    steps
}

/// Reads the objects of one batch.
struct Reader<'a, 's> {
    scanner: &'s Scanner,
    /// The last objects: of a large or a binary one only its name.
    kept: VecDeque<(&'a str, Option<Vec<u8>>)>,
    buffer: Vec<u8>,
    found: Vec<(Key<'a>, Vec<Finding>)>,
}

impl<'a> Reader<'a, '_> {
    fn read(&mut self, step: Step<'a>, body: &mut dyn Read) -> io::Result<()> {
        let mut text = Vec::new();
        body.take(COMPARED_MOST).read_to_end(&mut text)?;
        let comparable = (text.len() as u64) < COMPARED_MOST && self.scanner.is_plain(step.path(), &text);
        if let Step::Search { key, base } = step
            && !(comparable && base.is_some_and(|base| self.nothing_new(key, base, &text)))
        {
            let (path, _, commit) = key;
            let body: &mut dyn Read = &mut Cursor::new(&text).chain(body);
            let findings = scan_blob(self.scanner, Place { path, commit }, body, &mut self.buffer)?;
            self.found.push((key, findings));
        }
        self.kept.truncate(KEPT - 1);
        self.kept.push_front((step.blob(), comparable.then_some(text)));
        Ok(())
    }

    /// Whether a version is known to have no secret that the one before does not have.
    fn nothing_new(&self, (path, _, commit): Key<'a>, base: &str, text: &[u8]) -> bool {
        let before = self.kept.iter().find(|(blob, _)| *blob == base).and_then(|(_, text)| text.as_deref());
        let Some(before) = before else { return false };
        let parts = added::parts(path, before, text);
        let place = Place { path, commit };
        // What is searched twice is counted once.
        let uncounted = self.scanner.counting_anew();
        if parts.into_iter().any(|part| !uncounted.text(place, &text[part]).is_empty()) {
            return false;
        }
        let counts = &self.scanner.counts;
        count(&counts.files, 1);
        count(&counts.bytes, text.len() as u64);
        count(&counts.allowed_inline, uncounted.counts.allowed_inline.into_inner());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_that_is_not_among_the_last_objects_is_read_again() {
        let search = |blob, base| Step::Search { key: ("a", blob, None), base };
        let versions = [
            (("a", "1", None), None),
            (("a", "2", None), Some("1")),
            (("a", "3", None), Some("1")),
            (("a", "4", None), Some("0")),
            (("b", "1", None), Some("4")),
        ];
        let of_b = Step::Search { key: ("b", "1", None), base: Some("4") };
        assert_eq!(
            steps(&versions),
            [
                search("1", None),
                search("2", Some("1")),
                search("3", Some("1")),
                Step::Base { path: "a", blob: "0" },
                search("4", Some("0")),
                Step::Base { path: "b", blob: "4" },
                of_b,
            ]
        );
        let many: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let versions: Vec<_> = many.iter().map(|blob| (("a", blob.as_str(), None), Some("0"))).collect();
        let again = steps(&versions).iter().filter(|step| matches!(step, Step::Base { .. })).count();
        assert!((2..5).contains(&again), "{again}");
    }
}
