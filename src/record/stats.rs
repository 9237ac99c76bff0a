//! Counters and latency histograms, kept by the reactor and read by the admin page and the demo's table.
//!
//! Recording is a few additions and one increment in memory made at the start. A [`Snapshot`] is a value: whoever
//! shows it cannot hold the proxy up. Absent: per-interval rates (a reader takes two snapshots) and anything a policy
//! decides by.

use hdrhistogram::{CreationError, Histogram};
use serde::Serialize;

use super::row::Facts;
use crate::balance::shadow::ShadowFigures;
use crate::clock::Time;

/// Latencies from 1 µs to an hour; what is longer counts as an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Three digits: 0.1 % of the value, 190 KiB per histogram of which a workload touches a few.
const SIGNIFICANT_DIGITS: u8 = 3;
/// The original's dashboard averages this many.
pub const RECENT: usize = 200;

/// Plain counts since the start. The owner adds to the fields it alone knows about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Client connections accepted.
    pub clients_accepted: u64,
    /// Client connections open now.
    pub clients_active: u64,
    /// Exchanges ended, however they ended.
    pub requests: u64,
    /// Of these, answers by class of status; index 0 holds those with none.
    pub responses: [u64; 6],
    /// Exchanges answered with an error without choosing a backend.
    pub refused: u64,
    /// Exchanges the client left.
    pub client_gone: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Bytes received from clients.
    pub bytes_in: u64,
    /// Bytes sent to clients.
    pub bytes_out: u64,
}

/// A histogram with its exact sum.
#[derive(Debug)]
struct Latencies {
    histogram: Histogram<u64>,
    sum_us: u64,
}

impl Latencies {
    fn new() -> Result<Latencies, CreationError> {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, SIGNIFICANT_DIGITS)?;
        Ok(Latencies { histogram, sum_us: 0 })
    }

    fn record(&mut self, micros: u64) {
        let micros = micros.clamp(1, LATENCY_US_MAX);
        self.histogram.saturating_record(micros);
        self.sum_us = self.sum_us.saturating_add(micros);
    }

    fn summary(&self) -> Summary {
        let count = self.histogram.len();
        if count == 0 {
            return Summary::default();
        }
        let quantile = |q| Some(self.histogram.value_at_quantile(q) as f64 / 1e3);
        Summary {
            mean_ms: Some(self.sum_us as f64 / count as f64 / 1e3),
            p50_ms: quantile(0.50),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: Some(self.histogram.max() as f64 / 1e3),
        }
    }
}

#[derive(Debug)]
struct BackendStats {
    url: String,
    requests: u64,
    errors: u64,
    latencies: Latencies,
}

impl BackendStats {
    fn new(url: &str) -> Result<BackendStats, CreationError> {
        Ok(BackendStats { url: url.to_owned(), requests: 0, errors: 0, latencies: Latencies::new()? })
    }
}

/// The last [`RECENT`] latencies.
#[derive(Debug)]
struct Recent {
    ring: [u64; RECENT],
    len: usize,
    next: usize,
    sum_us: u64,
}

impl Recent {
    const EMPTY: Recent = Recent { ring: [0; RECENT], len: 0, next: 0, sum_us: 0 };

    fn record(&mut self, micros: u64) {
        let micros = micros.min(LATENCY_US_MAX); // so that 200 of them cannot overflow the sum
        self.sum_us = self.sum_us - self.ring[self.next] + micros;
        self.ring[self.next] = micros;
        self.next = (self.next + 1) % RECENT;
        self.len = (self.len + 1).min(RECENT);
    }

    fn mean_ms(&self) -> Option<f64> {
        (self.len > 0).then(|| self.sum_us as f64 / self.len as f64 / 1e3)
    }
}

/// All that is counted.
#[derive(Debug)]
pub struct Stats {
    /// Counts the owner may add to.
    pub counters: Counters,
    started: Time,
    overall: Latencies,
    recent: Recent,
    backends: Vec<BackendStats>,
}

impl Stats {
    /// Empty counts for these backends, in configured order.
    ///
    /// # Errors
    /// Never with the bounds above; the histogram's constructor can refuse others.
    pub fn new(now: Time, urls: &[String]) -> Result<Stats, CreationError> {
        Ok(Stats {
            counters: Counters::default(),
            started: now,
            overall: Latencies::new()?,
            recent: Recent::EMPTY,
            backends: urls.iter().map(|url| BackendStats::new(url)).collect::<Result<_, _>>()?,
        })
    }

    /// Takes over a new list of backends; those whose URL stays keep their figures.
    ///
    /// # Errors
    /// As [`Stats::new`].
    pub fn set_backends(&mut self, urls: &[String]) -> Result<(), CreationError> {
        let mut all = std::mem::take(&mut self.backends);
        for url in urls {
            // A name may stand twice for a while, when it has moved and its old place still drains.
            let backend = match all.iter().position(|backend| backend.url == *url) {
                Some(at) => all.swap_remove(at),
                None => BackendStats::new(url)?,
            };
            self.backends.push(backend);
        }
        Ok(())
    }

