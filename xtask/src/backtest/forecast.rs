//! The forecast of every day from the days before it: what `forecast_history` computes in SQL.
//!
//! The model's running sums of weights are recursions here. A test compares both.

use std::collections::VecDeque;

use super::records::Records;
use super::settings::Settings;

/// Days of a product that teach, and test nothing.
const LEARNING_DAYS: i32 = 28;
/// Same weekdays after which a warehouse has a weekly pattern.
const PATTERN_WEEKS: i32 = 4;
const WEEK: usize = 7;

/// How demand is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// By demand class, as `forecast_history`.
    ByClass,
    /// The mean of the demand window, and its deviation.
    MovingAverage,
}

/// What is known of a shelf's demand at the end of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outlook {
    pub(super) daily_units: f64,
    /// Pooled over the warehouses of the product; unknown before the second day.
    pub(super) error_stddev: Option<f64>,
}

/// The forecasts of a data set: for each shelf its first day and one outlook per day.
pub(super) struct Forecasts {
    pub(super) shelves: Vec<Option<ShelfForecasts>>,
}

pub(super) struct ShelfForecasts {
    pub(super) first: i32,
    pub(super) outlooks: Vec<Outlook>,
}

impl ShelfForecasts {
    pub(super) fn on(&self, day: i32) -> Option<Outlook> {
        let place = usize::try_from(day - self.first).ok()?;
        self.outlooks.get(place).copied()
    }
}

impl Forecasts {
    pub(super) fn new(records: &Records, settings: &Settings, method: Method) -> Self {
        let first_days = first_days(records);
        let demand = daily_demand(records, &first_days);
        let patterns: Vec<Pattern> = (0..records.warehouses.len())
            .map(|warehouse| Pattern::of_warehouse(records, warehouse, &first_days, &demand))
            .collect();
        let mut shelves: Vec<Option<ShelfForecasts>> = first_days
            .iter()
            .zip(&demand)
            .enumerate()
            .map(|(shelf, (first, units))| {
                let first = (*first)?;
                let outlooks = match method {
                    Method::ByClass => by_class(settings, &patterns[records.warehouse(shelf)], first, units),
                    Method::MovingAverage => moving_average(settings, units),
                };
                Some(ShelfForecasts { first, outlooks })
            })
            .collect();
        for product in shelves.chunks_mut(records.warehouses.len().max(1)) {
            (0..=records.last).for_each(|day| pool(product, day));
        }
        Self { shelves }
    }
}

/// The forecast error of each warehouse from the ratio of variance to mean of the product in all of them: one warehouse
/// alone has too few orders to know its variance.
fn pool(product: &mut [Option<ShelfForecasts>], day: i32) {
    let known = |outlook: Outlook| Some((outlook.daily_units, outlook.error_stddev?));
    let (means, variances) = product
        .iter()
        .filter_map(|shelf| known(shelf.as_ref()?.on(day)?))
        .fold((0.0, 0.0), |(means, variances), (mean, error)| (means + mean, variances + error * error));
    if means <= 0.0 {
        return;
    }
    for shelf in product.iter_mut().flatten() {
        let place = usize::try_from(day - shelf.first).ok();
        if let Some(outlook) = place.and_then(|place| shelf.outlooks.get_mut(place)) {
            let pooled = (outlook.daily_units * variances / means).sqrt();
            outlook.error_stddev = outlook.error_stddev.map(|_| rounded(pooled, 4));
        }
    }
}

/// The day of the first movement or order of each shelf.
fn first_days(records: &Records) -> Vec<Option<i32>> {
    let mut days: Vec<Option<i32>> = vec![None; records.shelves()];
    let active = records.movements.iter().map(|movement| (movement.shelf, movement.day));
    for (shelf, day) in active.chain(records.lines.iter().map(|line| (line.shelf, line.day))) {
        if day <= records.last {
            days[shelf] = Some(days[shelf].map_or(day, |known| known.min(day)));
        }
    }
    days
}

/// Units ordered on each day from a shelf's first day on.
fn daily_demand(records: &Records, first_days: &[Option<i32>]) -> Vec<Vec<f64>> {
    let days = |first: i32| usize::try_from(records.last - first + 1).unwrap_or(0);
    let mut demand: Vec<Vec<f64>> = first_days.iter().map(|first| vec![0.0; first.map_or(0, days)]).collect();
    for line in records.lines.iter().filter(|line| line.day <= records.last) {
        let place = first_days[line.shelf].and_then(|first| usize::try_from(line.day - first).ok());
        if let Some(units) = place.and_then(|place| demand[line.shelf].get_mut(place)) {
            *units += float(line.units);
        }
    }
    demand
}

/// How a warehouse's demand of each day compares with the mean day, by weekday.
struct Pattern {
    first: i32,
    indices: Vec<f64>,
}

impl Pattern {
    fn of_warehouse(
        records: &Records,
        warehouse: usize,
        first_days: &[Option<i32>],
        demand: &[Vec<f64>],
    ) -> Self {
        let shelves: Vec<usize> =
            (0..records.shelves()).filter(|&shelf| records.warehouse(shelf) == warehouse).collect();
        let first = shelves.iter().filter_map(|&shelf| first_days[shelf]).min().unwrap_or(records.last + 1);
        let mut totals = vec![0.0; usize::try_from(records.last - first + 1).unwrap_or(0)];
        for &shelf in &shelves {
            let Some(begin) = first_days[shelf] else { continue };
            let offset = usize::try_from(begin - first).unwrap_or(0);
            for (total, units) in totals[offset..].iter_mut().zip(&demand[shelf]) {
                *total += units;
            }
        }
        let (mut sums, mut counts) = ([0.0; WEEK], [0; WEEK]);
        let indices = (first..)
            .zip(&totals)
            .map(|(day, total)| {
                let weekday = records.weekday(day);
                sums[weekday] += total;
                counts[weekday] += 1;
                let weekday_mean = sums[weekday] / f64::from(counts[weekday]);
                let day_mean = sums.iter().sum::<f64>() / f64::from(counts.iter().sum::<i32>());
                if counts[weekday] >= PATTERN_WEEKS && weekday_mean > 0.0 {
                    weekday_mean / day_mean
                } else {
                    1.0
                }
            })
            .collect();
        Self { first, indices }
    }

