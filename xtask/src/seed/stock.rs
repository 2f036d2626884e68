//! What a warehouse knows about one product, and when its buyer orders more.
//!
//! The policy is the textbook's (R, s, S): once a week, where stock on hand and on order does not cover
//! the demand expected until an order of next week would arrive plus a safety stock, order up to a level,
//! in whole packs. Estimates lag behind seasons and fashions and suppliers are late, so it runs out at
//! times, as real ones do.

use super::calendar::Day;
use super::catalogue::{Product, Supplier};
use super::dice::{Dice, whole};
use super::world::World;

/// Days between two looks at the same shelf.
const REVIEW_DAYS: f64 = 7.0;
/// Standard deviations of demand during the lead time that safety stock covers.
const SAFETY: f64 = 1.6;
/// Days of demand that an order adds on top of the reorder point.
const COVER_DAYS: f64 = 28.0;
/// Weight of today in the moving averages: about the last two months count.
const MEMORY: f64 = 0.035;

/// One product in one warehouse.
#[derive(Clone, Copy, Default)]
pub(super) struct Shelf {
    pub(super) on_hand: u32,
    /// On its way here, from a supplier or from another warehouse.
    pub(super) on_order: u32,
    /// Units ordered by customers today, shipped or not.
    pub(super) asked: u32,
    /// Estimated units a day, and their variance.
    mean: f64,
    variance: f64,
}

impl Shelf {
    /// An empty shelf whose buyer expects `mean` units a day, in lots of about `lot` units.
    pub(super) fn expecting(mean: f64, lot: f64) -> Self {
        Self { mean, variance: mean * lot, ..Self::default() }
    }

    /// Take today's demand into the estimates.
    #[inline]
    pub(super) fn close_day(&mut self) {
        let surprise = f64::from(self.asked) - self.mean;
        self.mean += MEMORY * surprise;
        self.variance = (1.0 - MEMORY) * (self.variance + MEMORY * surprise * surprise);
        self.asked = 0;
    }

    /// Units to open a shop with: somewhere between the two levels, and now and then a buyer's mistake.
    pub(super) fn opening(
        &self,
        product: &Product,
        supplier: &Supplier,
        outlook: f64,
        dice: &mut Dice,
    ) -> u32 {
        let wanted = self.reorder_point(supplier) + self.mean * COVER_DAYS * dice.unit();
        let mistake = if dice.chance(0.06) { 4.0 } else { 1.0 };
        in_packs(wanted * outlook * mistake, product)
    }

    /// Units to order from the supplier today, 0 for none. `outlook` is how much better than today the
    /// season will be when they arrive. What sells less than once in three months is not ordered again.
    pub(super) fn wanted(&self, product: &Product, supplier: &Supplier, outlook: f64) -> u32 {
        let position = f64::from(self.on_hand + self.on_order);
        let point = self.reorder_point(supplier) * outlook;
        if position >= point || self.mean * 90.0 < 1.0 {
            return 0;
        }
        in_packs(point + self.mean * outlook * COVER_DAYS - position, product).max(product.minimum_order())
    }

    /// Units to ask another warehouse for, when this one is about to run dry.
    pub(super) fn need(&self) -> u32 {
        if f64::from(self.on_hand) > self.mean * 3.0 {
            return 0;
        }
        whole(self.mean * 14.0 + 0.5).saturating_sub(self.on_hand)
    }

    /// Units another warehouse may have: what lasts longer than two months here.
    pub(super) fn surplus(&self) -> u32 {
        self.on_hand.saturating_sub(whole(self.mean * 60.0))
    }

    fn reorder_point(&self, supplier: &Supplier) -> f64 {
        let lead = f64::from(supplier.lead_days) + REVIEW_DAYS;
        let deviation = f64::from(supplier.deviation_hundredths) / 100.0;
        let spread = lead * self.variance + self.mean * self.mean * deviation * deviation;
        self.mean * lead + SAFETY * libm::sqrt(spread)
    }
}

/// Days until an order placed today arrives: at least 1, at most `longest`.
pub(super) fn lead_time(supplier: &Supplier, world: World, today: Day, longest: u32, dice: &mut Dice) -> u32 {
    let deviation = f64::from(supplier.deviation_hundredths) / 100.0;
    let usual = f64::from(supplier.lead_days) + deviation * dice.normal() + 0.5;
    let late = if dice.chance(world.late_chance()) { dice.between(6, 18) } else { 0 };
    let strike = if supplier.on_strike_from.is_some_and(|from| today >= from) { 35 } else { 0 };
    (whole(usual) + late + strike).clamp(1, longest)
}

/// At least one pack, and whole ones only.
fn in_packs(units: f64, product: &Product) -> u32 {
    whole(units + 0.999).div_ceil(product.pack_size).max(1) * product.pack_size
}
