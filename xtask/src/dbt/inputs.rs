//! What a build is made from, as one fingerprint: same fingerprint, same result.
//!
//! Only what dbt reads is an input: the folders that `dbt_project.yml` names, installed packages (through
//! symbolic links), the variables that templates ask for, and files that models and macros read. Whatever
//! else is in the repository, such as READMEs or the toolkit itself, does not count. What cannot be followed
//! (a computed variable name, a URL) makes the build unproven: then it is never up to date.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use regex::Regex;

use super::project::Project;
use crate::system::digest::{self, Digest};

/// The inputs of a build.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inputs {
    pub(crate) fingerprint: String,
    /// Why equal fingerprints do not prove equal results, if so.
    pub(crate) unproven: Option<String>,
}

/// What a build depends on besides the project's files.
#[derive(Debug, Default)]
pub(crate) struct Given<'a> {
    /// A folder that seeds are taken from instead of the project's own.
    pub(crate) seeds: Option<&'a Path>,
    /// The generated profile.
    pub(crate) profile: &'a str,
    /// Files that the profile attaches, as it names them.
    pub(crate) attached: &'a [String],
    /// Options of the command.
    pub(crate) options: Vec<String>,
}

/// Variables that decide where the environment is, who builds it and how fast, but no row.
const WITHOUT_EFFECT: [&str; 8] = [
    "DBT_TARGET_SCHEMA",
    "DBT_DUCKDB_PATH",
    "DBT_THREADS",
    "DBT_TARGET_PATH",
    "DBT_LOG_PATH",
    "DBT_SNOWFLAKE_QUERY_TAG",
    "XTASK_RUN_ID",
    super::profile::EXTERNAL_ROOT,
];

impl Inputs {
    /// Read all inputs of `project`; `variable` looks up the environment.
    pub(crate) fn read(
        project: &Project,
        given: &Given<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
        all_variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self> {
        let mut reader = Reader { digest: Digest::default(), seen: Scan::default(), project };
        reader.digest.add(format!("toolkit {}", env!("CARGO_PKG_VERSION")));
        // Models may ask the clock.
        reader.digest.add(format!("day {}", Timestamp::now().strftime("%F")));
        for option in &given.options {
            reader.digest.add(option);
        }
        reader.digest.add(given.profile);
        reader.seen.scan("the profile", given.profile, Kind::Text);
        for file in project.input_files()? {
            reader.file(project.folder(), &file)?;
        }
        if let Some(seeds) = given.seeds {
            for file in walk(seeds)? {
                reader.file(seeds, &file)?;
            }
        }
        reader.outside(given.attached)?;
        reader.variables(variable, all_variables);
        Ok(Self { fingerprint: reader.digest.finish(), unproven: reader.seen.unproven })
    }
}

struct Reader<'a> {
    digest: Digest,
    seen: Scan,
    project: &'a Project,
}

impl Reader<'_> {
    fn file(&mut self, root: &Path, path: &Path) -> Result<()> {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let Some(kind) = Kind::of(path) else {
            let content = fs::File::open(path).and_then(digest::of_content);
            self.digest.add(&name);
            self.digest.add(content.with_context(|| format!("failed to read {}", path.display()))?);
            return Ok(());
        };
        let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        // dbt reads documentation blocks of a Markdown file and nothing else.
        if kind == Kind::Markdown && !text.contains("{% docs") && !text.contains("{%- docs") {
            return Ok(());
        }
        self.digest.add(&name);
        self.digest.add(&bytes);
        self.seen.scan(&name, &text, kind);
        Ok(())
    }

    /// Files that models, macros and the profile read, by the names that they use for them.
    fn outside(&mut self, attached: &[String]) -> Result<()> {
        let mut names = std::mem::take(&mut self.seen.files);
        names.extend(attached.iter().cloned());
        for name in names {
            if name.contains("{{") || name.contains("{%") {
                self.seen.doubt(format!("the file {name} is named by a template"));
                continue;
            }
            if name.contains("://") || name.starts_with("md:") {
                self.seen.doubt(format!("{name} is not a local file"));
                continue;
            }
            self.digest.add(&name);
            for path in matching(self.project.folder(), &name)? {
                self.digest.add(
                    path.strip_prefix(self.project.folder()).unwrap_or(&path).to_string_lossy().as_bytes(),
                );
                let content = fs::File::open(&path).and_then(digest::of_content);
                self.digest.add(content.with_context(|| format!("failed to read {}", path.display()))?);
            }
        }
        Ok(())
    }

    fn variables(
        &mut self,
        variable: &dyn Fn(&str) -> Option<String>,
        all: impl Iterator<Item = (String, String)>,
    ) {
        let mut values: BTreeMap<String, Option<String>> = all
            .filter(|(name, _)| name.starts_with("DBT_"))
            .map(|(name, value)| (name, Some(value)))
            .collect();
        for name in &self.seen.variables {
            values.entry(name.clone()).or_insert_with(|| variable(name));
        }
        for (name, value) in values {
            // Secrets open doors and change no row; the login is where, not what.
            let is_login = name.starts_with("DBT_ENV_SECRET") || name.starts_with("SNOWFLAKE_");
            if !is_login && !WITHOUT_EFFECT.contains(&name.as_str()) {
                self.digest.add(name);
                self.digest.add(value.map_or_else(|| "unset".to_owned(), |value| format!("= {value}")));
            }
        }
    }
}

