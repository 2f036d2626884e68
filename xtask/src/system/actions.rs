//! The output of commands to GitHub Actions: step outputs, the job's summary, groups, annotations and masks.
//!
//! Each of these is a line protocol, and many of the values come from outside: an issue's title, a commit's
//! message, a failed test's rows. So this is the only file that implements it. Values are written between
//! random delimiters or escaped, so that no text can end its own value and begin a command. Outside Actions
//! (`GITHUB_ACTIONS` is not `true`) every function here does nothing.

use std::borrow::Cow;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use regex::Regex;
use serde_json::Value;
use uuid::Uuid;

use crate::system::console;
use crate::system::redact::{redact, secrets};

/// GitHub refuses a step's whole summary when it is larger than this: 1 MiB.
const SUMMARY_LIMIT: usize = 1024 * 1024;

/// All outputs of a job together may take 1 MB; one value has to leave room for the others.
const OUTPUT_LIMIT: usize = 512 * 1024;

/// Shorter lines are not masked: a mask of one or two characters would hide the whole log.
const SHORTEST_MASK: usize = 4;

/// Whether this process runs in a job of GitHub Actions.
pub(crate) fn active() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Set outputs of the current step: names of this program, values of any origin.
pub(crate) fn set_outputs(outputs: &[(&str, String)]) -> Result<()> {
    let Some(path) = file("GITHUB_OUTPUT") else { return Ok(()) };
    append(&path, "GITHUB_OUTPUT", &records(outputs)?)
}

/// Outputs in the format of the runner's file.
pub(crate) fn records(outputs: &[(&str, String)]) -> Result<String> {
    outputs.iter().map(|(name, value)| record(name, value)).collect()
}

/// Add Markdown to the job's summary, truncated if GitHub would otherwise refuse all of it.
pub(crate) fn append_summary(markdown: &str) -> Result<()> {
    let Some(path) = file("GITHUB_STEP_SUMMARY") else { return Ok(()) };
    let taken = path.metadata().map_or(0, |file| usize::try_from(file.len()).unwrap_or(usize::MAX));
    append(&path, "GITHUB_STEP_SUMMARY", &fitting(markdown, SUMMARY_LIMIT.saturating_sub(taken)))
}

/// Fold the log until the result is dropped. Groups do not nest.
#[must_use = "the group ends when this is dropped"]
pub(crate) fn group(title: &str) -> Group {
    let group = Group { open: active() };
    if group.open {
        console::line(&format!("::group::{}", escape(title)));
    }
    group
}

pub(crate) struct Group {
    open: bool,
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.open {
            console::line("::endgroup::");
        }
    }
}

/// Have the runner replace `secret` by `***` in the log from here on.
pub(crate) fn mask(secret: &str) {
    if active() {
        masks(secret).for_each(|line| console::line(&line));
    }
}

/// A secret of several lines (a private key) is logged line by line, so it is masked line by line.
fn masks(secret: &str) -> impl Iterator<Item = String> {
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_MASK);
    lines.map(|line| format!("::add-mask::{}", escape(line)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warning,
    Notice,
}

/// A remark on the run's page, at a line of a file if one is known.
#[derive(Clone, Debug)]
pub(crate) struct Annotation<'a> {
    pub(crate) level: Level,
    pub(crate) title: &'a str,
    pub(crate) message: &'a str,
    /// Relative to the repository's root.
    pub(crate) file: Option<&'a str>,
    /// From 1.
    pub(crate) line: Option<usize>,
}

impl fmt::Display for Annotation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
        };
        write!(f, "::{level} title={}", escape_property(self.title))?;
        if let Some(file) = self.file {
            write!(f, ",file={}", escape_property(file))?;
        }
        if let Some(line) = self.line {
            write!(f, ",line={line}")?;
        }
        write!(f, "::{}", escape(self.message))
    }
}

/// Show a remark on the run's page.
pub(crate) fn annotate(annotation: &Annotation<'_>) {
    if active() {
        console::line(&annotation.to_string());
    }
}

