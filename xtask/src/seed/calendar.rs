//! Days as numbers, so that "three days later" and "which weekday" are integer arithmetic.
//!
//! The generator steps through days millions of times in the benchmark sizes; `jiff` is asked only where
//! text or a month is involved.

use std::fmt;

use jiff::ToSpan as _;
use jiff::civil::Date;

/// Days since 1970-01-01, a Thursday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(i32);

const EPOCH: Date = Date::constant(1970, 1, 1);

impl Day {
    pub(crate) fn of(date: Date) -> Self {
        // Civil dates are whole days apart, and jiff's years end at 9999: 3 million days at most.
        Self(EPOCH.until(date).map_or(0, |span| span.get_days()))
    }

    pub(crate) fn date(self) -> Date {
        EPOCH.checked_add(self.0.days()).unwrap_or(EPOCH)
    }

    pub(crate) fn plus(self, days: i32) -> Self {
        Self(self.0 + days)
    }

    /// Days from `earlier` to this day; negative when `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> i32 {
        self.0 - earlier.0
    }

    /// 0 is Monday.
    pub(crate) fn weekday(self) -> usize {
        usize::try_from((self.0 + 3).rem_euclid(7)).unwrap_or(0)
    }

    /// Weeks since the Monday before 1970-01-01: the same number for all days of a calendar week.
    pub(crate) fn week(self) -> i32 {
        (self.0 + 3).div_euclid(7)
    }

    /// The Monday of `week`.
    pub(crate) fn monday(week: i32) -> Self {
        Self(week * 7 - 3)
    }

    /// A number that random draws of this day can be keyed on.
    pub(crate) fn key(self) -> u64 {
        u64::from(self.0.cast_unsigned())
    }

    /// 1 to 366.
    pub(crate) fn day_of_year(self) -> i16 {
        self.date().day_of_year()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::of(text.parse().expect("a date"))
    }

    #[test]
    fn weekdays_and_weeks_agree_with_the_calendar() {
        assert_eq!(day("1970-01-01").weekday(), 3);
        assert_eq!(day("2026-10-31").weekday(), 5);
        assert_eq!(Day::monday(day("2026-10-31").week()).to_string(), "2026-10-26");
        assert_eq!(day("2026-11-01").week() + 1, day("2026-11-02").week());
    }

    #[test]
    fn steps_cross_leap_days() {
        assert_eq!(day("2024-02-28").plus(2).to_string(), "2024-03-01");
        assert_eq!(day("2024-03-01").since(day("2023-03-01")), 366);
        assert_eq!(day("2024-12-31").day_of_year(), 366);
    }
}
