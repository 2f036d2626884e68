//! The time, always in UTC: what is written on one machine is read on another. Asking for the local time zone
//! would also read the system's list of time zones, which takes longer than scanning a file.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Now, to the microsecond: what the ledger's columns hold.
pub(crate) fn now() -> DateTime {
    utc(Timestamp::now())
}

/// The date against which an entry that expires is checked.
pub(crate) fn today() -> Date {
    now().date()
}

pub(crate) fn utc(instant: Timestamp) -> DateTime {
    let whole = Timestamp::from_microsecond(instant.as_microsecond()).unwrap_or(instant);
    whole.to_zoned(TimeZone::UTC).datetime()
}
