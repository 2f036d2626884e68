//! A workflow or action as rules see it: jobs, steps, scripts and expressions, each with its position.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::expression::{Error, Expression};
use crate::core::finding::{Lines, Span};
use crate::core::yaml::{self, Node, Style, Value};
use crate::lint::rule::{Offence, Rule, Source};

/// The files of the repository, by path.
pub(crate) struct Context<'a> {
    files: HashSet<&'a str>,
    folders: HashSet<&'a str>,
    /// The parsed workflows and actions: a call is checked against what it calls.
    parsed: HashMap<&'a str, Node>,
}

impl<'a> Context<'a> {
    /// Of every file's path relative to the root, with slashes.
    pub(crate) fn new(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let files: HashSet<&str> = paths.into_iter().collect();
        let mut folders = HashSet::from([""]);
        for path in &files {
            let mut path = *path;
            while let Some((folder, _)) = path.rsplit_once('/') {
                if !folders.insert(folder) {
                    break;
                }
                path = folder;
            }
        }
        Self { files, folders, parsed: HashMap::new() }
    }

    /// With the workflows and actions among `sources`; one that is not valid YAML is reported by the YAML rules.
    pub(crate) fn reading(mut self, sources: impl IntoIterator<Item = &'a Source>) -> Self {
        let sources = sources.into_iter().filter(|source| kind(&source.path).is_some());
        let read = |source: &'a Source| Some((source.path.as_str(), yaml::parse_one(&source.text).ok()??));
        self.parsed = sources.filter_map(read).collect();
        self
    }

    pub(crate) fn workflow(&self, path: &str) -> Option<&Node> {
        self.parsed.get(path)
    }

    /// The metadata of the action of this repository that a step uses, and its folder.
    pub(crate) fn action<'u>(&self, uses: &'u str) -> Option<(&'u str, &Node)> {
        let folder = uses.strip_prefix("./")?.trim_end_matches('/');
        let file = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let found =
            ["action.yml", "action.yaml"].iter().find_map(|name| self.parsed.get(file(name).as_str()));
        Some((folder, found?))
    }

    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    pub(crate) fn has_folder(&self, path: &str) -> bool {
        self.folders.contains(path)
    }

    /// Whether the repository has this toolkit, and so a command for every step.
    pub(crate) fn has_xtask(&self) -> bool {
        self.has_file("xtask/Cargo.toml")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Workflow,
    Action,
}

/// How GitHub uses the file.
pub(crate) fn kind(path: &str) -> Option<Kind> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let is_yaml = matches!(file.rsplit_once('.'), Some((_, "yml" | "yaml")));
    match () {
        () if folder == ".github/workflows" && is_yaml => Some(Kind::Workflow),
        () if matches!(file, "action.yml" | "action.yaml")
            && (folder.is_empty() || folder.starts_with(".github/")) =>
        {
            Some(Kind::Action)
        }
        () => None,
    }
}

/// The workflow of this repository that a job calls: its `uses`, and the path in it.
pub(crate) fn called(job: &Node) -> Option<(&Node, &str)> {
    let uses = job.get("uses")?;
    Some((uses, uses.text()?.strip_prefix("./")?))
}

pub(crate) struct View<'a> {
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
    pub(crate) kind: Kind,
    pub(crate) root: &'a Node,
    pub(crate) jobs: Vec<Job<'a>>,
    pub(crate) steps: Vec<Step<'a>>,
    pub(crate) expressions: Vec<Found>,
    lines: Lines<'a>,
}

pub(crate) struct Job<'a> {
    pub(crate) id: &'a str,
    pub(crate) key: &'a Node,
    pub(crate) node: &'a Node,
}

pub(crate) struct Step<'a> {
    /// The index of its job; `None` in an action.
    pub(crate) job: Option<usize>,
    pub(crate) node: &'a Node,
}

/// An expression, or why it is not one.
pub(crate) struct Found {
    /// Of the whole, with `${{` and `}}`, in bytes of the file.
    pub(crate) bytes: Range<usize>,
    pub(crate) span: Span,
    /// Where its inside begins.
    pub(crate) inside: usize,
    pub(crate) parsed: Result<Expression, Error>,
}

/// One line of a script and its position in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScriptLine<'a> {
    pub(crate) text: &'a str,
    pub(crate) start: usize,
}

