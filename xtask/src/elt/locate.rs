//! Where in the repository a failed node is written: the line that a person has to look at.
//!
//! dbt reports the file. The line of a test is where the properties of its model ask for it, found by the
//! layout that properties are written in; a model's is the one that the engine quotes in its error. What
//! cannot be found is the file's first line: a place in the right file is better than no place.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::dbt::artifacts::GenericTest;

/// A line of a file, which is given relative to the repository's root.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Location {
    pub(super) path: String,
    /// From 1.
    pub(super) line: usize,
}

/// The dbt project, and how its folder is called from the repository's root (empty where it is the root).
pub(super) struct Project<'a> {
    pub(super) folder: &'a Path,
    pub(super) name: &'a Path,
}

impl Project<'_> {
    /// Where the node `name` of `file` is written; `file` is relative to the project.
    pub(super) fn locate(
        &self,
        file: &str,
        name: &str,
        test: Option<&GenericTest>,
        message: Option<&str>,
    ) -> Location {
        let content = std::fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let is_properties = Path::new(file).extension().is_some_and(|end| end == "yml" || end == "yaml");
        let line = if is_properties {
            declared(&content, name, test)
        } else {
            placed(file, message).or_else(|| quoted(&content, message))
        };
        let path = self.name.join(file).to_string_lossy().replace('\\', "/");
        Location { path, line: line.unwrap_or(1) }
    }
}

impl Project<'_> {
    /// The line of a model that a unit test of it fails at: the engine refuses the model's own SQL.
    pub(super) fn locate_quoted(&self, file: &str, message: &str) -> Option<Location> {
        let content = std::fs::read_to_string(self.folder.join(file)).ok()?;
        let line = quoted(&content, Some(message))?;
        Some(Location { path: self.name.join(file).to_string_lossy().replace('\\', "/"), line })
    }
}

/// The line at which properties declare a test: by its own name, else by the test that it is one of.
fn declared(properties: &str, name: &str, test: Option<&GenericTest>) -> Option<usize> {
    let lines: Vec<Line<'_>> = properties.lines().enumerate().filter_map(Line::read).collect();
    if let Some(line) = lines.iter().find(|line| line.value_of("name") == Some(name)) {
        return Some(line.number);
    }
    let test = test?;
    let model = block(&lines, &test.model)?;
    let place = test.column.as_deref().and_then(|column| block(&model[1..], column)).unwrap_or(model);
    let asked = place[1..].iter().filter(|line| line.is_item && line.key() == test.name);
    let asked = asked.min_by_key(|line| line.indent);
    Some(asked.unwrap_or(&place[0]).number)
}

/// The lines of the list item with this `name`, the one that names it first.
fn block<'a, 'b>(lines: &'b [Line<'a>], name: &str) -> Option<&'b [Line<'a>]> {
    let start = lines.iter().position(|line| line.is_item && line.value_of("name") == Some(name))?;
    let indent = lines[start].indent;
    let length = lines[start + 1..].iter().take_while(|line| line.indent > indent).count();
    Some(&lines[start..=start + length])
}

/// A line of YAML that is not empty.
struct Line<'a> {
    number: usize,
    indent: usize,
    /// Whether it begins an item of a list.
    is_item: bool,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn read((index, line): (usize, &'a str)) -> Option<Self> {
        let text = line.trim_start();
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let indent = line.len() - text.len();
        let item = text.strip_prefix("- ");
        Some(Self { number: index + 1, indent, is_item: item.is_some(), text: item.unwrap_or(text).trim() })
    }

    fn value_of(&self, key: &str) -> Option<&'a str> {
        let value = self.text.strip_prefix(key)?.trim_start().strip_prefix(':')?;
        let value = value.split(" #").next().unwrap_or(value);
        Some(value.trim().trim_matches(['"', '\'']))
    }

    /// The test of an item such as `unique`, `accepted_values:` or `package.test: {…}`.
    fn key(&self) -> &'a str {
        let key = self.text.split([':', ' ']).next().unwrap_or(self.text);
        key.rsplit('.').next().unwrap_or(key)
    }
}

