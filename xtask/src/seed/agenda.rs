//! What is still to come: goods on the road and customers about to send something back.
//!
//! A ring of days instead of a growing list: memory depends on how much is under way at a time, not on
//! how long the history is.

/// Nothing is planned further ahead than this many days.
pub(super) const HORIZON_DAYS: u32 = 90;

/// Something that happens to one shelf.
#[derive(Clone, Copy)]
pub(super) struct Event {
    /// Index of the shelf: product after product, warehouse after warehouse.
    pub(super) slot: u32,
    pub(super) quantity: u32,
    pub(super) what: What,
}

#[derive(Clone, Copy)]
pub(super) enum What {
    /// The first stock, from before the data begins or for a launch.
    Opening,
    /// Of a line of a purchase order, or of a part of it.
    Receipt {
        purchase: u64,
    },
    Shipment {
        line: u64,
        channel: u32,
    },
    Return {
        line: u64,
    },
    /// Sent to another shelf, where it arrives after `days`.
    Departure {
        to: u32,
        days: u32,
    },
    Arrival {
        transfer: u64,
    },
    /// Units that are missing or too many, and why.
    Loss(&'static str),
    Gain(&'static str),
}

pub(super) struct Agenda {
    days: Vec<Vec<Event>>,
    today: usize,
}

impl Agenda {
    pub(super) fn new() -> Self {
        Self { days: (0..=HORIZON_DAYS).map(|_| Vec::new()).collect(), today: 0 }
    }

    /// Plan an event for `days` from today: at least 1, at most [`HORIZON_DAYS`].
    pub(super) fn plan(&mut self, days: u32, event: Event) {
        let ahead = days.clamp(1, HORIZON_DAYS) as usize;
        let slot = (self.today + ahead) % self.days.len();
        self.days[slot].push(event);
    }

    /// What was planned for today.
    pub(super) fn today(&self) -> &[Event] {
        &self.days[self.today]
    }

    /// Turn the page.
    pub(super) fn next_day(&mut self) {
        self.days[self.today].clear();
        self.today = (self.today + 1) % self.days.len();
    }
}