/// Characters of an error in an output and an annotation.
const ERROR: usize = 2000;

/// Report the error that stopped a command: on the run's page, and as the output `error`, from which the last job of a
/// pipeline takes the cause.
pub(crate) fn report(error: &str) {
    let mut text: Value = error.chars().take(ERROR).collect::<String>().into();
    redact(&mut text, &secrets(std::env::vars()));
    let text = text.as_str().unwrap_or_default();
    annotate(&Annotation { level: Level::Error, title: "error", message: text, file: None, line: None });
    if let Err(error) = set_outputs(&[("error", text.to_owned())]) {
        tracing::warn!("{error:#}");
    }
}

/// Escapes characters that would end a command's message, and removes those that would colour, hide or reverse text.
pub(crate) fn escape(text: &str) -> String {
    let shown: String = without_sequences(text)
        .chars()
        .filter(|&c| matches!(c, '\n' | '\r' | '\t') || !is_control(c))
        .collect();
    shown.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes characters that would end a command's property.
pub(crate) fn escape_property(text: &str) -> String {
    escape(text).replace(':', "%3A").replace(',', "%2C")
}

/// `text` from outside as one log line that the runner does not take for a command: it reads `::name` at a
/// line's start, after blanks, and `##[name]` anywhere.
pub(crate) fn harmless(text: &str) -> String {
    let line: String = without_sequences(text).chars().map(|c| if is_control(c) { ' ' } else { c }).collect();
    let line = line.replace("##[", "## [");
    if line.trim_start().starts_with("::") { line.replacen("::", ": :", 1) } else { line }
}

/// Without the escape sequences of terminals: colours, cursor movements, titles and links.
fn without_sequences(text: &str) -> Cow<'_, str> {
    static SEQUENCE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\x1B(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1B]*(?:\x07|\x1B\\)|[@-Z\\-_])")
            .expect("a regular expression")
    });
    SEQUENCE.replace_all(text, "")
}

/// Control characters, and characters that are invisible or change the text direction.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{61C}')
}

/// The file that a variable of the runner names.
fn file(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty());
    path.filter(|_| active()).map(PathBuf::from)
}

fn append(path: &Path, variable: &str, text: &str) -> Result<()> {
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("failed to write {variable} ({})", path.display()))
}

