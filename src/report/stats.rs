//! Figures with intervals: the bootstrap over rounds or over slices of time.
//!
//! *Rounds* (five or more) are independent runs: the figure is the median of the rounds' and its interval the 95 %
//! percentile bootstrap of that median, which for five rounds is their whole range. *Slices* are stretches of one run:
//! the figure is that of the whole, its interval a block bootstrap (the slices are the blocks) with the small-sample
//! correction of Hesterberg, "What Teachers Should Know About the Bootstrap", 2015, section 5.2. Randomness comes from a
//! fixed seed, so a report says the same each time. Pure.

use serde::Serialize;

use super::measure::Bucket;

/// Resamples per figure.
const RESAMPLES: usize = 1000;
/// Rounds it takes for an interval over rounds.
pub(super) const ROUNDS_MIN: usize = 5;
/// Slices a run is cut into.
pub(super) const SLICES: usize = 20;
/// Slices it takes for an interval.
const SLICES_MIN: usize = 10;
/// Requests per slice it takes for an interval.
const SLICE_ROWS_MIN: u64 = 20;
/// For 20 blocks: the normal distribution below -2.093 * sqrt(20/19), t's 2.5 % point widened for the bootstrap's bias.
const SLICES_TAIL: f64 = 0.015_9;
/// The same for 10: below -2.262 * sqrt(10/9).
const FEW_SLICES_TAIL: f64 = 0.008_6;
const ROUNDS_TAIL: f64 = 0.025;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Requests a second.
    Throughput,
    /// Mean latency.
    Mean,
    /// Median latency.
    P50,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
}

impl Metric {
    /// All of them, as [`Values`] are ordered.
    pub const ALL: [Metric; 5] = [Metric::Throughput, Metric::Mean, Metric::P50, Metric::P95, Metric::P99];
    /// Those that winners are named for.
    pub const JUDGED: [Metric; 4] = [Metric::Throughput, Metric::Mean, Metric::P95, Metric::P99];

    /// With its unit.
    pub const fn title(self) -> &'static str {
        match self {
            Metric::Throughput => "Throughput, requests/s",
            Metric::Mean => "Mean latency, ms",
            Metric::P50 => "Median latency, ms",
            Metric::P95 => "95th percentile, ms",
            Metric::P99 => "99th percentile, ms",
        }
    }

    /// In a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Metric::Throughput => "throughput",
            Metric::Mean => "mean latency",
            Metric::P50 => "median latency",
            Metric::P95 => "p95 latency",
            Metric::P99 => "p99 latency",
        }
    }

    /// Whether more is better.
    pub const fn more_is_better(self) -> bool {
        matches!(self, Metric::Throughput)
    }
}

/// One value per [`Metric`]; NaN where there is none.
pub(super) type Values = [f64; Metric::ALL.len()];

/// A range that holds the true value in about 95 of 100 experiments.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether the two share a value.
    pub fn overlaps(&self, other: &Interval) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// A measured value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The median of the rounds, or that of the whole run.
    pub value: f64,
    /// `None` when there is too little to tell.
    pub interval: Option<Interval>,
}

/// The samples of one scenario.
#[derive(Clone, Debug)]
pub(super) enum Samples {
    Rounds(Vec<Values>),
    Slices(Slices),
}

impl Samples {
    /// The figure of each metric; `None` for what was not measured.
    pub(super) fn values(&self) -> Values {
        match self {
            Samples::Rounds(rounds) => medians(rounds, |index| index, rounds.len()),
            Samples::Slices(slices) => slices.values(&vec![1; slices.parts.len()]),
        }
    }

