//! The only source of chance, the same on every machine.
//!
//! Xoshiro256++ seeded through `SplitMix64`, both as published by Blackman and Vigna, so the stream of
//! numbers is fixed by the algorithm and not by a crate's version. The distributions are written out here
//! for the same reason. Whole-number arithmetic and IEEE's exact `+ - * /` give the same result on any
//! CPU; the few transcendental functions come from the `libm` crate, because std asks the platform's C
//! library, whose last digit differs between systems.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

/// What a draw is for. Each purpose and each index has its own stream: a longer history or one product
/// more moves no other draw.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Catalogue = 1,
    Supplier,
    Product,
    Warehouse,
    Campaign,
    Surge,
    Orders,
    Operations,
    Opening,
    Purchasing,
    Terms,
    Backtest,
}

pub(crate) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub(crate) fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let key = scramble(scramble(scramble(seed) ^ purpose as u64) ^ index);
        Self(Xoshiro256PlusPlus::seed_from_u64(key))
    }

    /// 0 to `end` - 1; 0 when `end` is 0. Lemire's multiply and shift, without his rejection step: the
    /// bias is below `end` / 2^32.
    #[inline]
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        let wide = u64::from(self.0.next_u32()) * u64::from(end);
        high_half(wide)
    }

    /// `low` to `high`, both included.
    #[inline]
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// At least 0, below 1, on a grid of 2^-32: plenty here, and exact in an `f64`.
    #[inline]
    pub(super) fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / 4_294_967_296.0
    }

    #[inline]
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    #[inline]
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let count = u32::try_from(from.len()).unwrap_or(u32::MAX);
        &from[self.below(count) as usize]
    }

    /// How often in a row `probability` came true, up to `most`.
    #[inline]
    pub(super) fn streak(&mut self, probability: f64, most: u32) -> u32 {
        let mut count = 0;
        while count < most && self.chance(probability) {
            count += 1;
        }
        count
    }

    /// Mean 0, deviation 1. The sum of twelve uniform draws (Irwin and Hall) has no transcendental
    /// function in it; that its tails end at 6 is a feature for lead times.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// A count with this mean. Knuth's product for small means; above 30 the normal approximation,
    /// which is then within the noise and takes the same time for any mean.
    pub(super) fn poisson(&mut self, mean: f64) -> u32 {
        if mean > 30.0 {
            return whole(mean + libm::sqrt(mean) * self.normal() + 0.5);
        }
        let limit = libm::exp(-mean);
        let mut product = self.unit();
        let mut count = 0;
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

/// A wheel of fortune: slot `i` comes up in proportion to its weight.
#[derive(Default)]
pub(super) struct Wheel {
    ends: Vec<u32>,
    total: u32,
}

impl Wheel {
    /// Set new weights, reusing the memory. Weights become whole numbers that add up to less than
    /// 2^32, so that a draw compares integers.
    pub(super) fn set(&mut self, weights: &[f64]) {
        let sum: f64 = weights.iter().sum();
        let scale = if sum > 0.0 { 4_000_000_000.0 / sum } else { 0.0 };
        self.total = 0;
        self.ends.clear();
        self.ends.extend(weights.iter().map(|weight| {
            self.total = self.total.saturating_add(whole(weight * scale));
            self.total
        }));
    }

    #[inline]
    pub(super) fn spin(&self, dice: &mut Dice) -> u32 {
        self.at(dice.below(self.total))
    }

    /// The slot at `share` of 2^32 around the wheel: a fixed share always gives the same slot.
    pub(super) fn at_share(&self, share: u32) -> u32 {
        self.at(high_half(u64::from(share) * u64::from(self.total)))
    }

    #[inline]
    fn at(&self, position: u32) -> u32 {
        let slot = self.ends.partition_point(|&end| end <= position);
        u32::try_from(slot.min(self.ends.len().saturating_sub(1))).unwrap_or(0)
    }
}

/// Number `index` of an endless sequence that fills 0 to 1 evenly however early it is cut (multiples of
/// the golden ratio): a catalogue of 20 products gets its share of every kind, like one of 2,000.
pub(super) fn even_spread(index: u32, offset: f64) -> f64 {
    (f64::from(even_share(index)) / 4_294_967_296.0 + offset) % 1.0
}

/// The same sequence as shares of 2^32.
pub(super) fn even_share(index: u32) -> u32 {
    high_half(u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// A well mixed share of 2^32 for `index`.
pub(super) fn hash(index: u64) -> u32 {
    high_half(scramble(index))
}

/// The whole part of a number that is at least 0; anything below gives 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, as promised")]
#[inline]
pub(super) fn whole(value: f64) -> u32 {
    value as u32
}

#[inline]
fn high_half(value: u64) -> u32 {
    (value >> 32) as u32
}

/// The output function of `SplitMix64`: every bit of the input moves every bit of the result.
fn scramble(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_of(mut draw: impl FnMut() -> f64) -> f64 {
        (0..20_000).map(|_| draw()).sum::<f64>() / 20_000.0
    }

    #[test]
    fn the_algorithm_is_the_published_one() {
        // SplitMix64's first output for seed 0, from the reference implementation.
        assert_eq!(scramble(0), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn means_are_as_asked() {
        let mut dice = Dice::new(1, Purpose::Catalogue, 0);
        for mean in [0.2, 3.0, 29.0, 400.0] {
            let measured = mean_of(|| f64::from(dice.poisson(mean)));
            assert!((measured / mean - 1.0).abs() < 0.03, "poisson {mean}: {measured}");
        }
        assert!(mean_of(|| dice.normal()).abs() < 0.03);
        assert!((mean_of(|| f64::from(dice.between(3, 5))) - 4.0).abs() < 0.03);
    }

    #[test]
    fn a_wheel_turns_up_slots_by_weight_and_never_an_empty_one() {
        let mut wheel = Wheel::default();
        wheel.set(&[0.0, 1.0, 0.0, 3.0]);
        let mut dice = Dice::new(1, Purpose::Catalogue, 0);
        let mut seen = [0.0; 4];
        for _ in 0..20_000 {
            seen[wheel.spin(&mut dice) as usize] += 1.0;
        }
        assert!(seen[0] == 0.0 && seen[2] == 0.0, "{seen:?}");
        assert!((seen[3] / seen[1] - 3.0_f64).abs() < 0.2, "{seen:?}");
    }
}
