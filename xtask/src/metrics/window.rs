//! The time that a report is about, in whole UTC days. Pure.

use anyhow::{Context as _, Result};
use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};

use super::model::Window;

impl Window {
    /// `days` UTC days up to `end`, the day of `end` included: it begins at a midnight.
    pub(super) fn ending(end: DateTime, days: u32) -> Result<Self> {
        // A window that ends at midnight does not touch the day that begins then.
        let last = end.checked_sub(1.nanosecond()).context("the window ends before time begins")?.date();
        let first = last.checked_sub((i64::from(days) - 1).days());
        let start = first.context("the window begins before time begins")?.to_datetime(midnight());
        Ok(Self { start, end, days })
    }

    /// The window before, as long and as far into its last day, so that the two can be compared.
    pub(super) fn previous(self) -> Result<Self> {
        let back = |time: DateTime| {
            time.checked_sub(i64::from(self.days).days())
                .context("the window before begins before time begins")
        };
        Ok(Self { start: back(self.start)?, end: back(self.end)?, days: self.days })
    }

    /// The UTC days that it touches, in order.
    pub(super) fn dates(self) -> impl Iterator<Item = Date> {
        self.start.date().series(1.day()).take(self.days as usize)
    }

    /// The day that figures of this window are stored under: its last one.
    pub(super) fn as_of(self) -> Date {
        self.dates().last().unwrap_or_else(|| self.start.date())
    }
}

fn midnight() -> jiff::civil::Time {
    jiff::civil::Time::midnight()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(end: &str, days: u32) -> Window {
        Window::ending(end.parse().expect("a time"), days).expect("a window")
    }

    #[test]
    fn a_window_begins_at_midnight_and_touches_its_days() {
        for (end, days, start, as_of) in [
            ("2026-03-08T12:30:00", 7, "2026-03-02T00:00:00", "2026-03-08"),
            ("2026-03-08T00:00:00", 7, "2026-03-01T00:00:00", "2026-03-07"),
            ("2026-03-08T00:00:00.000001", 1, "2026-03-08T00:00:00", "2026-03-08"),
            ("2024-03-01T00:00:00", 1, "2024-02-29T00:00:00", "2024-02-29"),
        ] {
            let window = window(end, days);
            assert_eq!(window.start.to_string(), start);
            assert_eq!(window.as_of().to_string(), as_of);
            assert_eq!(window.dates().count(), days as usize);
        }
    }

    #[test]
    fn the_window_before_is_as_long() {
        let now = window("2026-03-08T12:30:00", 7);
        let before = now.previous().expect("a window");
        assert_eq!(before.start.to_string(), "2026-02-23T00:00:00");
        assert_eq!(before.end.to_string(), "2026-03-01T12:30:00");
    }
}