    /// Counts one exchange that has ended. `client_gone`: the client left before it had its answer; such latencies
    /// say when it lost patience, not how fast the backend is, and are left out of the histograms.
    pub fn record(&mut self, facts: &Facts, client_gone: bool) {
        let counters = &mut self.counters;
        counters.requests += 1;
        let class = usize::from(facts.status / 100);
        counters.responses[if class < 6 { class } else { 0 }] += 1;
        counters.client_gone += u64::from(client_gone);
        counters.refused += u64::from(facts.backend.is_none() && facts.status >= 400 && !client_gone);
        counters.retries += u64::from(facts.attempts.saturating_sub(1));
        counters.bytes_in += facts.bytes_in;
        counters.bytes_out += facts.bytes_out;
        let Some(backend) = facts.backend.and_then(|index| self.backends.get_mut(index as usize)) else {
            return;
        };
        backend.requests += 1;
        if let Some(micros) = facts.latency_us.filter(|_| !client_gone) {
            backend.latencies.record(micros);
            self.overall.record(micros);
            self.recent.record(micros);
        }
    }

    /// Counts an attempt a backend failed, whether or not another one saved the exchange.
    pub fn backend_failed(&mut self, backend: usize) {
        if let Some(backend) = self.backends.get_mut(backend) {
            backend.errors += 1;
        }
    }

    /// Forgets all but the clients that are connected.
    pub fn reset(&mut self, now: Time) {
        let clients_active = self.counters.clients_active;
        self.counters = Counters { clients_active, ..Counters::default() };
        self.started = now;
        self.recent = Recent::EMPTY;
        for backend in &mut self.backends {
            (backend.requests, backend.errors) = (0, 0);
        }
        let latencies = self.backends.iter_mut().map(|backend| &mut backend.latencies);
        for latencies in latencies.chain([&mut self.overall]) {
            latencies.histogram.reset();
            latencies.sum_us = 0;
        }
    }

    /// All of it as a value. `live` holds what others know, by backend index; a missing entry reads as idle.
    pub fn snapshot(&self, now: Time, routing: &str, live: &[Live]) -> Snapshot {
        let picked: u64 = self.backends.iter().map(|backend| backend.requests).sum();
        let backends = self.backends.iter().enumerate().map(|(index, backend)| {
            let live = live.get(index).copied().unwrap_or_default();
            BackendSnapshot {
                url: backend.url.clone(),
                in_flight: live.in_flight,
                requests: backend.requests,
                errors: backend.errors,
                share: if picked == 0 { 0.0 } else { backend.requests as f64 / picked as f64 },
                latency: backend.latencies.summary(),
                sma_ms: live.sma_ms,
                ewma_ms: live.ewma_ms,
            }
        });
        Snapshot {
            uptime_s: now.since(self.started).as_secs_f64(),
            routing: routing.to_owned(),
            counters: self.counters,
            latency: self.overall.summary(),
            recent_mean_ms: self.recent.mean_ms(),
            sentence: None,
            explain: false,
            shadow: Vec::new(),
            backends: backends.collect(),
        }
    }
}

/// What the upstream table and the policy know about a backend at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Live {
    /// Requests dispatched and not finished.
    pub in_flight: u32,
    /// The policy's simple moving average, if it has one.
    pub sma_ms: Option<f64>,
    /// The policy's exponential average, if it has one.
    pub ewma_ms: Option<f64>,
}

/// Latencies since the start, in milliseconds; all `None` when there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // each field says it
pub struct Summary {
    pub mean_ms: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
}

/// The state of the proxy as the admin JSON shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// Seconds since the start (or [`Stats::reset`]).
    pub uptime_s: f64,
    /// Canonical name of the routing in force.
    pub routing: String,
    /// Counts.
    #[serde(flatten)]
    pub counters: Counters,
    /// Over all backends.
    #[serde(flatten)]
    pub latency: Summary,
    /// Mean of the last [`RECENT`] latencies.
    pub recent_mean_ms: Option<f64>,
    /// A decision of late in words.
    pub sentence: Option<String>,
    /// Whether every decision is kept.
    pub explain: bool,
    /// The shadow policies, in configured order.
    pub shadow: Vec<ShadowFigures>,
    /// In configured order.
    pub backends: Vec<BackendSnapshot>,
}

