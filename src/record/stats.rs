//! Counters and latencies, kept by the reactor and read by the admin page and the demo's table.
//!
//! Recording is a few additions and one increment in memory made at the start. What only the page shows (the last
//! requests, the proxy's own share, the original's averages under every policy) is recorded only while it is watched. A
//! [`Snapshot`] is a value: whoever shows it cannot hold the proxy up. Absent: per-interval rates (a reader takes two
//! snapshots) and anything a policy decides by.

use std::sync::Arc;

pub use super::latencies::Summary;
use super::latencies::{Distribution, Latencies};
use super::recent::{Recent, RecentRow};
use super::row::{Facts, Row};
pub use super::snapshot::{BackendSnapshot, Counters, Live, Snapshot, State};
use crate::balance::OriginalAverages;
use crate::clock::{Time, Wall};

#[derive(Debug)]
struct BackendStats {
    url: String,
    requests: u64,
    errors: u64,
    retries_from: u64,
    latencies: Latencies,
    shown: Arc<Distribution>,
}

impl BackendStats {
    fn new(url: &str) -> BackendStats {
        BackendStats {
            url: url.to_owned(),
            requests: 0,
            errors: 0,
            retries_from: 0,
            latencies: Latencies::default(),
            shown: Arc::default(),
        }
    }
}

/// What is recorded only because somebody could look at it.
#[derive(Debug)]
struct Watched {
    overhead: Latencies,
    recent: Recent,
    averages: OriginalAverages,
    shown_overhead: Arc<Distribution>,
    shown_recent: Arc<[RecentRow]>,
}

/// All that is counted.
#[derive(Debug)]
pub struct Stats {
    /// Counts the owner may add to.
    pub counters: Counters,
    started: Time,
    backends: Vec<BackendStats>,
    watched: Option<Box<Watched>>,
}

impl Stats {
    /// Empty counts for these backends, in configured order.
    pub fn new(now: Time, urls: &[String]) -> Stats {
        Stats {
            counters: Counters::default(),
            started: now,
            backends: urls.iter().map(|url| BackendStats::new(url)).collect(),
            watched: None,
        }
    }

    /// From now on somebody could look: what only the page shows is recorded too.
    pub fn watch(&mut self) {
        let watched = Watched {
            overhead: Latencies::default(),
            recent: Recent::default(),
            averages: OriginalAverages::new(self.backends.len()),
            shown_overhead: Arc::default(),
            shown_recent: Arc::from([]),
        };
        self.watched = Some(Box::new(watched));
    }

    /// Whether it is.
    pub fn is_watched(&self) -> bool {
        self.watched.is_some()
    }

    /// Takes over a new list of backends; those whose URL stays keep their figures.
    pub fn set_backends(&mut self, urls: &[String]) {
        let mut all: Vec<Option<BackendStats>> = self.backends.drain(..).map(Some).collect();
        let mut keep = Vec::with_capacity(urls.len());
        for url in urls {
            // A name may stand twice for a while, when it has moved and its old place still drains.
            let old = all.iter().position(|old| old.as_ref().is_some_and(|old| old.url == *url));
            keep.push(old);
            let backend = old.and_then(|old| all[old].take());
            self.backends.push(backend.unwrap_or_else(|| BackendStats::new(url)));
        }
        if let Some(watched) = &mut self.watched {
            watched.averages.rebuild(&keep);
        }
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
        counters.dispatched += u64::from(facts.attempts);
        counters.reused += u64::from(facts.reused);
        counters.bytes_in += facts.bytes_in;
        counters.bytes_out += facts.bytes_out;
        let Some(backend) = facts.backend.and_then(|index| self.backends.get_mut(index as usize)) else {
            return;
        };
        backend.requests += 1;
        if let Some(micros) = facts.latency_us.filter(|_| !client_gone) {
            backend.latencies.record(micros);
        }
    }

    /// What the page wants to know of it beyond that; nothing unless watched.
    pub fn note(&mut self, row: &Row<'_>, reason: &'static str, client_gone: bool) {
        let Some(watched) = &mut self.watched else { return };
        let facts = &row.facts;
        let backend = facts.backend.map_or(usize::MAX, |backend| backend as usize);
        let before = (watched.averages.sma(backend), watched.averages.ewma(backend));
        watched.recent.push(row, reason, !client_gone, before);
        if let Some(micros) = facts.latency_us.filter(|_| !client_gone) {
            watched.averages.record(backend, micros as f64 / 1e3);
            watched.overhead.record(facts.total_us.saturating_sub(micros));
        }
    }

    /// Counts an attempt a backend failed, whether or not another one saved the exchange.
    pub fn backend_failed(&mut self, backend: usize) {
        if let Some(backend) = self.backends.get_mut(backend) {
            backend.errors += 1;
        }
    }

    /// Counts a failed attempt that is made again elsewhere.
    pub fn retried_from(&mut self, backend: usize) {
        if let Some(backend) = self.backends.get_mut(backend) {
            backend.retries_from += 1;
        }
    }

    /// The original's two averages of a backend; `None` before the first, and when nobody could look.
    pub fn averages(&self, backend: usize) -> (Option<f64>, Option<f64>) {
        let averages = self.watched.as_ref().map(|watched| &watched.averages);
        (averages.and_then(|all| all.sma(backend)), averages.and_then(|all| all.ewma(backend)))
    }