impl<'a> Job<'a> {
    /// The values of a row of the matrix, with those that `include` adds.
    pub(crate) fn matrix_values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a Node> + use<'a, 'n> {
        let matrix = self.node.at(&["strategy", "matrix"]);
        let is_it = move |key: &Node| key.text().is_some_and(|text| text.eq_ignore_ascii_case(name));
        let rows = matrix.map(Node::entries).unwrap_or_default().iter();
        let rows = rows.filter(move |(key, _)| is_it(key)).flat_map(|(_, row)| row.items());
        let included = matrix.and_then(|matrix| matrix.get("include")).map(Node::items).unwrap_or_default();
        let included = included.iter().flat_map(Node::entries).filter(move |(key, _)| is_it(key));
        rows.chain(included.map(|(_, value)| value))
    }
}

impl<'a> Step<'a> {
    pub(crate) fn uses(&self) -> Option<&'a Node> {
        self.node.get("uses").filter(|uses| uses.text().is_some())
    }

    /// The action without its version.
    pub(crate) fn action(&self) -> Option<&'a str> {
        Some(self.uses()?.text()?.split('@').next().unwrap_or_default())
    }

    pub(crate) fn run(&self) -> Option<&'a Node> {
        self.node.get("run").filter(|run| run.text().is_some())
    }
}

impl<'a> View<'a> {
    pub(super) fn new(source: &'a Source, kind: Kind, root: &'a Node) -> Self {
        let mut view = Self {
            path: &source.path,
            text: &source.text,
            kind,
            root,
            jobs: Vec::new(),
            steps: Vec::new(),
            expressions: Vec::new(),
            lines: Lines::new(source.text.as_bytes()),
        };
        for (key, node) in root.get("jobs").map(Node::entries).unwrap_or_default() {
            view.jobs.push(Job { id: key.text().unwrap_or_default(), key, node });
        }
        let of_jobs = view.jobs.iter().enumerate().map(|(at, job)| (Some(at), job.node.get("steps")));
        let of_action = std::iter::once((None, root.at(&["runs", "steps"])));
        view.steps = of_jobs
            .chain(of_action)
            .flat_map(|(job, steps)| {
                steps.map(Node::items).unwrap_or_default().iter().map(move |node| Step { job, node })
            })
            .collect();
        let mut found = BTreeMap::new();
        view.collect(root, &mut found);
        view.expressions = found.into_values().collect();
        view
    }

    pub(crate) fn span(&self, bytes: Range<usize>) -> Span {
        self.lines.span(bytes.start, bytes.end)
    }

    pub(crate) fn offence(&self, rule: &Rule, span: Span, message: impl Into<String>) -> Offence {
        rule.offence(self.path, span, message)
    }

    /// Expressions inside a value.
    pub(crate) fn within(&self, node: &Node) -> impl Iterator<Item = &Found> {
        let range = node.bytes.clone();
        let first = self.expressions.partition_point(|found| found.bytes.start < range.start);
        self.expressions[first..].iter().take_while(move |found| found.bytes.start < range.end)
    }

