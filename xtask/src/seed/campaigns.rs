//! Promotions: which goods are cheaper today, under which code, and how many more people buy them.
//!
//! A campaign belongs to a calendar week and is drawn from that week's own dice, so what runs on any
//! day is known without remembering the days before.

use super::calendar::Day;
use super::catalogue::Product;
use super::dice::{Dice, Purpose, hash};
use super::words::CATEGORIES;

/// The longest campaign, in weeks.
const MOST_WEEKS: i32 = 2;

pub(super) struct Campaign {
    pub(super) code: String,
    pub(super) discount_percent: u32,
    /// Demand while it runs, as a multiple.
    pub(super) lift: f64,
    /// The category it is about; none is all of them.
    category: Option<u32>,
    /// How many of the goods in question take part.
    share_percent: u32,
    week: i32,
}

impl Campaign {
    /// What runs on `day`, the newest first.
    pub(super) fn running(seed: u64, day: Day) -> Vec<Self> {
        (0..MOST_WEEKS).filter_map(|age| Self::begun(seed, day.week() - age, age)).collect()
    }

    /// The campaign that began in `week` and still runs `age` weeks later.
    fn begun(seed: u64, week: i32, age: i32) -> Option<Self> {
        let monday = Day::monday(week);
        let mut dice = Dice::new(seed, Purpose::Campaign, monday.key());
        let day_of_year = monday.day_of_year();
        let year = monday.date().year().rem_euclid(100);
        // The week with the fourth Friday of November.
        if (320..=328).contains(&day_of_year) && monday.plus(4).date().day() >= 22 {
            let code = format!("BLACKWEEK{year:02}");
            return (age == 0).then_some(Self::new(code, 30, None, 35, week));
        }
        let runs = dice.chance(0.42) && age < i32::from(dice.chance(0.4)) + 1;
        let discount = *dice.pick(&[10, 15, 20, 25]);
        let category = dice.below(u32::try_from(CATEGORIES.len()).unwrap_or(1));
        let code = format!("{}{year:02}W{:02}", season(day_of_year), (day_of_year + 6) / 7);
        runs.then(|| Self::new(code, discount, Some(category), 60, week))
    }

    fn new(code: String, discount: u32, category: Option<u32>, share_percent: u32, week: i32) -> Self {
        let lift = 1.4 + f64::from(discount) * 0.06;
        Self { code, discount_percent: discount, lift, category, share_percent, week }
    }

    /// Whether product number `index` takes part.
    pub(super) fn covers(&self, index: u32, product: &Product) -> bool {
        let lot = hash(u64::from(index) << 32 | Day::monday(self.week).key());
        self.category.is_none_or(|category| category == product.category) && lot % 100 < self.share_percent
    }
}

fn season(day_of_year: i16) -> &'static str {
    match day_of_year {
        60..152 => "SPRING",
        152..244 => "SUMMER",
        244..335 => "AUTUMN",
        _ => "WINTER",
    }
}
