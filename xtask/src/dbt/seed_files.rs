//! The CSV files of seeds, looked at before dbt starts: what dbt's loader would refuse without naming the file,
//! or load as something else without a word.
//!
//! Every file must be UTF-8 and have a name and a path that the loader can put into SQL. Where dbt's own loader reads
//! the files, a row with too few fields (on DuckDB) or too many, an empty file, and numbers that its types cannot hold are errors
//! too; the toolkit's seed macro checks those itself.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::files;
use super::profile::Adapter;
use super::project::Project;
use crate::core::yaml::{self, Node};

/// How the files get into the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loader {
    Dbt,
    /// A materialization of the project that reads the folder in `DBT_SEED_DIR`.
    Macro,
}

/// Check the seeds of `project` for a build with `adapter`; `folder` is where they are taken from instead of the
/// project's own folder.
pub(crate) fn check(project: &Project, folder: Option<&Path>, adapter: Adapter<'_>) -> Result<()> {
    let loader = loader(project)?;
    for file in csv_files(&project.paths("seed-paths"))? {
        check_name(&file, adapter)?;
    }
    if let (Some(folder), Loader::Dbt) = (folder, loader) {
        bail!(
            "--seeds {}: this project loads its seeds by dbt's own materialization, which reads {} only; put the files \
             there, or copy dbt/macros/seed_duckdb.sql and seed_snowflake.sql of the toolkit's repository, which read \
             the folder in DBT_SEED_DIR",
            folder.display(),
            project
                .paths("seed-paths")
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    let folders = folder.map_or_else(|| project.paths("seed-paths"), |folder| vec![folder.to_path_buf()]);
    let files = csv_files(&folders)?;
    for file in &files {
        check_path(file, loader, adapter)?;
        check_encoding(file)?;
    }
    if files.is_empty() {
        return Ok(());
    }
    if loader == Loader::Dbt {
        let configured = Configured::read(project)?;
        // DuckDB refuses a file with a short row; for Snowflake dbt v1 fills it with nulls, and dbt v2 names the line.
        let fills_rows = matches!(adapter, Adapter::Snowflake { .. });
        for file in &files {
            check_rows(file, &configured, fills_rows)?;
        }
    }
    Ok(())
}

fn csv_files(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let found = files::walk(folder)?.into_iter();
        files.extend(found.filter(|path| path.extension().is_some_and(|end| end == "csv")));
    }
    Ok(files)
}

/// A seed is named after its file, and so is its table: dbt refuses spaces and writes the rest into SQL as it is.
fn check_name(path: &Path, adapter: Adapter<'_>) -> Result<()> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let is_unfit = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || c == '"'
            || c == '\'' && matches!(adapter, Adapter::Snowflake { .. })
    };
    if let Some(unfit) = name.chars().find(|c| is_unfit(*c)) {
        bail!(
            "{}: the file's name is the name of a seed and of its table, which cannot hold {unfit:?}; rename the file, as {}.csv",
            path.display(),
            name.replace(is_unfit, "_")
        );
    }
    Ok(())
}

/// The seed macro of dbt-duckdb, and that of dbt v2, write the path between quotes into SQL. At Snowflake the toolkit's
/// macro uploads the file with PUT. For accounts on Google Cloud the Python connector looks up the path in that statement
/// itself, up to the next quote, whatever precedes it, and sends what is then not a statement for each file; it repeats that
/// without a limit as long as the answer is an error of HTTP.
fn check_path(path: &Path, loader: Loader, adapter: Adapter<'_>) -> Result<()> {
    let (unfit, advice): (&[char], _) = match (loader, adapter) {
        (Loader::Dbt, Adapter::DuckDb) => (
            &['\''],
            ", or copy dbt/macros/seed_duckdb.sql of the toolkit's repository, which reads any path",
        ),
        (Loader::Macro, Adapter::Snowflake { .. }) => (&['\'', '"'], ""),
        _ => return Ok(()),
    };
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if let Some(quote) = whole.to_string_lossy().chars().find(|c| unfit.contains(c)) {
        bail!(
            "{}: the seed cannot be loaded from a path with {quote} in it; rename the folder or the file{advice}",
            whole.display()
        );
    }
    Ok(())
}

fn loader(project: &Project) -> Result<Loader> {
    let folders = project.paths("macro-paths");
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for path in files::walk(folder)? {
            if path.extension().is_some_and(|end| end == "sql")
                && fs::read_to_string(&path).is_ok_and(|text| text.contains("DBT_SEED_DIR"))
            {
                return Ok(Loader::Macro);
            }
        }
    }
    Ok(Loader::Dbt)
}

