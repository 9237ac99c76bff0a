//! Latencies as counts in buckets, 128 to a doubling: the layout of an HdrHistogram with two significant digits.
//!
//! [`Latencies`] is what the reactor records into: one index, one increment, one addition. [`Distribution`] is a copy of
//! the part that was touched, for whoever shows it: it can be merged with others, and an earlier one can be taken from a
//! later one. Deliberately absent: quantiles on the recording side, and anything that resizes.

use std::sync::Arc;

use serde::Serialize;

/// Latencies up to an hour; what is longer counts as an hour.
pub const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Buckets to a doubling, as a power of two: 0.8 % of the value at most.
const SUB_BITS: u32 = 7;
const LINEAR: u64 = 2 << SUB_BITS;
const BUCKETS: usize = index_of(LATENCY_US_MAX) + 1;

/// Upper bounds in microseconds, two to a doubling, from 63 µs to 100 s: edges of buckets here, so that counts below them
/// are exact, and the same in every version, so that they can be added up over machines.
pub const BOUNDS_US: [u64; 42] = {
    let mut bounds = [0; 42];
    let mut at = 0;
    while at < bounds.len() {
        let half = at as u32 / 2;
        bounds[at] = if at % 2 == 0 { (64 << half) - 1 } else { (96 << half) - 1 };
        at += 1;
    }
    bounds
};

const fn index_of(micros: u64) -> usize {
    if micros < LINEAR {
        return micros as usize;
    }
    let shift = 63 - micros.leading_zeros() - SUB_BITS;
    ((shift as usize) << SUB_BITS) + (micros >> shift) as usize
}

/// The largest value that falls into a bucket.
const fn top_of(index: usize) -> u64 {
    if index < LINEAR as usize {
        return index as u64;
    }
    let shift = (index >> SUB_BITS) - 1;
    let place = (index & ((1 << SUB_BITS) - 1)) as u64 + (1 << SUB_BITS);
    ((place + 1) << shift) - 1
}

/// What is recorded into: 26 KiB, of which a workload touches a few lines.
#[derive(Debug)]
pub struct Latencies {
    counts: Box<[u64]>,
    sum_us: u64,
    max_us: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies { counts: vec![0; BUCKETS].into_boxed_slice(), sum_us: 0, max_us: 0 }
    }
}

impl Latencies {
    /// Counts one latency in microseconds.
    pub fn record(&mut self, micros: u64) {
        let micros = micros.min(LATENCY_US_MAX);
        if let Some(count) = self.counts.get_mut(index_of(micros)) {
            *count += 1;
        }
        self.sum_us += micros;
        self.max_us = self.max_us.max(micros);
    }

    /// A copy of what was touched.
    pub fn distribution(&self) -> Distribution {
        let first = self.counts.iter().position(|count| *count > 0).unwrap_or(0);
        let end = self.counts.iter().rposition(|count| *count > 0).map_or(first, |last| last + 1);
        let counts = self.counts[first..end].to_vec();
        Distribution { total: counts.iter().sum(), first, counts, sum_us: self.sum_us, max_us: self.max_us }
    }
}

/// How latencies are spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    first: usize,
    counts: Vec<u64>,
    total: u64,
    sum_us: u64,
    max_us: u64,
}

