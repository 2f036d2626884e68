//! What is printed when the files are in place: how much, how fast, and what to do next.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::csv_out::Size;
use super::options::Spec;
use super::staging::FILES;

pub(super) struct Summary<'a> {
    pub(super) spec: &'a Spec,
    pub(super) out: &'a Path,
    /// Whether the files went elsewhere than to the dbt project.
    pub(super) own_folder: bool,
}

impl Summary<'_> {
    pub(super) fn print(&self, sizes: &[Size; 5], took: Duration) {
        // A reader that closed the pipe has seen what it wanted, and the data is written.
        drop(std::io::stdout().lock().write_all(self.text(sizes, took).as_bytes()));
    }

    fn text(&self, sizes: &[Size; 5], took: Duration) -> String {
        let rows: u64 = sizes.iter().map(|size| size.rows).sum();
        let bytes: u64 = sizes.iter().map(|size| size.bytes).sum();
        let spec = self.spec;
        let mut text = format!(
            "{} to {}: {} products in {} warehouses, {} orders a day, seed {}\n\n",
            spec.first, spec.last, spec.products, spec.warehouses, spec.orders_per_day, spec.seed
        );
        let all = [("file", "rows".to_owned(), "bytes".to_owned())]
            .into_iter()
            .chain(
                FILES
                    .into_iter()
                    .zip(sizes)
                    .map(|(name, size)| (name, grouped(size.rows), grouped(size.bytes))),
            )
            .chain([("total", grouped(rows), grouped(bytes))]);
        for (name, rows, bytes) in all {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:<28}{rows:>15}{bytes:>18}");
        }
        let seconds = took.as_secs_f64().max(0.001);
        let a_second = super::dice::whole(float(rows) / seconds);
        let memory = peak_memory_mib().map(|mib| format!(", {mib} MiB of memory")).unwrap_or_default();
        let _ = writeln!(text, "\n{seconds:.2} s, {} rows a second{memory}", grouped(u64::from(a_second)));
        let _ = writeln!(text, "Wrote {}", self.out.display());
        let _ = writeln!(text, "Next: cargo xtask elt --schema issue_42{}", self.seeds_option());
        text
    }

    fn seeds_option(&self) -> String {
        if self.own_folder {
            format!(" --seeds {}", shell_word(&self.out.to_string_lossy()))
        } else {
            String::new()
        }
    }
}

/// 1234567 as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `text` such that a shell takes it as one word, so that the printed command can be pasted.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+@:".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The most memory this process ever held, in MiB, where the system tells (Linux).
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib.div_ceil(1024))
}

#[expect(clippy::cast_precision_loss, reason = "a rate is shown, not computed with")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(shell_word("/tmp/a-b_c"), "/tmp/a-b_c");
        assert_eq!(shell_word("it's here"), r"'it'\''s here'");
    }
}