/// The first line that is not UTF-8, from 1.
fn check_encoding(path: &Path) -> Result<()> {
    let failed = || format!("failed to read {}", path.display());
    let mut reader = BufReader::with_capacity(1 << 16, fs::File::open(path).with_context(failed)?);
    let mut line = Vec::new();
    let mut number = 0_u64;
    while reader.read_until(b'\n', &mut line).with_context(failed)? > 0 {
        number += 1;
        if let Some(encoding) = other_encoding(number, &line) {
            bail!(
                "{}, line {number}: not UTF-8 ({encoding}); convert the file: iconv -f {} -t UTF-8 FILE > NEW",
                path.display(),
                if encoding == "probably UTF-16" { "UTF-16" } else { "ISO-8859-1" }
            );
        }
        line.clear();
    }
    Ok(())
}

fn other_encoding(number: u64, line: &[u8]) -> Option<&'static str> {
    if number == 1 && (line.starts_with(&[0xff, 0xfe]) || line.starts_with(&[0xfe, 0xff])) {
        return Some("probably UTF-16");
    }
    std::str::from_utf8(line).is_err().then_some("probably Latin-1")
}

/// What the project says about columns of seeds.
#[derive(Debug, Default)]
struct Configured {
    /// Columns with a type, in lower case.
    typed: HashSet<String>,
    /// Whether some seed has another delimiter than a comma.
    has_delimiter: bool,
}

impl Configured {
    fn read(project: &Project) -> Result<Self> {
        let mut configured = Self::default();
        for path in project.input_files()? {
            let is_yaml = path.extension().is_some_and(|end| end == "yml" || end == "yaml");
            let text = if is_yaml { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
            if !(text.contains("column_types") || text.contains("delimiter")) {
                continue;
            }
            // A file that cannot be read is dbt's to report.
            for root in yaml::parse(&text).map(|documents| documents.roots).unwrap_or_default() {
                configured.take(&root);
            }
        }
        Ok(configured)
    }

    fn take(&mut self, node: &Node) {
        for (key, value) in node.entries() {
            match key.text().unwrap_or_default() {
                "column_types" | "+column_types" => {
                    let names = value.entries().iter().filter_map(|(name, _)| name.text());
                    self.typed.extend(names.map(str::to_lowercase));
                }
                "delimiter" | "+delimiter" => self.has_delimiter = true,
                _ => self.take(value),
            }
        }
        for item in node.items() {
            self.take(item);
        }
    }
}

/// What is known of a column's values so far.
#[derive(Debug, Default)]
struct Column {
    is_text: bool,
    /// A number that would be rounded, and its line.
    rounded: Option<(u64, String)>,
}

fn check_rows(path: &Path, configured: &Configured, fills_rows: bool) -> Result<()> {
    if configured.has_delimiter {
        return Ok(());
    }
    let shown = path.display();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_path(path)
        .with_context(|| format!("failed to read {shown}"))?;
    let mut record = csv::StringRecord::new();
    if !reader.read_record(&mut record).with_context(|| format!("failed to read {shown}"))? {
        bail!("{shown}: the file is empty, not even a header; write the names of the columns, or remove it");
    }
    let header: Vec<String> =
        record.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    let mut columns: Vec<Column> = header.iter().map(|_| Column::default()).collect();
    while reader.read_record(&mut record).with_context(|| format!("failed to read {shown}"))? {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() > header.len() || record.len() < header.len() && !fills_rows {
            bail!(
                "{shown}, line {line}: {} fields, but the header has {}; correct the row (a comma in a value needs \
                 quotes around the value)",
                record.len(),
                header.len()
            );
        }
        for (column, value) in columns.iter_mut().zip(&record) {
            column.take(value.trim(), line);
        }
    }
    for (name, column) in header.iter().zip(columns) {
        if let (false, Some((line, value))) =
            (column.is_text || configured.typed.contains(&name.to_lowercase()), column.rounded)
        {
            bail!(
                "{shown}, line {line}, column {name}: {value} has more digits than the type that dbt chooses can hold; \
                 give the column a type in the seed's column_types, such as varchar or decimal(38, 9)"
            );
        }
    }
    Ok(())
}

impl Column {
    fn take(&mut self, value: &str, line: u64) {
        if value.is_empty() || self.is_text {
            return;
        }
        let digits = value.trim_start_matches(['-', '+']);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            self.is_text = value.parse::<f64>().is_err();
            return;
        }
        let is_rounded = if fraction.is_empty() {
            value.parse::<i64>().is_err()
        } else {
            let significant = format!("{whole}{fraction}");
            significant.trim_start_matches('0').trim_end_matches('0').len() > SIGNIFICANT
        };
        if is_rounded && self.rounded.is_none() {
            self.rounded = Some((line, value.to_owned()));
        }
    }
}