/// The files that `name` matches, as DuckDB takes it: a path, or a pattern.
fn matching(folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let path = folder.join(name);
    if !name.contains(['*', '?', '[']) {
        return Ok(if path.is_file() { vec![path] } else { Vec::new() });
    }
    let full = path.to_string_lossy().into_owned();
    let Ok(pattern) = globset::GlobBuilder::new(&full).literal_separator(true).build() else {
        return Ok(Vec::new());
    };
    let matcher = pattern.compile_matcher();
    let fixed = full.split(['*', '?', '[']).next().unwrap_or_default();
    let base = fixed.rsplit_once('/').map_or("/", |(base, _)| if base.is_empty() { "/" } else { base });
    if !Path::new(base).is_dir() {
        return Ok(Vec::new());
    }
    Ok(walk(Path::new(base))?.into_iter().filter(|path| matcher.is_match(path)).collect())
}

/// Every file below `folder` that dbt could read, sorted, through symbolic links.
pub(crate) fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        // A link may lead back to a folder above it.
        if !seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone())) {
            continue;
        }
        let failed = || format!("failed to read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if is_passed_over(&name) {
                continue;
            }
            if path.is_dir() {
                if !path.join("pyvenv.cfg").is_file() {
                    open.push(path);
                }
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Hidden files (`.user.yml`, `.DS_Store`), READMEs, and what tools leave.
fn is_passed_over(name: &str) -> bool {
    name.starts_with('.')
        || name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("readme"))
        || matches!(name, "__pycache__" | "node_modules")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sql,
    Text,
    Python,
    Markdown,
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "sql" => Some(Self::Sql),
            "yml" | "yaml" => Some(Self::Text),
            "py" => Some(Self::Python),
            "md" => Some(Self::Markdown),
            _ => None,
        }
    }
}

/// What texts say that they read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scan {
    variables: BTreeSet<String>,
    files: BTreeSet<String>,
    unproven: Option<String>,
}

#[expect(clippy::expect_used, reason = "the patterns are constants")]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern")
}

/// `env_var('NAME'`, also with escaped quotes, as in YAML.
static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"\benv_var\s*\(\s*(?:\\?["']([^"'\\{}]*)\\?["']|(.))"#));

/// A function that reads a file, and its arguments up to the first bracket that closes.
static READ: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)\b(?:read_(?:csv|parquet|json|ndjson|text|blob|xlsx)\w*|st_read|sniff_csv|glob|(?:parquet|sqlite|postgres|mysql|iceberg|delta)_scan)\s*\(\s*([^)]*)",
    )
});

/// A table that is a file: `from 'a.csv'`, `attach 'a.duckdb'`.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?i)\b(?:from|join|attach(?:\s+database)?(?:\s+if\s+not\s+exists)?)\s+'([^']+)'")
});

