//! What is kept of a log while it streams by: histograms over time buckets and per backend, in bounded memory.
//!
//! The buckets' width starts at 125 ms and doubles whenever there would be too many, so that a log of any length costs
//! the same. Sums are exact; percentiles are within 0.05 %. Pure. Absent: judging (`stats`).

use hdrhistogram::Histogram;

use super::rows::Sample;

/// Most buckets at once. Each has a histogram of 10 to 60 KB, by how slow the slowest request is.
const BUCKETS_MAX: usize = 512;
const WIDTH_US: i64 = 125_000;
/// Longest latency told apart from longer ones: an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Over time and in all.
const DIGITS: u8 = 3;
/// Per backend, of which there may be many.
const BACKEND_DIGITS: u8 = 2;

/// Latencies in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    histogram: Histogram<u32>,
    sum_us: u64,
}

impl Latencies {
    fn new(digits: u8) -> Latencies {
        // Digits of 0 to 5 are all this can fail for.
        let histogram = Histogram::new(digits).or_else(|_| Histogram::new(DIGITS));
        Latencies {
            histogram: histogram.unwrap_or_else(|_| unreachable!("three digits are valid")),
            sum_us: 0,
        }
    }

    fn record(&mut self, latency_us: u64) {
        self.sum_us += latency_us;
        self.record_many(latency_us, 1);
    }

    /// Counts in the histogram only.
    fn record_many(&mut self, latency_us: u64, count: u32) {
        // Grows as needed, so that it cannot be out of range.
        let _ = self.histogram.record_n(latency_us.min(LATENCY_US_MAX), count);
    }

    pub(super) fn add(&mut self, other: &Latencies) {
        let _ = self.histogram.add(&other.histogram);
        self.sum_us += other.sum_us;
    }

    pub(super) fn count(&self) -> u64 {
        self.histogram.len()
    }

    pub(super) fn sum_us(&self) -> u64 {
        self.sum_us
    }

    pub(super) fn mean_ms(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum_us as f64 / self.count() as f64 / 1e3)
    }

    /// By nearest rank: the least value that `quantile` (0..=1) of all do not exceed.
    pub(super) fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        (self.count() > 0).then(|| self.middle(self.histogram.value_at_quantile(quantile)) as f64 / 1e3)
    }

    pub(super) fn max_ms(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.middle(self.histogram.max()) as f64 / 1e3)
    }

    /// Distinct values in microseconds, ascending, with their counts.
    pub(super) fn bins(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.histogram
            .iter_recorded()
            .map(|step| (self.middle(step.value_iterated_to()), u64::from(step.count_at_value())))
    }

    /// A histogram knows a value as one of a range; its middle is the least wrong, and for round numbers right.
    fn middle(&self, value_us: u64) -> u64 {
        self.histogram.median_equivalent(value_us)
    }
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::new(DIGITS)
    }
}

/// Requests and how they went.
#[derive(Clone, Debug, Default)]
pub(super) struct Bucket {
    pub(super) rows: u64,
    pub(super) errors: u64,
    pub(super) latencies: Latencies,
    /// Requests by backend.
    pub(super) backends: Vec<u32>,
}

impl Bucket {
    pub(super) fn add(&mut self, other: &Bucket) {
        self.rows += other.rows;
        self.errors += other.errors;
        self.latencies.add(&other.latencies);
        self.backends.resize(self.backends.len().max(other.backends.len()), 0);
        for (sum, count) in self.backends.iter_mut().zip(&other.backends) {
            *sum += count;
        }
    }
}

/// A backend's requests.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) rows: u64,
    pub(super) errors: u64,
    pub(super) latencies: Latencies,
}

/// Which rows count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// From this time on; the first row's if `None`.
    pub(super) from_us: Option<i64>,
    /// Before this time; without end if `None`.
    pub(super) until_us: Option<i64>,
    /// Skipped after the first row, where `from_us` is not known.
    pub(super) skip_us: i64,
}

/// A log's figures.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    window: Window,
    origin_us: Option<i64>,
    width_us: i64,
    buckets: Vec<Bucket>,
    first_us: i64,
    last_us: i64,
    backends: Vec<Backend>,
}

