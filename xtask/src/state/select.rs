//! dbt's selection syntax, as far as definitions can answer it: so that a run of a part of the project is planned like
//! one of the whole. What is not understood is `None`, and dbt decides.

use std::collections::{BTreeMap, BTreeSet};

use super::define::{Definition, Definitions};

/// The nodes and tests that a selection means, as `dbt build --select` takes it: tests come with what they test.
pub(crate) fn select(definitions: &Definitions, selection: &str) -> Option<BTreeSet<String>> {
    let graph = Graph::new(definitions);
    let mut found = BTreeSet::new();
    for union in selection.split_whitespace() {
        let mut met: Option<BTreeSet<String>> = None;
        for part in union.split(',') {
            let of_part = graph.part(part)?;
            met = Some(match met {
                Some(met) => met.intersection(&of_part).cloned().collect(),
                None => of_part,
            });
        }
        found.extend(met.unwrap_or_default());
    }
    Some(found)
}

/// How a node is named so that dbt selects it and nothing else.
pub(crate) fn selector(definition: &Definition, folders: &BTreeSet<&str>) -> String {
    let leaf = definition.fqn.last().map_or(definition.name.as_str(), String::as_str);
    let is_versioned = definition.kind == "model" && leaf != definition.name;
    if is_versioned {
        return format!("{}.{leaf}", definition.name);
    }
    let is_plain = leaf.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_plain {
        // Any one character: blanks, commas and dots are part of dbt's syntax.
        return leaf.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '?' }).collect();
    }
    // The name of a folder means all that is in it, and the name of a model its unit tests too.
    if folders.contains(leaf) {
        format!("{},resource_type:{}", definition.fqn.join("."), definition.kind)
    } else {
        leaf.to_owned()
    }
}

/// Names that mean a folder or a package to dbt.
pub(crate) fn folders(definitions: &Definitions) -> BTreeSet<&str> {
    let fqns = definitions.all.values().map(|definition| &definition.fqn);
    fqns.flat_map(|fqn| fqn.iter().take(fqn.len().saturating_sub(1)).map(String::as_str)).collect()
}

struct Graph<'a> {
    definitions: &'a Definitions,
    children: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Graph<'a> {
    fn new(definitions: &'a Definitions) -> Self {
        let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, definition) in &definitions.all {
            for parent in parents(definition) {
                children.entry(parent).or_default().push(id);
            }
        }
        Self { definitions, children }
    }

    fn part(&self, part: &str) -> Option<BTreeSet<String>> {
        let (with_all, part) = part.strip_prefix('@').map_or((false, part), |rest| (true, rest));
        let (up, part) = before_plus(part);
        let (down, part) = after_plus(part);
        let mut found = self.method(part)?;
        if found.is_empty() {
            return None;
        }
        let start = found.clone();
        if let Some(steps) = down {
            found.extend(self.walk(&start, steps, |id| self.children.get(id).cloned().unwrap_or_default()));
        }
        let ancestors =
            |id: &'a str| self.definitions.all.get(id).map(|d| parents(d).collect()).unwrap_or_default();
        if with_all {
            let below =
                self.walk(&start, usize::MAX, |id| self.children.get(id).cloned().unwrap_or_default());
            found.extend(below.iter().cloned());
            found.extend(self.walk(&below, usize::MAX, ancestors));
        }
        if let Some(steps) = up {
            found.extend(self.walk(&start, steps, ancestors));
        }
        // A test is selected with anything that it reads.
        let tests = self.definitions.all.values().filter(|definition| definition.is_test());
        let selected: Vec<String> = tests
            .filter(|test| parents(test).any(|parent| found.contains(parent)))
            .map(|test| test.id.clone())
            .collect();
        found.extend(selected);
        Some(found)
    }

    fn walk(
        &self,
        from: &BTreeSet<String>,
        steps: usize,
        next: impl Fn(&'a str) -> Vec<&'a str>,
    ) -> BTreeSet<String> {
        let known = |id: &String| self.definitions.all.get_key_value(id).map(|(id, _)| id.as_str());
        let mut found: BTreeSet<&str> = from.iter().filter_map(known).collect();
        let mut edge: Vec<&str> = found.iter().copied().collect();
        for _ in 0..steps {
            edge = edge.into_iter().flat_map(&next).filter(|id| found.insert(id)).collect();
            if edge.is_empty() {
                break;
            }
        }
        found.into_iter().map(str::to_owned).collect()
    }

    fn method(&self, part: &str) -> Option<BTreeSet<String>> {
        let (method, value) = part.split_once(':').unwrap_or(("fqn", part));
        let value = value.trim_end_matches('/');
        let is_match: Box<dyn Fn(&Definition) -> bool> = match method {
            "fqn" => Box::new(move |node| of_fqn(node, value)),
            "tag" => Box::new(move |node| node.tags.iter().any(|tag| tag == value)),
            "path" if !value.contains('*') => Box::new(move |node| {
                node.path == value || node.path.strip_prefix(value).is_some_and(|rest| rest.starts_with('/'))
            }),
            "package" => Box::new(move |node| node.package == value),
            "resource_type" => Box::new(move |node| node.kind == value),
            "config.materialized" => Box::new(move |node| node.materialized == value),
            "source" => Box::new(move |node| node.kind == "source" && of_source(node, value)),
            _ => return None,
        };
        if value.contains(['?', '[', '{']) {
            return None;
        }
        let found = self.definitions.all.values().filter(|definition| is_match(definition));
        Some(found.map(|definition| definition.id.clone()).collect())
    }
}