/// One output as the runner reads it back. The delimiter is chosen after the value is known and does not
/// occur in it, so the value cannot end early.
fn record(name: &str, value: &str) -> Result<String> {
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    ensure!(!name.is_empty() && name.chars().all(named), "{name:?} is not a valid name for a step output");
    ensure!(
        value.len() <= OUTPUT_LIMIT,
        "the step output {name} has {} bytes; GitHub takes 1 MB for all outputs of a job",
        value.len()
    );
    let mut delimiter = delimiter();
    while value.contains(&delimiter) {
        delimiter = self::delimiter();
    }
    Ok(format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"))
}

fn delimiter() -> String {
    format!("xtask_{}", Uuid::now_v7().simple())
}

/// As much of `markdown` as fits into `room` bytes, cut between lines, with open code fences and details
/// closed.
fn fitting(markdown: &str, room: usize) -> String {
    const NOTE: &str = "\n\n_Cut here: GitHub shows at most 1 MiB of a step's summary._\n";
    let whole = format!("{}\n", markdown.trim_end());
    if whole.len() <= room {
        return whole;
    }
    // Enough for the note, a code fence and a few nested details.
    let Some(mut end) = room.checked_sub(NOTE.len() + 256) else { return String::new() };
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    let kept = whole[..end].rfind('\n').map_or("", |newline| &whole[..newline]);
    let fences = kept.lines().filter(|line| line.trim_start().starts_with("```")).count();
    let open = kept.matches("<details").count().saturating_sub(kept.matches("</details>").count());
    let fence = if fences % 2 == 1 { "\n```" } else { "" };
    format!("{kept}{fence}{}{NOTE}", "\n\n</details>".repeat(open.min(8)))
}

/// Reads an output file as the runner does: `name<<DELIMITER`, lines, the delimiter alone on a line.
#[cfg(test)]
pub(crate) fn read_records(text: &str) -> Vec<(String, String)> {
    let mut lines = text.split('\n');
    let mut read = Vec::new();
    while let Some(head) = lines.next().filter(|line| !line.is_empty()) {
        let (name, delimiter) = head.split_once("<<").expect("a heredoc");
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
        read.push((name.to_owned(), value.join("\n")));
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_colours_hides_or_reverses_an_annotation() {
        let text = "\u{1b}[31mred\u{1b}[0m \u{202e}txt.exe\u{2069} a\u{200b}b \u{1b}]8;;https://x\u{7}link\u{1b}]8;;\u{1b}\\ \u{7}\u{8}é";
        assert_eq!(escape(text), "red txt.exe ab link é");
        assert_eq!(escape("a\tb\r\n100%"), "a\tb%0D%0A100%25");
        assert_eq!(harmless("\u{1b}[1m::error::x"), ": :error::x");
    }

    #[test]
    fn a_value_cannot_forge_another_output() {
        let hostile =
            ["a\nadmin=true", "x\nEOF\nschema=prod", "xtask_\nxtask_0\n", "", "\n\n", "%0A::set-output"];
        for value in hostile {
            let text = record("title", value).expect("an output") + &record("next", "1").expect("an output");
            let expected = [("title".to_owned(), value.to_owned()), ("next".to_owned(), "1".to_owned())];
            assert_eq!(read_records(&text), expected);
        }
        let (first, second) = (record("a", "1").expect("one"), record("a", "1").expect("two"));
        assert_ne!(first, second, "delimiters are never the same");
    }

    #[test]
    fn an_output_that_github_would_refuse_is_an_error() {
        for name in ["", "a b", "a=b", "a\nb", "a<<b"] {
            assert!(record(name, "1").is_err(), "{name:?}");
        }
        assert!(record("a", &"x".repeat(OUTPUT_LIMIT + 1)).is_err());
    }

    #[test]
    fn a_summary_is_cut_between_lines_and_left_whole() {
        assert_eq!(fitting("# a\n\n", 100), "# a\n");
        let long = format!("<details>\n\n```text\n{}", "a line with an é\n".repeat(100_000));
        let cut = fitting(&long, SUMMARY_LIMIT);
        assert!(cut.len() <= SUMMARY_LIMIT && cut.len() > SUMMARY_LIMIT - 512, "{}", cut.len());
        assert!(
            cut.contains("a line with an é\n```\n\n</details>\n\n_Cut here"),
            "{}",
            &cut[cut.len() - 200..]
        );
        assert_eq!(fitting(&long, 10), "", "nothing fits into the remaining room");
    }

    #[test]
    fn an_annotation_ends_where_its_message_ends() {
        let annotation = Annotation {
            level: Level::Error,
            title: "a: b, c",
            message: "100 %\n::add-mask::x",
            file: Some("dbt/models/a,b.sql"),
            line: Some(7),
        };
        let expected = "::error title=a%3A b%2C c,file=dbt/models/a%2Cb.sql,line=7::100 %25%0A::add-mask::x";
        assert_eq!(annotation.to_string(), expected);
    }

    #[test]
    fn every_line_of_a_secret_is_masked() {
        let key = "-----BEGIN KEY-----\nAAAA%\n\n}\n-----END KEY-----\n";
        let lines: Vec<String> = masks(key).collect();
        let expected =
            ["::add-mask::-----BEGIN KEY-----", "::add-mask::AAAA%25", "::add-mask::-----END KEY-----"];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_log_takes_no_command_from_outside() {
        for (text, shown) in [
            ("plain: text", "plain: text"),
            ("::set-output name=a::b", ": :set-output name=a::b"),
            ("  ::stop-commands::x", "  : :stop-commands::x"),
            ("a\n::error::b\r\u{1b}[2J", "a ::error::b "),
            ("say ##[add-mask]x", "say ## [add-mask]x"),
            ("a::b", "a::b"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }
}
