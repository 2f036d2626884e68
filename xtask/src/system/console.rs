//! The output of a command: data on stdout; on stderr log lines, errors and live progress, never interleaved
//! within a line.
//!
//! Data goes to stdout, complete and last; everything else is for users, so it can be reduced (`-q`) or
//! extended (`-v`) without changing what a program reads.

use std::io::{IsTerminal as _, Write as _};
use std::sync::LazyLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

/// How a command prints its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Readable text.
    #[default]
    Human,
    /// For programs; field names are stable.
    Json,
}

/// One set of bars for the process: log lines are written above whatever bar is showing.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Verbosity {
    /// Print more on stderr (-vv for everything).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Print only warnings and errors on stderr.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

impl Verbosity {
    fn level(self) -> Level {
        match (self.quiet, self.verbose) {
            (true, _) => Level::WARN,
            (false, 0) => Level::INFO,
            (false, 1) => Level::DEBUG,
            (false, _) => Level::TRACE,
        }
    }
}

/// Send `tracing` to stderr, plain if it is not a terminal or `NO_COLOR` is set.
pub(crate) fn init(verbosity: Verbosity) {
    tracing_subscriber::fmt()
        .with_max_level(verbosity.level())
        .with_writer(AboveBars)
        .with_ansi(colour())
        .with_target(false)
        .without_time()
        .with_level(verbosity.verbose > 0)
        .init();
    if verbosity.quiet {
        BARS.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
}

/// Print an error with its causes. Not through `tracing`: an error is printed even with `-q`.
pub(crate) fn error(error: &anyhow::Error) {
    let label = if colour() { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
    let mut text = format!("{label}: {error}");
    for cause in error.chain().skip(1) {
        text.push_str("\n  because: ");
        text.push_str(&cause.to_string().replace('\n', "\n           "));
    }
    line(&text);
}

/// Write one line to stderr, above any bar. A closed stderr is not an error.
pub(crate) fn line(text: &str) {
    BARS.suspend(|| {
        drop(writeln!(std::io::stderr().lock(), "{text}"));
    });
}

/// Print data to stdout. A closed pipe is not an error: the reader has read what it needs.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The same of a record as JSON.
pub(crate) fn print_json<T: serde::Serialize>(record: &T) -> anyhow::Result<()> {
    Ok(print(&serde_json::to_string_pretty(record)?)?)
}

/// Whether stderr is a terminal outside CI: only then is a line redrawn in place.
pub(crate) fn is_live() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("CI").is_none()
}

fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A bar that counts to `total`; it draws nothing if stderr is not live.
pub(crate) fn bar(total: u64, template: &str) -> ProgressBar {
    started(ProgressBar::new(total), template)
}

/// A spinner for work of unknown length.
pub(crate) fn spinner(message: &str) -> ProgressBar {
    started(ProgressBar::new_spinner(), "{spinner} {msg} {elapsed:.dim}").with_message(message.to_owned())
}

fn started(bar: ProgressBar, template: &str) -> ProgressBar {
    if !is_live() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        return bar;
    }
    let bar = BARS.add(bar);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// The writer of `tracing`: each event is one call, so one suspension of the bars.
struct AboveBars;

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

/// A closed or full stderr is not an error: `tracing` would report it to stderr, and panic as that fails too.
impl std::io::Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        BARS.suspend(|| drop(std::io::stderr().lock().write_all(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        drop(std::io::stderr().lock().flush());
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table in columns, as wide as their content. Control characters in cells show as spaces, so that text
/// from outside cannot move the cursor or break a row.
pub(crate) fn table(header: &[&str], aligns: &[Align], rows: &[Vec<String>]) -> String {
    let clean = |cell: &str| cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let header = header.iter().map(|cell| clean(cell)).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let all = || std::iter::once(&header).chain(&rows);
    let widths: Vec<usize> = (0..header.len())
        .map(|i| all().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).zip(aligns).map(|((cell, &width), align)| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect::<Vec<_>>().join("\n")
}

/// A whole number with its thousands set apart: `1,234,567`.
pub(crate) fn grouped(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// `word` as a POSIX shell reads it back; for showing only, nothing here is run by a shell.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0_i64, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn text_from_outside_cannot_break_a_row() {
        let rows = vec![vec!["a\n\u{1b}[2J".to_owned(), "7".to_owned()]];
        let text = table(&["name", "rows"], &[Align::Left, Align::Right], &rows);
        assert_eq!(text, "name    rows\na  [2J     7");
    }

    #[test]
    fn what_is_shown_can_be_pasted() {
        for (word, shown) in [("a_b/c.d", "a_b/c.d"), ("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'")] {
            assert_eq!(shell_word(word), shown);
        }
    }
}