/// The line at which dbt v2 says that something is wrong with a file: `(in models/a.sql:3:15)`, `--> models/a.sql:3:15`.
fn placed(file: &str, message: Option<&str>) -> Option<usize> {
    let message = message?;
    // A line that the engine quotes is nearer to the cause than the place of the statement.
    if message.contains("LINE ") {
        return None;
    }
    let (_, rest) = message.split_once(&format!(" {file}:"))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|line| *line > 0)
}

/// The line of a model that an error quotes: `LINE 7: select …` of DuckDB, whose number counts in the
/// compiled file, so it is the text that is looked up; `line 7` of Jinja.
fn quoted(text: &str, message: Option<&str>) -> Option<usize> {
    message?.lines().map(str::trim).find_map(|said| {
        if let Some(number) = said.strip_prefix("line ") {
            return number.parse().ok().filter(|number| (1..=text.lines().count()).contains(number));
        }
        let (number, quote) = said.strip_prefix("LINE ")?.split_once(": ")?;
        let quote = quote.trim().trim_start_matches("...").trim_end_matches("...").trim();
        number.parse::<usize>().ok()?;
        let found = text.lines().position(|line| !quote.is_empty() && line.contains(quote))?;
        Some(found + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROPERTIES: &str = "\
models:
  - name: orders
    description: >
      unique
    columns:
      - name: order_id
        data_tests:
          - not_null
          - unique
          - accepted_values: {arguments: {values: [A]}}
      - name: \"day\" # the key
        data_tests: [unique]
    data_tests:
      - unique:
          column_name: x
      - pack.conserves:
          name: nothing_is_lost
  - name: customers
    columns:
      - name: order_id
        data_tests:
          - unique

unit_tests:
  - name: kpi_is_a_ratio
    model: orders
";

    #[track_caller]
    fn line(name: &str, test: Option<(&str, &str, Option<&str>)>) -> Option<usize> {
        let test = test.map(|(name, model, column)| GenericTest {
            name: name.to_owned(),
            model: model.to_owned(),
            column: column.map(str::to_owned),
        });
        declared(PROPERTIES, name, test.as_ref())
    }

    #[test]
    fn a_test_is_where_its_model_asks_for_it() {
        assert_eq!(line("u", Some(("unique", "orders", Some("order_id")))), Some(9));
        assert_eq!(line("a", Some(("accepted_values", "orders", Some("order_id")))), Some(10));
        assert_eq!(line("d", Some(("unique", "orders", Some("day")))), Some(11), "its column, in flow style");
        assert_eq!(line("m", Some(("unique", "orders", None))), Some(14), "the model's, not a column's");
        assert_eq!(line("nothing_is_lost", Some(("conserves", "orders", None))), Some(17));
        assert_eq!(line("c", Some(("unique", "customers", Some("order_id")))), Some(22));
        assert_eq!(line("kpi_is_a_ratio", None), Some(25));
        assert_eq!(line("x", Some(("gone", "customers", None))), Some(18));
        assert_eq!(line("x", Some(("unique", "unknown", None))), None);
    }

    #[test]
    fn a_model_fails_at_the_line_that_the_engine_quotes() {
        let model = "with a as (\n    select nope from t\n)\nselect * from a\n";
        let said = "Binder Error: no column nope\n\nLINE 12:     select nope from t\n                   ^";
        assert_eq!(quoted(model, Some(said)), Some(2));
        assert_eq!(quoted(model, Some("Compilation Error\n  unexpected '}'\n    line 3\n")), Some(3));
        assert_eq!(quoted(model, Some("  line 99")), None);
        assert_eq!(quoted(model, Some("LINE 1: something else")), None);
        assert_eq!(quoted(model, None), None);
    }

    #[test]
    fn dbt_v2_names_the_line() {
        let said = "Ref 'zz' not found in project. Searched for 'p.zz, zz'\n  --> models/b.sql:12:15";
        assert_eq!(placed("models/b.sql", Some(said)), Some(12));
        assert_eq!(placed("models/a.sql", Some(said)), None);
        assert_eq!(placed("models/b.sql", Some("LINE 3: x (in models/b.sql:12:15)")), None);
    }

    #[test]
    fn an_unreadable_file_still_has_a_first_line() {
        let project = Project { folder: Path::new("/no/such"), name: Path::new("dbt") };
        let location = project.locate("models/a.sql", "a", None, Some("LINE 1: x"));
        assert_eq!(location, Location { path: "dbt/models/a.sql".into(), line: 1 });
    }
}
