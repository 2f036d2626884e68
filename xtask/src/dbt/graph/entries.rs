//! What property files say: entries, sources, tests, and the refs and docs that they mention.

use super::{
    Applied, Declared, DocMention, Entry, Found, Kind, Malformed, Mention, Owned, Project, Role, Section,
    SourceTable, jinja, properties, resolve,
};
use crate::core::yaml::{Node as Yaml, Value};

/// The lists of property files whose items are kept as they are.
const DECLARED: [&str; 6] = ["exposures", "groups", "macros", "unit_tests", "data_tests", "tests"];

impl<'a> Project<'a> {
    pub(super) fn take_properties(&mut self, root: Yaml, path: &'a str) {
        let Value::Mapping(sections) = root.value else { return };
        for (key_node, section) in sections {
            let Some(key) = key_node.text().map(str::to_owned) else { continue };
            self.sections.push(Section { key: key.clone(), path, span: key_node.span });
            self.mention_docs(&section, path, 0);
            if properties::LISTS.contains(&key.as_str()) {
                let faults = properties::faults_of_list(&key_node, &section);
                self.malformed.extend(faults.map(|(span, message)| Malformed { path, span, message }));
            }
            let Value::Sequence(items) = section.value else { continue };
            for item in items {
                match key.as_str() {
                    "models" => self.take_entry(Kind::Model, item.clone(), path),
                    "seeds" => self.take_entry(Kind::Seed, item.clone(), path),
                    "snapshots" => self.take_entry(Kind::Snapshot, item.clone(), path),
                    "analyses" => self.take_entry(Kind::Analysis, item.clone(), path),
                    "sources" => self.take_source(item.clone(), path),
                    "unit_tests" => self.take_unit_test(&item, path),
                    "exposures" => {
                        for each in item.get("depends_on").map(Yaml::items).unwrap_or_default() {
                            self.mention(Role::Consumer, each, path);
                        }
                    }
                    "semantic_models" => {
                        if let Some(model) = item.get("model") {
                            self.mention(Role::Consumer, model, path);
                        }
                    }
                    _ => {}
                }
                if DECLARED.contains(&key.as_str()) {
                    let span = item.get("name").map_or(item.span, |name| name.span);
                    self.declared.push(Declared { key: key.clone(), node: item, path, span });
                }
            }
        }
    }

    fn take_entry(&mut self, kind: Kind, node: Yaml, path: &'a str) {
        let Some((name, span)) = node.get("name").and_then(|name| Some((name.text()?.to_owned(), name.span)))
        else {
            return;
        };
        self.entries_are_open = true;
        self.mention_tests(&node, path);
        self.entries_are_open = false;
        // A snapshot can be written in YAML alone.
        if kind == Kind::Snapshot
            && let Some(relation) = node.get("relation")
        {
            self.mention(Role::Consumer, relation, path);
        }
        self.entries.push(Entry { kind, name, path, span, node, about: Vec::new() });
    }

    fn take_source(&mut self, node: Yaml, path: &'a str) {
        let Some(source) = node.get("name").and_then(Yaml::text).map(str::to_owned) else { return };
        let Value::Mapping(entries) = node.value else { return };
        let (tables, own): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(key, _)| key.text() == Some("tables"));
        let parent =
            std::sync::Arc::new(Yaml { value: Value::Mapping(own), span: node.span, bytes: node.bytes });
        for table in tables.into_iter().flat_map(|(_, tables)| match tables.value {
            Value::Sequence(items) => items,
            _ => Vec::new(),
        }) {
            let Some((name, span)) = table.get("name").and_then(|n| Some((n.text()?.to_owned(), n.span)))
            else {
                continue;
            };
            self.mention_tests(&table, path);
            let (source, parent) = (source.clone(), std::sync::Arc::clone(&parent));
            self.sources.push(SourceTable { source, name, path, span, node: table, parent });
        }
    }

    fn take_unit_test(&mut self, item: &Yaml, path: &'a str) {
        if let Some(model) = item.get("model")
            && let Some(name) = model.text()
        {
            self.mentions.push(Mention {
                role: Role::UnitTest,
                entry: None,
                target: Owned::Ref { package: None, name: name.to_owned() },
                found: Found::Unknown,
                path,
                span: model.span,
            });
        }
        for given in item.get("given").map(Yaml::items).unwrap_or_default() {
            if let Some(input) = given.get("input").filter(|input| input.text() != Some("this")) {
                self.mention(Role::UnitTest, input, path);
            }
        }
    }

    /// `doc(…)` in the descriptions of anything.
    fn mention_docs(&mut self, node: &Yaml, path: &'a str, depth: usize) {
        const DEEPEST: usize = 40;
        if depth > DEEPEST {
            return;
        }
        for item in node.items() {
            self.mention_docs(item, path, depth + 1);
        }
        for (key, value) in node.entries() {
            let described = value.text().filter(|text| {
                key.text() == Some("description") && text.contains("doc(") && text.contains("{{")
            });
            let Some(text) = described else {
                self.mention_docs(value, path, depth + 1);
                continue;
            };
            for piece in jinja::pieces(text) {
                let jinja::Piece::Output(inner) = piece else { continue };
                for call in jinja::calls(&jinja::tokens(text, inner, false)) {
                    let texts: Vec<&str> = call.positional().filter_map(jinja::Literal::text).collect();
                    let (package, name) = match texts[..] {
                        _ if call.name != "doc" => continue,
                        [name] => (None, name),
                        [package, name] => (Some(package.to_owned()), name),
                        _ => continue,
                    };
                    let name = name.to_owned();
                    self.doc_mentions.push(DocMention { package, name, path, span: value.span });
                }
            }
        }
    }

    fn mention_tests(&mut self, node: &Yaml, path: &'a str) {
        let columns = node.get("columns").map(Yaml::items).unwrap_or_default();
        for holder in std::iter::once(node).chain(columns) {
            for key in ["data_tests", "tests"] {
                for test in holder.get(key).map(Yaml::items).unwrap_or_default() {
                    self.mention_within(test, path);
                    match properties::test(test) {
                        Ok((name, span)) => {
                            let entry = self.entries_are_open.then_some(self.entries.len());
                            self.applied.push(Applied { name, path, span, entry });
                        }
                        Err(message) => self.malformed.push(Malformed { path, span: test.span, message }),
                    }
                }
            }
        }
    }

    /// Refs anywhere in a test's arguments. The reader has bounded how deep and how much that is.
    fn mention_within(&mut self, node: &Yaml, path: &'a str) {
        match &node.value {
            Value::Scalar { text, .. } if text.contains("ref(") || text.contains("source(") => {
                self.mention(Role::Test, node, path);
            }
            Value::Scalar { .. } => {}
            Value::Sequence(items) => {
                for item in items {
                    self.mention_within(item, path);
                }
            }
            Value::Mapping(entries) => {
                for (_, value) in entries {
                    self.mention_within(value, path);
                }
            }
        }
    }

    fn mention(&mut self, role: Role, node: &Yaml, path: &'a str) {
        let Some(text) = node.text() else { return };
        let calls = jinja::calls(&jinja::tokens(text, 0..text.len(), false));
        self.mentions.extend(calls.iter().filter_map(resolve::target).map(|target| Mention {
            role,
            entry: (role == Role::Test && self.entries_are_open).then_some(self.entries.len()),
            target: resolve::owned(&target),
            found: Found::Unknown,
            path,
            span: node.span,
        }));
    }
}