impl Measure {
    pub(super) fn new(window: Window) -> Measure {
        Measure {
            window,
            origin_us: window.from_us,
            width_us: WIDTH_US,
            buckets: Vec::new(),
            first_us: i64::MAX,
            last_us: i64::MIN,
            backends: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, sample: &Sample) {
        let skip_us = self.window.skip_us;
        let origin_us = *self.origin_us.get_or_insert_with(|| sample.at_us.saturating_add(skip_us));
        // Rows of one moment may come in any order; only a known start makes an earlier one not count.
        let counts_from = if self.window.from_us.is_some() || skip_us > 0 { origin_us } else { i64::MIN };
        if sample.at_us < counts_from || self.window.until_us.is_some_and(|until| sample.at_us >= until) {
            return;
        }
        self.first_us = self.first_us.min(sample.at_us);
        self.last_us = self.last_us.max(sample.at_us);
        let error = sample.status == 0 || sample.status >= 500;
        let bucket = self.bucket(sample.at_us.saturating_sub(origin_us).max(0));
        bucket.rows += 1;
        bucket.errors += u64::from(error);
        if let Some(latency_us) = sample.latency_us {
            bucket.latencies.record(latency_us);
        }
        let Some(backend) = sample.backend.map(usize::from) else { return };
        if backend >= bucket.backends.len() {
            bucket.backends.resize(backend + 1, 0);
        }
        bucket.backends[backend] += 1;
        while self.backends.len() <= backend {
            self.backends.push(Backend { rows: 0, errors: 0, latencies: Latencies::new(BACKEND_DIGITS) });
        }
        let backend = &mut self.backends[backend];
        backend.rows += 1;
        backend.errors += u64::from(error);
        if let Some(latency_us) = sample.latency_us {
            backend.latencies.record(latency_us);
        }
    }

    fn bucket(&mut self, offset_us: i64) -> &mut Bucket {
        while offset_us / self.width_us >= BUCKETS_MAX as i64 {
            self.coarsen();
        }
        let index = (offset_us / self.width_us) as usize;
        if index >= self.buckets.len() {
            self.buckets.resize_with(index + 1, Bucket::default);
        }
        &mut self.buckets[index]
    }

    fn coarsen(&mut self) {
        self.width_us = self.width_us.saturating_mul(2);
        for index in 0..self.buckets.len() {
            if index % 2 == 0 {
                self.buckets.swap(index / 2, index);
            } else {
                let odd = std::mem::take(&mut self.buckets[index]);
                self.buckets[index / 2].add(&odd);
            }
        }
        self.buckets.truncate(self.buckets.len().div_ceil(2));
    }

    /// Renumbers the backends: the one of index `i` becomes `indices[i]`.
    pub(super) fn renumber(&mut self, indices: &[usize]) {
        let len = indices.iter().max().map_or(0, |last| last + 1);
        for bucket in &mut self.buckets {
            let old = std::mem::replace(&mut bucket.backends, vec![0; len]);
            for (count, index) in old.into_iter().zip(indices) {
                bucket.backends[*index] += count;
            }
        }
        let empty = Backend { rows: 0, errors: 0, latencies: Latencies::new(BACKEND_DIGITS) };
        let old = std::mem::replace(&mut self.backends, vec![empty; len]);
        for (backend, index) in old.into_iter().zip(indices) {
            self.backends[*index] = backend;
        }
    }

    /// Lays another round of the same scenario over this one, start on start.
    pub(super) fn lay_over(&mut self, mut other: Measure) {
        while self.width_us < other.width_us {
            self.coarsen();
        }
        while other.width_us < self.width_us {
            other.coarsen();
        }
        for (index, bucket) in other.buckets.iter().enumerate() {
            self.bucket(index as i64 * other.width_us).add(bucket);
        }
        for (index, backend) in other.backends.into_iter().enumerate() {
            match self.backends.get_mut(index) {
                Some(known) => {
                    known.rows += backend.rows;
                    known.errors += backend.errors;
                    known.latencies.add(&backend.latencies);
                }
                None => self.backends.push(backend),
            }
        }
    }

    /// Seconds that count; 0 without rows.
    pub(super) fn seconds(&self) -> f64 {
        if self.last_us < self.first_us {
            return 0.0;
        }
        let known_from = if self.window.skip_us > 0 { self.origin_us } else { self.window.from_us };
        let from = known_from.unwrap_or(self.first_us);
        self.window.until_us.unwrap_or(self.last_us).saturating_sub(from).max(0) as f64 / 1e6
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    pub(super) fn total(&self) -> Bucket {
        let mut total = Bucket::default();
        self.buckets.iter().for_each(|bucket| total.add(bucket));
        total
    }

    pub(super) fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// Seconds per bucket of [`Measure::series`] and the buckets, at most `count` of them and none shorter than a
    /// second where there are enough seconds.
    pub(super) fn series(&self, count: usize) -> (f64, Vec<Bucket>) {
        let mut step = 1;
        while self.buckets.len() / step > count.max(1)
            || (self.width_us * (step as i64) < 1_000_000 && self.buckets.len() / step > 30)
        {
            step *= 2;
        }
        let merged = self.buckets.chunks(step).map(|chunk| {
            let mut sum = Bucket::default();
            chunk.iter().for_each(|bucket| sum.add(bucket));
            sum
        });
        (self.width_us as f64 * step as f64 / 1e6, merged.collect())
    }

    /// The log cut into `count` stretches of equal time, as nearly as buckets allow, each with its seconds; fewer if
    /// there are not enough buckets.
    pub(super) fn slices(&self, count: usize) -> Vec<(f64, Bucket)> {
        let (len, width) = (self.buckets.len(), self.width_us as f64 / 1e6);
        let count = count.min(len);
        let slices = (0..count).map(|slice| {
            let range = slice * len / count..(slice + 1) * len / count;
            let end = (range.end as f64 * width).min(self.seconds().max(width / 1e3));
            let seconds = (end - range.start as f64 * width).max(0.0);
            let mut sum = Bucket::default();
            self.buckets[range].iter().for_each(|bucket| sum.add(bucket));
            (seconds, sum)
        });
        slices.collect()
    }
}

/// A histogram rebuilt from counts, for what was recorded elsewhere. The sum is that of the values given.
pub(super) fn rebuilt(bins: impl IntoIterator<Item = (u64, u64)>) -> Latencies {
    let mut latencies = Latencies::default();
    for (value_us, count) in bins {
        latencies.record_many(value_us, u32::try_from(count).unwrap_or(u32::MAX));
        latencies.sum_us = latencies.sum_us.saturating_add(value_us.saturating_mul(count));
    }
    latencies
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_us: i64, latency_us: u64) -> Sample {
        let backend = Some((latency_us % 3) as u16);
        Sample { at_us, backend, latency_us: Some(latency_us), status: 200, routing: 0 }
    }

    #[test]
    fn a_long_log_keeps_its_sums_in_few_buckets() {
        let mut measure = Measure::new(Window::default());
        for second in 0..5_000 {
            measure.take(&sample(1_000_000 * second, 100_000 + second as u64));
        }
        let total = measure.total();
        assert_eq!((total.rows, total.latencies.count()), (5_000, 5_000));
        assert_eq!(total.latencies.mean_ms(), Some(102.4995));
        assert_eq!(total.backends.iter().sum::<u32>(), 5_000);
        assert_eq!(measure.seconds(), 4_999.0);
        assert!(measure.buckets.len() <= BUCKETS_MAX);
        let slices = measure.slices(20);
        assert_eq!(slices.len(), 20);
        assert_eq!(slices.iter().map(|(_, slice)| slice.rows).sum::<u64>(), 5_000);
        let seconds: f64 = slices.iter().map(|(seconds, _)| seconds).sum();
        assert!((seconds - 4_999.0).abs() < 1e-6, "{seconds}");
    }

    #[test]
    fn only_the_window_counts() {
        let window = Window { from_us: Some(10_000_000), until_us: Some(20_000_000), skip_us: 0 };
        let mut measure = Measure::new(window);
        (0..30).for_each(|second| measure.take(&sample(second * 1_000_000, 5)));
        assert_eq!((measure.total().rows, measure.seconds()), (10, 10.0));
        let mut skipping = Measure::new(Window { skip_us: 4_000_000, ..Window::default() });
        (0..10).for_each(|second| skipping.take(&sample(second * 1_000_000, 5)));
        assert_eq!((skipping.total().rows, skipping.seconds()), (6, 5.0));
    }

    #[test]
    fn rounds_lie_start_on_start() {
        let mut first = Measure::new(Window::default());
        let mut second = Measure::new(Window::default());
        (0..1_000).for_each(|at| first.take(&sample(at * 1_000_000, 3)));
        (0..10).for_each(|at| second.take(&sample(77_000_000 + at * 1_000_000, 4)));
        second.renumber(&[0, 2]);
        first.lay_over(second);
        let total = first.total();
        assert_eq!((total.rows, &total.backends[..]), (1_010, &[1_000, 0, 10][..]));
    }
}