static QUOTED: LazyLock<Regex> = LazyLock::new(|| regex(r#"'([^']*)'|"([^"]*)""#));

static COMMENT: LazyLock<Regex> = LazyLock::new(|| regex(r"(?s)\{#.*?#\}"));

/// Ends of the names of files that hold data.
const DATA: [&str; 12] =
    ["csv", "tsv", "txt", "parquet", "json", "ndjson", "jsonl", "xlsx", "db", "duckdb", "sqlite", "gz"];

/// What a Python model reads with can be anything.
const PYTHON_READS: [&str; 6] = ["os.environ", "getenv", "open(", "requests", "urllib", "read_excel"];

impl Scan {
    fn doubt(&mut self, why: String) {
        self.unproven.get_or_insert(why);
    }

    fn scan(&mut self, name: &str, text: &str, kind: Kind) {
        if kind == Kind::Markdown {
            return;
        }
        let text = COMMENT.replace_all(text, "");
        for found in VARIABLE.captures_iter(&text) {
            match found.get(1) {
                Some(variable) => drop(self.variables.insert(variable.as_str().to_owned())),
                None => self.doubt(format!("{name} computes the name of an environment variable")),
            }
        }
        // A materialization of seeds reads the files of seeds, which are inputs themselves.
        if !text.contains("materialization seed") {
            for found in READ.captures_iter(&text) {
                self.read(name, &found[1]);
            }
        }
        if kind != Kind::Text {
            for found in NAMED.captures_iter(&text) {
                let end = found[1].rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
                if DATA.contains(&end.as_str()) {
                    self.files.insert(found[1].to_owned());
                }
            }
        }
        if kind == Kind::Python && PYTHON_READS.iter().any(|reads| text.contains(reads)) {
            self.doubt(format!("{name} may read anything"));
        }
    }

    fn read(&mut self, name: &str, arguments: &str) {
        let arguments = arguments.trim_start();
        let first = if let Some(list) = arguments.strip_prefix('[') {
            list.split(']').next().unwrap_or(list)
        } else if arguments.starts_with(['\'', '"']) {
            // The first argument alone: others are options.
            QUOTED.find(arguments).map_or("", |found| found.as_str())
        } else {
            ""
        };
        let before = self.files.len();
        let mut is_any = false;
        for found in QUOTED.captures_iter(first) {
            let file = found.get(1).or(found.get(2)).map_or("", |file| file.as_str());
            is_any |= !file.is_empty();
            self.files.insert(file.to_owned());
        }
        if !is_any && before == self.files.len() {
            self.doubt(format!("{name} computes the name of a file that it reads"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: (&str, &str) = ("dbt_project.yml", "name: p\n");

    fn inputs(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Inputs {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        let project = Project::read(folder.path()).expect("a project");
        let look =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let all = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Inputs::read(&project, &Given::default(), &look, all).expect("inputs")
    }

    fn with(more: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
        let files = [&[PROJECT, ("models/a.sql", "select '{{ env_var('RATE', '1') }}'")], more].concat();
        inputs(&files, variables).fingerprint
    }

    #[test]
    fn what_dbt_reads_is_an_input_and_nothing_else() {
        let base = with(&[], &[]);
        for same in [
            with(&[("README.md", "x"), ("models/README.md", "x"), ("models/.user.yml", "x")], &[]),
            with(&[("xtask/src/main.rs", "x"), ("target/a.sql", "x"), ("logs/dbt.log", "x")], &[]),
            with(&[("models/notes.md", "no block"), (".xtask/w.duckdb", "x")], &[]),
            with(&[], &[("HOME", "/x"), ("DBT_TARGET_SCHEMA", "x"), ("DBT_ENV_SECRET_KEY", "x")]),
        ] {
            assert_eq!(same, base);
        }
        let different = [
            with(&[("models/logs/b.sql", "x")], &[]),
            with(&[("models/target/b.sql", "x")], &[]),
            with(&[("seeds/s.csv", "x")], &[]),
            with(&[("models/notes.md", "{% docs a %}x{% enddocs %}")], &[]),
            with(&[("dbt_packages/p/macros/m.sql", "x")], &[]),
            with(&[("packages.yml", "packages: []")], &[]),
            with(&[], &[("RATE", "1")]),
            with(&[], &[("DBT_EMPTY", "1")]),
        ];
        assert!(different.iter().all(|other| *other != base));
        assert_eq!(different.iter().collect::<BTreeSet<_>>().len(), different.len());
    }

    #[test]
    fn folders_have_the_names_that_the_project_gives_them() {
        let files =
            |text| [("dbt_project.yml", "name: p\nmodel-paths: [transform]\n"), ("transform/a.sql", text)];
        assert_ne!(inputs(&files("1"), &[]), inputs(&files("2"), &[]));
    }

    #[test]
    fn files_that_models_read_are_inputs() {
        let read = |text: &str, data: &str| {
            let files = [PROJECT, ("models/a.sql", text), ("data/x.csv", data)];
            inputs(&files, &[]).fingerprint
        };
        for text in [
            "select * from read_csv('data/x.csv', header = true)",
            "select * from read_csv(['data/x.csv', 'data/y.csv'])",
            "select * from 'data/x.csv'",
            "select * from read_csv_auto('data/*.csv')",
        ] {
            assert_ne!(read(text, "1"), read(text, "2"), "{text}");
            assert_eq!(read(text, "1"), read(text, "1"), "{text}");
        }
        assert_eq!(read("select 'data/x.csv'", "1"), read("select 'data/x.csv'", "2"));
    }

    #[test]
    fn what_cannot_be_followed_is_never_up_to_date() {
        let unproven = |name: &str, text: &str| inputs(&[PROJECT, (name, text)], &[]).unproven;
        for (name, text) in [
            ("models/a.sql", "select '{{ env_var(name) }}'"),
            ("models/a.sql", "select * from read_csv('{{ var('x') }}.csv')"),
            ("models/a.sql", "select * from read_parquet('s3://b/x.parquet')"),
            ("macros/a.sql", "{% macro a(f) %}select * from read_csv({{ f }}){% endmacro %}"),
            ("models/a.py", "def model(dbt, session):\n    return open('x')\n"),
        ] {
            assert!(unproven(name, text).is_some(), "{text}");
        }
        for (name, text) in [
            ("models/a.sql", "{# env_var(x) #} select \"{{ env_var(\"A\") }}\""),
            ("models/a.yml", "x: \"{{ env_var(\\\"A\\\") }}\""),
            (
                "macros/a.sql",
                "{% materialization seed, adapter='duckdb' %}read_csv({{ f }}){% endmaterialization %}",
            ),
        ] {
            assert_eq!(unproven(name, text), None, "{text}");
        }
    }
}
