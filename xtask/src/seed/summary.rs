//! What is printed when the files are in place: how much, how fast, and what to do next.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::csv_out::Size;
use super::options::Spec;
use super::staging::{FILE_COUNT, FILES};
use crate::system::console::{self, Align, grouped, shell_word};

pub(super) struct Summary<'a> {
    pub(super) spec: &'a Spec,
    pub(super) out: &'a Path,
    /// Whether the files went elsewhere than to the dbt project.
    pub(super) own_folder: bool,
}

impl Summary<'_> {
    pub(super) fn text(&self, sizes: &[Size; FILE_COUNT], took: Duration) -> String {
        let rows: u64 = sizes.iter().map(|size| size.rows).sum();
        let bytes: u64 = sizes.iter().map(|size| size.bytes).sum();
        let spec = self.spec;
        let mut text = format!(
            "{} to {}: {} products in {} warehouses, {} orders per day, world {}, seed {}\n\n",
            spec.first,
            spec.last,
            spec.products,
            spec.warehouses,
            spec.orders_per_day,
            spec.world.label(),
            spec.seed
        );
        let files = FILES.into_iter().zip(sizes).map(|(name, size)| (name, size.rows, size.bytes));
        let lines: Vec<Vec<String>> = files
            .chain([("total", rows, bytes)])
            .map(|(name, rows, bytes)| vec![name.to_owned(), grouped(rows), grouped(bytes)])
            .collect();
        let table =
            console::table(&["file", "rows", "bytes"], &[Align::Left, Align::Right, Align::Right], &lines);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{table}");
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

/// This process's peak memory, in MiB, if the system reports it (Linux).
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