fn parents(definition: &Definition) -> impl Iterator<Item = &str> {
    let attached = definition.attached.iter();
    definition.parents.iter().chain(&definition.follows).chain(attached).map(String::as_str)
}

/// `+name`, `2+name`.
fn before_plus(part: &str) -> (Option<usize>, &str) {
    match part.split_once('+') {
        Some(("", rest)) => (Some(usize::MAX), rest),
        Some((steps, rest)) if !rest.is_empty() && steps.chars().all(|c| c.is_ascii_digit()) => {
            (steps.parse().ok(), rest)
        }
        _ => (None, part),
    }
}

/// `name+`, `name+2`.
fn after_plus(part: &str) -> (Option<usize>, &str) {
    match part.rsplit_once('+') {
        Some((rest, "")) => (Some(usize::MAX), rest),
        Some((rest, steps)) if steps.chars().all(|c| c.is_ascii_digit()) => (steps.parse().ok(), rest),
        _ => (None, part),
    }
}

fn of_fqn(definition: &Definition, value: &str) -> bool {
    if definition.kind == "source" {
        return false;
    }
    if value == "*" {
        return true;
    }
    let fqn = &definition.fqn;
    let (Some(leaf), wanted) = (fqn.last(), value.split('.').collect::<Vec<_>>()) else { return false };
    if leaf == value || (definition.kind == "model" && definition.name == value) {
        return true;
    }
    if leaf != &definition.name && format!("{}.{leaf}", definition.name) == value {
        return true;
    }
    let starts = |fqn: &[String]| {
        let plain = wanted.strip_suffix(&["*"]).unwrap_or(&wanted);
        fqn.len() >= wanted.len() && plain.iter().zip(fqn).all(|(wanted, have)| wanted == have)
    };
    !value.trim_end_matches(".*").contains('*') && (starts(fqn) || starts(&fqn[1..]))
}

fn of_source(definition: &Definition, value: &str) -> bool {
    let names: Vec<&str> = definition.fqn.iter().skip(1).map(String::as_str).collect();
    let wanted: Vec<&str> = value.split('.').collect();
    let wanted = if wanted.len() == 3 { &wanted[1..] } else { &wanted[..] };
    wanted.iter().zip(&names).all(|(wanted, have)| *wanted == "*" || wanted == have)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definitions() -> Definitions {
        let node = |kind: &str, fqn: &str, parents: &[&str], tag: &str| {
            let fqn: Vec<String> = fqn.split('.').map(str::to_owned).collect();
            let name = fqn.last().cloned().unwrap_or_default();
            let id = format!("{kind}.p.{name}");
            let definition = Definition {
                id: id.clone(),
                kind: kind.to_owned(),
                path: format!("models/{}.sql", fqn[1..].join("/")),
                name,
                package: "p".into(),
                fqn,
                tags: vec![tag.to_owned()],
                materialized: "table".into(),
                parents: parents.iter().map(|id| (*id).to_owned()).collect(),
                ..Definition::default()
            };
            (id, definition)
        };
        let all = [
            node("seed", "p.raw", &[], ""),
            node("model", "p.silver.a", &["seed.p.raw"], "x"),
            node("model", "p.gold.b", &["model.p.a"], "y"),
            node("model", "p.gold.c", &["model.p.b"], "y"),
            node("test", "p.gold.t", &["model.p.b"], ""),
            node("unit_test", "p.gold.b.u", &[], ""),
        ];
        Definitions { all: all.into_iter().collect(), ..Definitions::default() }
    }

    #[test]
    fn selections_mean_what_they_mean_to_dbt() {
        let definitions = definitions();
        for (selection, expected) in [
            ("a", Some("a")),
            ("b+", Some("b c t")),
            ("+b", Some("a b raw t")),
            ("1+c", Some("b c t")),
            ("tag:y,b+", Some("b c t")),
            ("a tag:x", Some("a")),
            ("gold", Some("b c t u")),
            ("p.gold.*", Some("b c t u")),
            ("path:models/silver", Some("a")),
            ("resource_type:seed raw", Some("raw")),
            ("@a", Some("a b c raw t")),
            ("state:modified", None),
            ("nothing_of_that_name", None),
        ] {
            let found = select(&definitions, selection).map(|ids| {
                let names = ids.iter().map(|id| id.rsplit('.').next().unwrap_or_default());
                let mut names: Vec<&str> = names.collect();
                names.sort_unstable();
                names.join(" ")
            });
            assert_eq!(found.as_deref(), expected, "{selection}");
        }
    }

    #[test]
    fn names_that_mean_more_are_narrowed() {
        let definitions = definitions();
        let folders = folders(&definitions);
        let of = |id: &str| selector(&definitions.all[id], &folders);
        assert_eq!(of("model.p.a"), "a");
        assert_eq!(of("model.p.b"), "p.gold.b,resource_type:model");
        let odd = Definition { fqn: vec!["p".into(), "it is, so".into()], ..Definition::default() };
        assert_eq!(selector(&odd, &folders), "it?is??so");
    }
}