impl Distribution {
    /// Of these latencies in microseconds, which are put in order.
    pub fn of(values: &mut [u64]) -> Distribution {
        values.sort_unstable();
        let place = |micros: &u64| index_of((*micros).min(LATENCY_US_MAX));
        let (Some(least), Some(most)) = (values.first(), values.last()) else {
            return Distribution::default();
        };
        let first = place(least);
        let mut counts = vec![0; place(most) - first + 1];
        values.iter().for_each(|micros| counts[place(micros) - first] += 1);
        Distribution {
            first,
            counts,
            total: values.len() as u64,
            sum_us: values.iter().map(|micros| (*micros).min(LATENCY_US_MAX)).sum(),
            max_us: (*most).min(LATENCY_US_MAX),
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// Their sum in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// Their mean in microseconds.
    pub fn mean_us(&self) -> Option<f64> {
        (self.total > 0).then(|| self.sum_us as f64 / self.total as f64)
    }

    /// The least value that at least the share `quantile` of them does not exceed, to 0.8 %, in microseconds.
    pub fn quantile_us(&self, quantile: f64) -> Option<u64> {
        if self.total == 0 {
            return None;
        }
        let rank = ((quantile * self.total as f64).ceil() as u64).clamp(1, self.total);
        let mut below = 0;
        for (count, top) in self.buckets() {
            below += count;
            if below >= rank {
                return Some(top.min(self.max_us));
            }
        }
        Some(self.max_us)
    }

    /// What is usually asked.
    pub fn summary(&self) -> Summary {
        let millis = |quantile| self.quantile_us(quantile).map(|micros| micros as f64 / 1e3);
        Summary {
            mean_ms: self.mean_us().map(|micros| micros / 1e3),
            p50_ms: millis(0.50),
            p95_ms: millis(0.95),
            p99_ms: millis(0.99),
            max_ms: (self.total > 0).then_some(self.max_us as f64 / 1e3),
        }
    }

    /// How many are in each stretch that ends at a bound of [`BOUNDS_US`], the last one open: one count more than there
    /// are bounds.
    pub fn stretches(&self) -> [u64; BOUNDS_US.len() + 1] {
        let mut found = [0; BOUNDS_US.len() + 1];
        let mut at = 0;
        for (count, top) in self.buckets().filter(|(count, _)| *count > 0) {
            while BOUNDS_US.get(at).is_some_and(|bound| top > *bound) {
                at += 1;
            }
            found[at] += count;
        }
        found
    }

    /// Adds another one's.
    pub fn merge(&mut self, other: &Distribution) {
        if other.total == 0 {
            return;
        }
        if self.total == 0 {
            *self = other.clone();
            return;
        }
        let first = self.first.min(other.first);
        let end = (self.first + self.counts.len()).max(other.first + other.counts.len());
        let mut counts = vec![0; end - first];
        for each in [&*self, other] {
            for (sum, count) in counts[each.first - first..].iter_mut().zip(&each.counts) {
                *sum += count;
            }
        }
        (self.first, self.counts) = (first, counts);
        self.total += other.total;
        self.sum_us += other.sum_us;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// What came after `earlier` was taken. All of it when there is less than before: counting began anew.
    pub fn since(&self, earlier: &Distribution) -> Distribution {
        if self.total < earlier.total || self.sum_us < earlier.sum_us {
            return self.clone();
        }
        let mut counts = self.counts.clone();
        if self.first <= earlier.first {
            for (count, before) in
                counts[(earlier.first - self.first).min(self.counts.len())..].iter_mut().zip(&earlier.counts)
            {
                *count = count.saturating_sub(*before);
            }
        }
        let last = counts.iter().rposition(|count| *count > 0);
        let top = last.map_or(0, |last| top_of(self.first + last));
        Distribution {
            first: self.first,
            total: counts.iter().sum(),
            counts,
            sum_us: self.sum_us - earlier.sum_us,
            max_us: top.min(self.max_us),
        }
    }

    /// Counts with the largest value of their bucket, least first.
    fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts.iter().enumerate().map(|(at, count)| (*count, top_of(self.first + at)))
    }
}

/// All of them in one.
pub fn merged<'d>(all: impl IntoIterator<Item = &'d Arc<Distribution>>) -> Distribution {
    let mut sum = Distribution::default();
    all.into_iter().for_each(|one| sum.merge(one));
    sum
}

/// Latencies in milliseconds; all `None` when there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // each field says it
pub struct Summary {
    pub mean_ms: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Distribution {
        let mut latencies = Latencies::default();
        values.into_iter().for_each(|micros| latencies.record(micros));
        latencies.distribution()
    }

    #[test]
    fn every_value_is_in_the_bucket_that_ends_at_or_after_it() {
        for micros in (0..100_000).chain([1 << 20, (1 << 31) + 5, LATENCY_US_MAX]) {
            let index = index_of(micros);
            assert!(top_of(index) >= micros && (index == 0 || top_of(index - 1) < micros), "{micros}");
            assert!((top_of(index) - micros) as f64 <= micros as f64 / 127.0, "{micros}");
        }
        assert!(BOUNDS_US.iter().all(|bound| top_of(index_of(*bound)) == *bound), "bounds are edges");
    }

    #[test]
    fn any_latency_has_a_place() {
        let all = of([0, 1, LATENCY_US_MAX, LATENCY_US_MAX + 1, u64::MAX]);
        assert_eq!((all.count(), all.quantile_us(1.0)), (5, Some(LATENCY_US_MAX)));
        let values = [7, 300, 5, 1 << 33, 300];
        assert_eq!(Distribution::of(&mut values.clone()), of(values));
        assert_eq!(Distribution::of(&mut []), Distribution::default());
        assert_eq!(Distribution::default().summary(), Summary::default());
    }

    #[test]
    fn what_came_later_is_the_difference_and_merging_undoes_it() {
        let early = of((1..=500).map(|at| at * 10));
        let whole = of((1..=500).map(|at| at * 10).chain(20_000..20_100));
        let later = whole.since(&early);
        assert_eq!((later.count(), later.sum_us()), (100, (20_000..20_100).sum()));
        assert!((20_000..20_200).contains(&later.quantile_us(0.0).unwrap()));
        let mut again = early.clone();
        again.merge(&later);
        assert_eq!((again.count(), again.stretches()), (whole.count(), whole.stretches()));
        assert_eq!(early.since(&whole), early, "begun anew");
        assert_eq!(whole.since(&Distribution::default()).count(), 600);
    }

    #[test]
    fn stretches_are_exact_at_their_bounds() {
        let all = of([63, 64, 95, 96, 127, 128, 100_000_000_000]);
        assert_eq!(all.stretches()[..4], [1, 2, 2, 1]);
        assert_eq!(all.stretches()[BOUNDS_US.len()], 1);
    }
}