    /// What the figures might as well have been. Rounds are drawn alike for every scenario with as many, so that what
    /// disturbed all of them at one time cancels in ratios; `stream` tells slices of different scenarios apart.
    pub(super) fn replicates(&self, stream: u64) -> Vec<Values> {
        match self {
            Samples::Rounds(rounds) if rounds.len() >= ROUNDS_MIN => {
                let mut random = fastrand::Rng::with_seed(rounds.len() as u64);
                let mut drawn = vec![0; rounds.len()];
                let resample = |_| {
                    drawn.iter_mut().for_each(|index| *index = random.usize(..rounds.len()));
                    medians(rounds, |index| drawn[index], rounds.len())
                };
                (0..RESAMPLES).map(resample).collect()
            }
            Samples::Slices(slices) if slices.suffice() => {
                let mut random = fastrand::Rng::with_seed(1000 + stream);
                let mut weights = vec![0; slices.parts.len()];
                let resample = |_| {
                    weights.fill(0);
                    for _ in 0..weights.len() {
                        weights[random.usize(..slices.parts.len())] += 1;
                    }
                    slices.values(&weights)
                };
                (0..RESAMPLES).map(resample).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The share of the replicates cut off at either end.
    pub(super) fn tail(&self) -> f64 {
        match self {
            Samples::Rounds(_) => ROUNDS_TAIL,
            Samples::Slices(slices) if slices.parts.len() >= SLICES => SLICES_TAIL,
            Samples::Slices(_) => FEW_SLICES_TAIL,
        }
    }

    /// Two samples of the same thing: every other round and the rest, which ran interleaved; or a run's first half and
    /// its second, as neighbouring slices are not independent (a request straddles them).
    pub(super) fn halves(&self) -> [Samples; 2] {
        match self {
            Samples::Rounds(rounds) => {
                let every_other = |first| rounds.iter().skip(first).step_by(2).copied().collect();
                [0, 1].map(|first| Samples::Rounds(every_other(first)))
            }
            Samples::Slices(Slices { parts, values_us }) => {
                let (first, second) = parts.split_at(parts.len() / 2);
                [first, second].map(|parts| {
                    Samples::Slices(Slices { parts: parts.to_vec(), values_us: values_us.clone() })
                })
            }
        }
    }

    /// How many rounds or slices there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Samples::Rounds(rounds) => rounds.len(),
            Samples::Slices(slices) => slices.parts.len(),
        }
    }
}

fn medians(rounds: &[Values], pick: impl Fn(usize) -> usize, len: usize) -> Values {
    let mut column = Vec::with_capacity(len);
    std::array::from_fn(|metric| {
        column.clear();
        column.extend((0..len).map(|index| rounds[pick(index)][metric]));
        median(&mut column)
    })
}

/// NaN of nothing, and where any value is NaN.
pub(super) fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// The interval between the quantiles `tail` and `1 - tail`; `None` of nothing, or with a NaN.
pub(super) fn interval(values: impl Iterator<Item = f64>, tail: f64) -> Option<Interval> {
    let mut sorted: Vec<f64> = values.collect();
    if sorted.is_empty() || sorted.iter().any(|value| !value.is_finite()) {
        return None;
    }
    sorted.sort_unstable_by(f64::total_cmp);
    let cut = ((sorted.len() as f64 * tail) as usize).min(sorted.len() - 1);
    Some(Interval { low: sorted[cut], high: sorted[sorted.len() - 1 - cut] })
}

/// Stretches of a run, laid out so that a percentile of any mixture of them is a binary search.
#[derive(Clone, Debug)]
pub(super) struct Slices {
    parts: Vec<Part>,
    /// Every latency there is, ascending, in microseconds.
    values_us: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Part {
    seconds: f64,
    rows: u64,
    sum_us: u64,
    /// Latencies up to and with each of `values_us`.
    cumulative: Vec<u64>,
}

impl Slices {
    pub(super) fn new(buckets: &[(f64, Bucket)]) -> Slices {
        let mut values_us: Vec<u64> =
            buckets.iter().flat_map(|(_, bucket)| bucket.latencies.bins().map(|(value, _)| value)).collect();
        values_us.sort_unstable();
        values_us.dedup();
        let part = |(seconds, bucket): &(f64, Bucket)| {
            let mut counts = vec![0; values_us.len()];
            let mut at = 0;
            for (value, count) in bucket.latencies.bins() {
                at += values_us[at..].partition_point(|known| *known < value);
                counts[at] += count;
            }
            let mut sum = 0;
            counts.iter_mut().for_each(|count| {
                sum += *count;
                *count = sum;
            });
            let sum_us = bucket.latencies.sum_us();
            Part { seconds: *seconds, rows: bucket.rows, sum_us, cumulative: counts }
        };
        let parts = buckets.iter().map(part).collect();
        Slices { parts, values_us }
    }

    fn suffice(&self) -> bool {
        let rows: u64 = self.parts.iter().map(|part| part.rows).sum();
        self.parts.len() >= SLICES_MIN && rows >= SLICE_ROWS_MIN * self.parts.len() as u64
    }

