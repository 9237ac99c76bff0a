//! Rounds that never were files: what a simulation hands over, reduced like a log and the clients' figures.
//!
//! One [`Lap`] is one round of one scenario, one [`Laps`] all its rounds; [`summary`] makes of several the same
//! [`Summary`] that a run directory gives. Absent: any simulating.

use hdrhistogram::Histogram;

use super::input::{Gathered, Input, Loaded};
use super::measure::{Latencies, Measure, Window, rebuilt};
use super::rows::Sample;
use super::run::{LoadFigures, Round, RunFile, Scenario};
use super::summary::{self, Summary};
use crate::clock::Time;

/// Longest latency told apart from longer ones, as of the load driver.
const LATENCY_US_MAX: u64 = 3_600_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// A round while it goes on. As with the load driver, those requests count of a closed loop whose answer came within
/// the window, of an open one those that were due in it; the rows are the proxy's log and go by when they end.
#[derive(Debug)]
pub(crate) struct Lap {
    measure: Measure,
    histogram: Histogram<u64>,
    from: Time,
    until: Time,
    by_intent: bool,
    requests: u64,
    non_2xx: u64,
    last: Time,
}

impl Lap {
    /// A round measured in `from..until`, times counting from its start.
    pub(crate) fn new(from: Time, until: Time, by_intent: bool) -> Lap {
        let window = Window { from_us: Some(micros(from)), until_us: Some(micros(until)), skip_us: 0 };
        // It grows as needed; digits of 0 to 5 are all that this can fail for.
        let histogram = Histogram::new(SIGNIFICANT_DIGITS)
            .unwrap_or_else(|_| unreachable!("three digits are a valid precision"));
        let measure = Measure::new(window);
        Lap { measure, histogram, from, until, by_intent, requests: 0, non_2xx: 0, last: from }
    }

    /// A row of the log: the last attempt of a request, ended `now`. `latency_us` is `None` when nothing was sent.
    pub(crate) fn row(&mut self, now: Time, backend: Option<usize>, latency_us: Option<u64>, status: u16) {
        let backend = backend.and_then(|index| u16::try_from(index).ok());
        self.measure.take(&Sample { at_us: micros(now), backend, latency_us, status, routing: 0 });
    }

    /// The client has its answer.
    pub(crate) fn answered(&mut self, intended: Time, now: Time, status: u16) {
        let at = if self.by_intent { intended } else { now };
        if self.from <= at && at < self.until {
            self.requests += 1;
            self.non_2xx += u64::from(!(200..300).contains(&status));
            // It resizes itself, so that nothing is out of range.
            let _ = self.histogram.record(now.micros_since(intended).clamp(1, LATENCY_US_MAX));
            self.last = self.last.max(now);
        }
    }

    fn figures(&self) -> LoadFigures {
        let until = if self.by_intent { self.until.max(self.last) } else { self.until };
        let seconds = until.since(self.from).as_secs_f64();
        let quantile = |quantile: f64| {
            (!self.histogram.is_empty()).then(|| self.histogram.value_at_quantile(quantile) as f64 / 1e3)
        };
        LoadFigures {
            requests: self.requests,
            errors: 0,
            non_2xx: self.non_2xx,
            seconds,
            rate: if seconds > 0.0 { self.requests as f64 / seconds } else { 0.0 },
            mean_ms: (!self.histogram.is_empty()).then(|| self.histogram.mean() / 1e3),
            p50_ms: quantile(0.50),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: quantile(1.0),
            busy_share: None,
        }
    }
}

fn micros(time: Time) -> i64 {
    i64::try_from(time.as_nanos() / 1_000).unwrap_or(i64::MAX)
}

/// All rounds of a scenario, reduced as they come: a round's memory is gone before the next.
#[derive(Debug)]
pub(crate) struct Laps {
    scenario: Scenario,
    /// Rounds to come in all.
    count: usize,
    gathered: Gathered,
    clients: Vec<LoadFigures>,
    latencies: Latencies,
}

impl Laps {
    /// None yet, of `count`.
    pub(crate) fn new(scenario: Scenario, count: usize) -> Laps {
        let (gathered, clients) = (Gathered::default(), Vec::with_capacity(count));
        Laps { scenario, count, gathered, clients, latencies: Latencies::default() }
    }

    /// Adds one. `indices` is, by a backend's place in the round, its index among the names given to [`summary`].
    pub(crate) fn add(&mut self, lap: Lap, indices: &[usize]) {
        self.clients.push(lap.figures());
        self.scenario.rounds.push(Round::default()); // there are no files; their number is what counts
        let bins = lap.histogram.iter_recorded();
        self.latencies
            .add(&rebuilt(bins.map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))));
        let mut measure = lap.measure;
        measure.renumber(indices);
        self.gathered.add(measure, self.count);
    }

    fn loaded(self) -> Loaded {
        self.gathered.loaded(self.scenario, true, Some(self.clients), Some(self.latencies))
    }
}

/// What the rounds say. `notes` are sentences for the reader, `run` how they were made.
pub(crate) fn summary(
    title: &str,
    run: Option<RunFile>,
    backends: Vec<String>,
    notes: Vec<String>,
    rounds: Vec<Laps>,
) -> Summary {
    let scenarios = rounds.into_iter().map(Laps::loaded).collect();
    summary::summarize(Input { title: title.to_owned(), run, scenarios, backends, notes })
}