    /// All of it as a value. `live` holds what others know, by backend index; a missing entry reads as idle. Unless
    /// `fresh`, latencies and requests are those of the last time they were asked for.
    pub fn snapshot(&mut self, wall: Wall, routing: &str, live: Vec<Live>, fresh: bool) -> Snapshot {
        let picked: u64 = self.backends.iter().map(|backend| backend.requests).sum();
        let mut live = live.into_iter();
        let backends = self.backends.iter_mut().map(|backend| {
            if fresh {
                backend.shown = Arc::new(backend.latencies.distribution());
            }
            BackendSnapshot {
                url: backend.url.clone(),
                requests: backend.requests,
                errors: backend.errors,
                retries_from: backend.retries_from,
                share: if picked == 0 { 0.0 } else { backend.requests as f64 / picked as f64 },
                latencies: backend.shown.clone(),
                live: live.next().unwrap_or_default(),
            }
        });
        let backends = backends.collect();
        if let Some(watched) = self.watched.as_mut().filter(|_| fresh) {
            watched.shown_overhead = Arc::new(watched.overhead.distribution());
            watched.shown_recent = watched.recent.newest_first().into();
        }
        let watched = self.watched.as_ref();
        Snapshot {
            wall,
            started_ms: wall.unix_ms(self.started),
            uptime_s: wall.at.since(self.started).as_secs_f64(),
            routing: routing.to_owned(),
            counters: self.counters,
            backends,
            overhead: watched.map_or_else(Arc::default, |watched| watched.shown_overhead.clone()),
            recent: watched.map_or_else(|| Arc::from([]), |watched| watched.shown_recent.clone()),
            recent_mean_ms: watched.and_then(|watched| watched.recent.mean_ms()),
            busy_us: 0,
            fresh,
            sentence: None,
            explain: false,
            shadow: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::latencies::LATENCY_US_MAX;
    use crate::record::recent::RECENT;
    use crate::record::tests::{facts, names, row};

    fn stats() -> Stats {
        Stats::new(Time::from_millis(1_000), &names().backends)
    }

    fn at(millis: u64) -> Wall {
        Wall { at: Time::from_millis(millis), unix_ms: 0 }
    }

    fn record(stats: &mut Stats, facts: Facts) {
        stats.record(&facts, false);
        stats.note(&Row { facts, ..row() }, "ok", false);
    }

    fn took(backend: u32, millis: u64) -> Facts {
        Facts { backend: Some(backend), latency_us: Some(millis * 1_000), ..facts() }
    }

    #[test]
    fn quantiles_means_and_shares() {
        let mut stats = stats();
        stats.watch();
        (1..=100).for_each(|millis| record(&mut stats, took(0, millis)));
        (0..300).for_each(|_| record(&mut stats, took(1, 200)));
        let live = vec![Live { in_flight: 3, sma_ms: Some(1.5), ..Live::default() }];
        let shot = stats.snapshot(at(3_500), "adaptive_sma", live, true);
        assert_eq!((shot.uptime_s, shot.recent_mean_ms), (2.5, Some(200.0)));
        let [first, second, third] = &shot.backends[..] else { panic!("three backends") };
        assert_eq!((first.share, second.share, third.share), (0.25, 0.75, 0.0));
        assert_eq!(
            (first.latencies.summary().mean_ms, third.latencies.summary().mean_ms),
            (Some(50.5), None)
        );
        assert_eq!((first.live.in_flight, first.live.sma_ms, second.live.in_flight), (3, Some(1.5), 0));
        let latency = first.latencies.summary();
        for (found, wanted) in [(latency.p50_ms, 50.0), (latency.p95_ms, 95.0)] {
            assert!((found.unwrap() - wanted).abs() <= wanted / 127.0, "{found:?} {wanted}");
        }
        assert_eq!(shot.counters.responses, [0, 0, 400, 0, 0, 0]);
        assert_eq!((stats.averages(1), stats.averages(2)), ((Some(200.0), Some(200.0)), (None, None)));
        let later = stats.snapshot(at(3_600), "", Vec::new(), false);
        assert!(Arc::ptr_eq(&later.recent, &shot.recent) && later.recent.len() == RECENT);
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
        let shot = stats.snapshot(at(0), "", Vec::new(), true);
        assert_eq!((shot.backends[1].errors, shot.backends[1].requests), (1, 2));
        assert_eq!(shot.backends[1].latencies.count(), 1);
    }

    #[test]
    fn nothing_is_noted_unless_somebody_could_look() {
        let mut stats = stats();
        record(&mut stats, took(0, 7));
        assert!(!stats.is_watched() && stats.averages(0) == (None, None));
        stats.watch();
        record(&mut stats, Facts { latency_us: Some(u64::MAX), total_us: u64::MAX, ..facts() });
        let shot = stats.snapshot(at(0), "", Vec::new(), true);
        assert_eq!((shot.recent.len(), shot.overhead.count()), (1, 1));
        assert_eq!(shot.latency().max_ms, Some(LATENCY_US_MAX as f64 / 1e3));
    }

    #[test]
    fn a_reload_keeps_the_figures_of_backends_that_stay() {
        let mut stats = stats();
        stats.record(&took(2, 7), false);
        let urls = ["http://new", "http://127.0.0.1:8083"].map(String::from);
        stats.set_backends(&urls);
        let shot = stats.snapshot(at(0), "", Vec::new(), true);
        let requests: Vec<(&str, u64)> = shot.backends.iter().map(|b| (b.url.as_str(), b.requests)).collect();
        assert_eq!(requests, [("http://new", 0), ("http://127.0.0.1:8083", 1)]);
    }
}