    /// The figures of each slice taken as often as `weights` says.
    fn values(&self, weights: &[u64]) -> Values {
        let sum = |of: &dyn Fn(&Part) -> f64| -> f64 {
            self.parts.iter().zip(weights).map(|(part, weight)| of(part) * *weight as f64).sum()
        };
        let seconds = sum(&|part| part.seconds);
        let count = sum(&|part| part.cumulative.last().copied().unwrap_or(0) as f64);
        if count == 0.0 {
            return [
                if seconds > 0.0 { sum(&|part| part.rows as f64) / seconds } else { f64::NAN },
                f64::NAN,
                f64::NAN,
                f64::NAN,
                f64::NAN,
            ];
        }
        let quantile = |quantile: f64| {
            let rank = (count * quantile).ceil().max(1.0) as u64;
            let (mut low, mut high) = (0, self.values_us.len() - 1);
            while low < high {
                let middle = low.midpoint(high);
                let below: u64 = self
                    .parts
                    .iter()
                    .zip(weights)
                    .map(|(part, weight)| part.cumulative[middle] * weight)
                    .sum();
                if below < rank { low = middle + 1 } else { high = middle }
            }
            self.values_us[low] as f64 / 1e3
        };
        [
            if seconds > 0.0 { sum(&|part| part.rows as f64) / seconds } else { f64::NAN },
            sum(&|part| part.sum_us as f64) / count / 1e3,
            quantile(0.50),
            quantile(0.95),
            quantile(0.99),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::measure::{Measure, Window};
    use crate::report::rows::Sample;

    /// Roughly normal: twelve uniform draws.
    fn normal(random: &mut fastrand::Rng) -> f64 {
        (0..12).map(|_| random.f64()).sum::<f64>() - 6.0
    }

    fn covered(rounds: usize, tries: usize) -> usize {
        let mut random = fastrand::Rng::with_seed(11);
        let holds = |_: &usize| {
            let values = (0..rounds).map(|_| [100.0 + normal(&mut random); 5]).collect();
            let samples = Samples::Rounds(values);
            let drawn = samples.replicates(0);
            let found = interval(drawn.iter().map(|values| values[0]), samples.tail()).unwrap();
            found.low <= 100.0 && 100.0 <= found.high
        };
        (0..tries).filter(holds).count()
    }

    #[test]
    fn intervals_over_rounds_hold_the_true_value_about_as_often_as_they_say() {
        for rounds in [5, 6, 10] {
            let covered = covered(rounds, 100);
            assert!((87..=100).contains(&covered), "{rounds} rounds: {covered} of 100");
        }
    }

    #[test]
    fn intervals_over_slices_hold_the_true_mean_about_as_often_as_they_say() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut covered = 0;
        for stream in 0..20 {
            let mut measure = Measure::new(Window::default());
            for row in 0..2_000 {
                let latency_us = Some((100_000.0 + 20_000.0 * normal(&mut random)) as u64);
                measure.take(&Sample {
                    at_us: row * 10_000,
                    backend: None,
                    latency_us,
                    status: 200,
                    routing: 0,
                });
            }
            let samples = Samples::Slices(Slices::new(&measure.slices(SLICES)));
            let drawn = samples.replicates(stream);
            let found = interval(drawn.iter().map(|values| values[1]), samples.tail()).unwrap();
            assert!(found.high - found.low < 4.0, "{found:?}");
            covered += usize::from(found.low <= 100.0 && 100.0 <= found.high);
            let whole = samples.values();
            assert!((whole[0] - 100.0).abs() < 0.2, "{whole:?}");
            let total = measure.total().latencies;
            assert_eq!(Some(whole[3]), total.quantile_ms(0.95));
        }
        assert!((17..=20).contains(&covered), "{covered} of 20");
    }

    #[test]
    fn too_few_rounds_give_no_interval() {
        assert!(Samples::Rounds(vec![[1.0; 5]; 4]).replicates(0).is_empty());
        assert_eq!(interval([].into_iter(), 0.025), None);
        assert_eq!(interval([1.0, f64::NAN].into_iter(), 0.025), None);
        assert!(median(&mut []).is_nan());
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        let five = Samples::Rounds((1..=5).map(|value| [f64::from(value); 5]).collect());
        let drawn = five.replicates(0);
        let found = interval(drawn.iter().map(|values| values[0]), five.tail());
        assert_eq!(found, Some(Interval { low: 1.0, high: 5.0 }));
    }
}