    /// The lines of a `run`, as written in the file. Comment lines and empty ones are left out, and a
    /// line that ends with a backslash, or a backtick as in PowerShell, is joined with the next.
    pub(crate) fn script(&self, run: &Node) -> Vec<ScriptLine<'a>> {
        let whole = &self.text[run.bytes.clone()];
        let Value::Scalar { style, .. } = run.value else { return Vec::new() };
        let quotes: &[char] = if style == Style::Quoted { &['"', '\''] } else { &[] };
        // The shell sees the lines of anything but a literal block as one.
        let folds = style != Style::Literal;
        let mut start = run.bytes.start;
        let mut lines: Vec<ScriptLine<'a>> = Vec::new();
        let mut continued = false;
        for raw in whole.split_inclusive('\n') {
            let begin = start;
            start += raw.len();
            let text = raw.trim().trim_matches(quotes);
            let offset = begin + raw.find(text).unwrap_or_default();
            if let Some(last) = lines.last_mut().filter(|_| continued) {
                *last = ScriptLine { text: &self.text[last.start..offset + text.len()], start: last.start };
            } else if !text.is_empty() && !text.starts_with('#') {
                lines.push(ScriptLine { text, start: offset });
            }
            continued = !text.is_empty() && !text.starts_with('#') && (folds || text.ends_with(['\\', '`']));
        }
        lines
    }

    /// Scripts of all steps: of `run`, and of `github-script`.
    pub(crate) fn scripts(&self) -> impl Iterator<Item = (&Step<'a>, &'a Node)> {
        self.steps.iter().filter_map(|step| {
            let of_action = || {
                let is_script = step.action() == Some("actions/github-script");
                step.node.at(&["with", "script"]).filter(|_| is_script)
            };
            Some((step, step.run().or_else(of_action)?))
        })
    }

    /// The job's `permissions`, `env` and the like, from the job outwards.
    pub(crate) fn levels(&self, step: &Step<'a>) -> Vec<&'a Node> {
        let job = step.job.map(|at| self.jobs[at].node);
        std::iter::once(step.node).chain(job).chain([self.root]).collect()
    }

    /// Whether a pull request can start it: then branch names are untrusted.
    pub(crate) fn is_triggered_by_pull_request(&self) -> bool {
        self.events().iter().any(|event| event.starts_with("pull_request") || *event == "workflow_call")
            || self.kind == Kind::Action
    }

    /// Whether a place is inside a block of text, such as a script.
    pub(crate) fn is_in_text(&self, at: usize) -> bool {
        let mut nodes = vec![self.root];
        while let Some(node) = nodes.pop() {
            match &node.value {
                Value::Scalar { style, .. } => {
                    if matches!(style, Style::Literal | Style::Folded) && node.bytes.contains(&at) {
                        return true;
                    }
                }
                Value::Sequence(items) => nodes.extend(items),
                Value::Mapping(entries) => nodes.extend(entries.iter().map(|(_, value)| value)),
            }
        }
        false
    }

    /// The names of the events that start it.
    pub(crate) fn events(&self) -> Vec<&'a str> {
        let Some(on) = self.root.get("on").or_else(|| self.root.get("true")) else { return Vec::new() };
        if on.is_mapping() {
            return on.entries().iter().filter_map(|(key, _)| key.text()).collect();
        }
        on.one_or_many().iter().filter_map(Node::text).collect()
    }

    /// Whether a script of the job may set the variable for the steps after it.
    pub(crate) fn writes_variable(&self, job: Option<usize>, name: &str) -> bool {
        self.scripts().filter(|(step, _)| step.job == job).any(|(_, script)| {
            let text = self.text[script.bytes.clone()].to_lowercase();
            let name = name.to_lowercase();
            text.contains("github_env")
                && [format!("{name}="), format!("{name}<<")].iter().any(|set| text.contains(set))
                || text.contains("exportvariable") && text.contains(&name)
        })
    }

    fn collect(&self, node: &Node, found: &mut BTreeMap<usize, Found>) {
        match &node.value {
            Value::Scalar { .. } => self.collect_scalar(node, found),
            Value::Sequence(items) => items.iter().for_each(|item| self.collect(item, found)),
            Value::Mapping(entries) => {
                let conditional =
                    ["run", "uses", "runs-on", "steps", "needs"].iter().any(|key| node.get(key).is_some());
                for (key, value) in entries {
                    self.collect(key, found);
                    // The `if` of a step or job is an expression with or without the delimiters.
                    if conditional
                        && key.text() == Some("if")
                        && let Some(text) = value.text()
                        && !text.contains("${{")
                    {
                        let bytes = value.bytes.clone();
                        let raw = &self.text[bytes.clone()];
                        let inside = bytes.start + raw.find(text.trim()).unwrap_or_default();
                        let parsed = Expression::parse(text.trim());
                        found.insert(bytes.start, Found { span: value.span, bytes, inside, parsed });
                    } else {
                        self.collect(value, found);
                    }
                }
            }
        }
    }

    fn collect_scalar(&self, node: &Node, found: &mut BTreeMap<usize, Found>) {
        let Some(raw) = self.text.get(node.bytes.clone()) else { return };
        let mut at = 0;
        while let Some(open) = raw[at..].find("${{").map(|offset| at + offset) {
            let inside = open + 3;
            let length = end(&raw[inside..]);
            let close = inside + length.unwrap_or(raw.len() - inside);
            let stop = (close + 2).min(raw.len());
            let bytes = node.bytes.start + open..node.bytes.start + stop;
            let parsed = match length {
                Some(_) => Expression::parse(&unquoted(raw, &raw[inside..close])),
                None => Err(Error { offset: 0, message: "`${{` is never closed by `}}`".to_owned() }),
            };
            let start = bytes.start;
            let span = self.span(bytes.clone());
            found.insert(start, Found { bytes, span, inside: node.bytes.start + inside, parsed });
            at = stop;
        }
    }
}

/// A part of a scalar without the escapes of its YAML quotes.
fn unquoted<'t>(raw: &str, part: &'t str) -> Cow<'t, str> {
    match raw.as_bytes().first() {
        Some(b'"') if part.contains('\\') => part.replace("\\\"", "\"").replace("\\\\", "\\").into(),
        Some(b'\'') if part.contains("''") => part.replace("''", "'").into(),
        _ => part.into(),
    }
}

/// The position of the first `}}` outside of a string.
fn end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quoted = false;
    for at in 0..bytes.len() {
        match bytes[at] {
            b'\'' => quoted = !quoted,
            b'}' if !quoted && bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
    }
    text.find("}}")
}