/// One backend in a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackendSnapshot {
    /// Its URL.
    pub url: String,
    /// Requests dispatched and not finished.
    pub in_flight: u32,
    /// Exchanges it was the last backend of.
    pub requests: u64,
    /// Attempts it failed.
    pub errors: u64,
    /// Its part of all backends' requests, 0..=1.
    pub share: f64,
    /// Its latencies.
    #[serde(flatten)]
    pub latency: Summary,
    /// The policy's simple moving average.
    pub sma_ms: Option<f64>,
    /// The policy's exponential average.
    pub ewma_ms: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{facts, names};

    fn stats() -> Stats {
        Stats::new(Time::from_millis(1_000), &names().backends).unwrap()
    }

    fn took(backend: u32, millis: u64) -> Facts {
        Facts { backend: Some(backend), latency_us: Some(millis * 1_000), ..facts() }
    }

    #[test]
    fn quantiles_means_and_shares() {
        let mut stats = stats();
        (1..=100).for_each(|millis| stats.record(&took(0, millis), false));
        (0..300).for_each(|_| stats.record(&took(1, 200), false));
        let live = [Live { in_flight: 3, sma_ms: Some(1.5), ewma_ms: None }];
        let shot = stats.snapshot(Time::from_millis(3_500), "adaptive_sma", &live);
        assert_eq!((shot.uptime_s, shot.recent_mean_ms), (2.5, Some(200.0)));
        let [first, second, third] = &shot.backends[..] else { panic!("three backends") };
        assert_eq!((first.share, second.share, third.share), (0.25, 0.75, 0.0));
        assert_eq!((first.latency.mean_ms, third.latency.mean_ms), (Some(50.5), None));
        assert_eq!((first.in_flight, first.sma_ms, second.in_flight), (3, Some(1.5), 0));
        for (found, wanted) in [(first.latency.p50_ms, 50.0), (first.latency.p95_ms, 95.0)] {
            assert!((found.unwrap() - wanted).abs() <= wanted / 500.0, "{found:?} {wanted}");
        }
        assert_eq!(shot.counters.responses, [0, 0, 400, 0, 0, 0]);
    }

    #[test]
    fn refusals_retries_and_lost_clients_are_told_apart() {
        let mut stats = stats();
        stats.record(&Facts { backend: None, latency_us: None, status: 400, attempts: 0, ..facts() }, false);
        stats.record(&Facts { status: 502, attempts: 3, ..facts() }, false);
        stats.record(&Facts { status: 499, ..facts() }, true);
        stats.record(&Facts { status: 999, backend: Some(99), ..facts() }, false);
        stats.backend_failed(1);
        stats.backend_failed(99);
        let counters = stats.counters;
        assert_eq!((counters.requests, counters.refused, counters.retries), (4, 1, 2));
        assert_eq!((counters.client_gone, counters.responses), (1, [1, 0, 0, 0, 2, 1]));
        let shot = stats.snapshot(Time::ZERO, "", &[]);
        assert_eq!((shot.backends[1].errors, shot.backends[1].requests), (1, 2));
        assert_eq!(stats.overall.histogram.len(), 1);
    }

    #[test]
    fn recording_any_latency_never_resizes() {
        let mut stats = stats();
        let before = stats.overall.histogram.distinct_values();
        for micros in [0, 1, LATENCY_US_MAX, LATENCY_US_MAX + 1, u64::MAX] {
            (0..RECENT).for_each(|_| {
                stats.record(&Facts { latency_us: Some(micros), ..facts() }, false);
            });
        }
        assert_eq!(stats.overall.histogram.distinct_values(), before);
        assert_eq!(stats.overall.histogram.len(), 5 * RECENT as u64);
        assert_eq!(stats.recent.mean_ms(), Some(3_600_000.0));
    }

    #[test]
    fn a_reload_keeps_the_figures_of_backends_that_stay() {
        let mut stats = stats();
        stats.record(&took(2, 7), false);
        let urls = ["http://new", "http://127.0.0.1:8083"].map(String::from);
        stats.set_backends(&urls).unwrap();
        let shot = stats.snapshot(Time::ZERO, "", &[]);
        let requests: Vec<(&str, u64)> = shot.backends.iter().map(|b| (b.url.as_str(), b.requests)).collect();
        assert_eq!(requests, [("http://new", 0), ("http://127.0.0.1:8083", 1)]);
        stats.counters.clients_active = 4;
        stats.reset(Time::ZERO);
        assert_eq!((stats.counters.requests, stats.counters.clients_active), (0, 4));
        assert_eq!(stats.snapshot(Time::ZERO, "", &[]).latency, Summary::default());
    }

    #[test]
    fn json_is_flat_and_uses_null_for_unknown() {
        let json = serde_json::to_value(stats().snapshot(Time::ZERO, "round_robin", &[])).unwrap();
        assert_eq!(json["routing"], "round_robin");
        assert_eq!(json["requests"], 0);
        assert!(json["p99_ms"].is_null() && json["backends"][2]["p50_ms"].is_null());
    }
}