/// Decimal digits that a double keeps.
const SIGNIFICANT: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn bench(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, bytes) in [("dbt_project.yml", &b"name: p\n"[..])].iter().chain(files) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, bytes).expect("written");
        }
        let project = Project::read(folder.path()).expect("a project");
        (folder, project)
    }

    fn said(files: &[(&str, &[u8])]) -> String {
        let (_folder, project) = bench(files);
        check(&project, None, Adapter::DuckDb).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn seeds_that_are_not_utf_8_are_named_with_their_line() {
        let latin = said(&[("seeds/l.csv", b"id,name\n1,M\xfcller\n")]);
        assert!(latin.contains("l.csv, line 2: not UTF-8"), "{latin}");
        let wide = said(&[("seeds/w.csv", b"\xff\xfei\0d\0\n\0")]);
        assert!(wide.contains("w.csv, line 1") && wide.contains("UTF-16"), "{wide}");
        assert_eq!(said(&[("seeds/u.csv", "id,name\n1,Müller\n".as_bytes())]), "fine");
    }

    #[test]
    fn rows_that_dbt_would_bend_are_errors_with_their_line() {
        for (text, part) in [
            ("id,name\n1,a\n3,c,d\n", "line 3: 3 fields"),
            ("a,b\n1\n", "line 2: 1 fields"),
            ("", "empty"),
            ("a\n12345678901234567890123\n", "line 2, column a"),
            ("a,b\n1,0.1\n2,12345678901234567890.123456789\n", "line 3, column b"),
        ] {
            let said = said(&[("seeds/s.csv", text.as_bytes())]);
            assert!(said.contains("s.csv") && said.contains(part), "{text:?}: {said}");
        }
        for text in
            ["a,b\n1,\"x,y\"\n", "a\n9007199254740993\n", "a\n12345678901234567890123\nx\n", "a\n0.5\n1e3\n"]
        {
            assert_eq!(said(&[("seeds/s.csv", text.as_bytes())]), "fine", "{text:?}");
        }
        let (_folder, project) = bench(&[("seeds/s.csv", b"a,b\n1\n")]);
        check(&project, None, Adapter::Snowflake { database: "d" }).expect("the row is filled with a null");
        let typed = b"seeds:\n  - name: s\n    config: {column_types: {A: varchar}}\n";
        assert_eq!(said(&[("seeds/s.csv", b"a\n12345678901234567890123\n"), ("seeds/s.yml", typed)]), "fine");
    }

    #[test]
    fn another_folder_needs_a_materialization_that_reads_it() {
        let (folder, project) = bench(&[("other/s.csv", b"a\n1\n")]);
        let refused = check(&project, Some(&folder.path().join("other")), Adapter::DuckDb)
            .expect_err("dbt's own loader");
        assert!(refused.to_string().contains("DBT_SEED_DIR"), "{refused}");
        fs::create_dir(folder.path().join("macros")).expect("a folder");
        fs::write(folder.path().join("macros/seed.sql"), "{{ env_var('DBT_SEED_DIR') }}").expect("written");
        check(&project, Some(&folder.path().join("other")), Adapter::DuckDb).expect("read by the macro");
    }

    #[test]
    fn names_and_paths_that_do_not_fit_into_sql_are_refused() {
        let snowflake = Adapter::Snowflake { database: "D" };
        let all = [Adapter::DuckDb, snowflake];
        let csv = b"a\n1\n".as_slice();
        let said = |path: &str, has_macro: bool, adapter: Adapter<'_>| {
            let mut files = vec![(path, csv)];
            if has_macro {
                files.push(("macros/seed.sql", b"{{ env_var('DBT_SEED_DIR') }}"));
            }
            let (_folder, project) = bench(&files);
            check(&project, None, adapter).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
        };
        for adapter in all {
            for has_macro in [false, true] {
                let spaced = said("seeds/a b.csv", has_macro, adapter);
                assert!(spaced.contains("a b.csv") && spaced.ends_with("as a_b.csv"), "{spaced}");
                assert!(said("seeds/say\"x\".csv", has_macro, adapter).contains("rename the file"));
                for path in ["seeds/my data/s.csv", "seeds/c.d.csv", "seeds/ü-1.csv"] {
                    assert_eq!(said(path, has_macro, adapter), "fine", "{path} {adapter:?}");
                }
            }
        }
        for (has_macro, adapter) in [(false, Adapter::DuckDb), (true, Adapter::DuckDb), (false, snowflake)] {
            assert_eq!(said("seeds/say \"x\"/s.csv", has_macro, adapter), "fine", "{adapter:?}");
        }
        let quoted = said("seeds/it's/s.csv", false, Adapter::DuckDb);
        assert!(
            quoted.contains("it's/s.csv")
                && quoted.contains("with ' in it")
                && quoted.contains("seed_duckdb.sql"),
            "{quoted}"
        );
        assert_eq!(said("seeds/it's/s.csv", true, Adapter::DuckDb), "fine", "the macro doubles it");
        assert_eq!(said("seeds/it's/s.csv", false, snowflake), "fine", "dbt sends rows");
        assert_eq!(said("seeds/it's.csv", true, Adapter::DuckDb), "fine");
        assert_eq!(said("seeds/say \"x\"/s.csv", false, Adapter::DuckDb), "fine");
        assert!(said("seeds/it's/s.csv", true, snowflake).contains("with ' in it"));
        assert!(said("seeds/say \"x\"/s.csv", true, snowflake).contains("with \" in it"));
        assert!(said("seeds/it's.csv", true, snowflake).ends_with("as it_s.csv"));
    }
}