    fn on(&self, day: i32) -> f64 {
        usize::try_from(day - self.first)
            .ok()
            .and_then(|place| self.indices.get(place))
            .copied()
            .unwrap_or(1.0)
    }

    /// The day after has the weekday of six days ago.
    fn on_the_day_after(&self, day: i32) -> f64 {
        self.on(day - 6)
    }
}

/// Exponential smoothing as a quotient of two sums.
#[derive(Clone, Copy, Default)]
struct Smoothed {
    sum: f64,
    weight: f64,
}

impl Smoothed {
    fn take(&mut self, keep: f64, value: f64, weight: f64) {
        self.sum = self.sum * keep + value;
        self.weight = self.weight * keep + weight;
    }

    fn mean(self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }
}

/// A day of the demand window.
#[derive(Clone, Copy)]
struct Recent {
    units: f64,
    error: Option<f64>,
}

fn by_class(settings: &Settings, pattern: &Pattern, first: i32, demand: &[f64]) -> Vec<Outlook> {
    let keep = 1.0 - settings.smoothing;
    let (mut level, mut probability, mut size, mut interval) =
        (Smoothed::default(), Smoothed::default(), Smoothed::default(), Smoothed::default());
    let mut recent: VecDeque<Recent> = VecDeque::new();
    let mut previous: Option<f64> = None;
    let mut last_demand = 0;
    let mut outlooks = Vec::with_capacity(demand.len());
    for (number, &units) in (1..).zip(demand) {
        let day = first + number - 1;
        level.take(keep, units, pattern.on(day));
        probability.take(keep, f64::from(u8::from(units > 0.0)), 1.0);
        if units > 0.0 {
            size.take(keep, units, 1.0);
            interval.take(keep, f64::from(number - last_demand), 1.0);
            last_demand = number;
        }
        let error = previous.map(|forecast| units - forecast).filter(|_| number > LEARNING_DAYS);
        if recent.len() == settings.demand_window_days {
            recent.pop_front();
        }
        recent.push_back(Recent { units, error });
        let (rate, index) = match class(&recent) {
            Class::None => (0.0, 1.0),
            Class::Even => (level.mean(), pattern.on_the_day_after(day)),
            Class::Intermittent => ((1.0 - settings.smoothing / 2.0) * size.mean() / interval.mean(), 1.0),
            Class::Lumpy => (probability.mean() * size.mean(), 1.0),
        };
        previous = Some(rate * index);
        let error_stddev = error_stddev(&recent).map(|error| rounded(error, 4));
        outlooks.push(Outlook { daily_units: rounded(rate, 4), error_stddev });
    }
    outlooks
}

enum Class {
    None,
    /// Smooth or erratic.
    Even,
    Intermittent,
    Lumpy,
}

fn class(recent: &VecDeque<Recent>) -> Class {
    let demands = count(recent.iter().filter(|day| day.units > 0.0).count());
    if demands == 0.0 {
        return Class::None;
    }
    let (units, squares) = sums(recent.iter().map(|day| day.units));
    let interval = count(recent.len()) / demands;
    if interval < 1.32 {
        Class::Even
    } else if squares * demands / (units * units) - 1.0 < 0.49 {
        Class::Intermittent
    } else {
        Class::Lumpy
    }
}

/// With too few errors the spread of demand itself is what is known.
fn error_stddev(recent: &VecDeque<Recent>) -> Option<f64> {
    let errors = recent.iter().filter_map(|day| day.error);
    let known = errors.clone().count();
    if known >= 28 {
        return Some((sums(errors).1 / count(known)).sqrt());
    }
    let days = count(recent.len());
    let (units, squares) = sums(recent.iter().map(|day| day.units));
    (days > 1.0).then(|| ((days * squares - units * units).max(0.0) / (days * (days - 1.0))).sqrt())
}

fn moving_average(settings: &Settings, demand: &[f64]) -> Vec<Outlook> {
    let outlook = |end: usize| {
        let window = &demand[(end + 1).saturating_sub(settings.demand_window_days)..=end];
        let days = count(window.len());
        let (units, squares) = sums(window.iter().copied());
        let deviation =
            (days > 1.0).then(|| ((days * squares - units * units).max(0.0) / (days * (days - 1.0))).sqrt());
        Outlook {
            daily_units: rounded(units / days, 4),
            error_stddev: deviation.map(|error| rounded(error, 4)),
        }
    };
    (0..demand.len()).map(outlook).collect()
}

/// The sum and the sum of squares.
fn sums(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((0.0, 0.0), |(sum, squares), value| (sum + value, squares + value * value))
}

/// To a number of decimals, half away from zero, as SQL rounds.
pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

#[expect(clippy::cast_precision_loss, reason = "counts of days and units are far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts of days and units are far below 2^52")]
pub(super) fn float(number: i64) -> f64 {
    number as f64
}
