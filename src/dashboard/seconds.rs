//! From the rows of a log to seconds and figures.
//!
//! Rows come about in the order of their times; one that comes late counts in the second under way. A stamp far ahead of
//! all others is set right by the next row; where a clock was set back, time goes on. Absent: the file.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::history::{BackendSecond, Second};
use crate::balance::Routing;
use crate::clock::{Time, Wall};
use crate::record::latencies::Distribution;
use crate::record::row::{Facts, Row};
use crate::record::snapshot::{Live, Snapshot};
use crate::record::stats::Stats;
use crate::report::follow::{Asked, Followed};

/// Longer silences are not filled with empty seconds: two runs in one file, or a clock that was set.
const GAP_MAX: i64 = 3600;

/// So much earlier than the row before, a row is not late: the clock was set, or one of the two is wrong.
const LATE_MAX: i64 = 60;

/// Makes seconds of rows.
#[derive(Debug)]
pub(super) struct Builder {
    stats: Stats,
    urls: Arc<[String]>,
    first_us: Option<i64>,
    last: Option<Followed>,
    /// The second under way, since 1970.
    second: Option<i64>,
    current: Second,
    latencies: Vec<Vec<u64>>,
    done: Vec<Second>,
    /// The last one closed, since 1970.
    last_second: Option<i64>,
    /// Seconds by which the clock has been set back.
    set_back: i64,
}

impl Default for Builder {
    fn default() -> Self {
        let mut stats = Stats::new(Time::ZERO, &[]);
        stats.watch();
        Builder {
            stats,
            urls: Arc::from([]),
            first_us: None,
            last: None,
            second: None,
            current: Second::default(),
            latencies: Vec::new(),
            done: Vec::new(),
            last_second: None,
            set_back: 0,
        }
    }
}

impl Builder {
    /// Counts one row; `backends` are all named so far.
    pub(super) fn take(&mut self, backends: &[String], row: Followed, asked: Asked<'_>) {
        let second = self.placed(row.at_us.div_euclid(1_000_000));
        if self.second.is_some_and(|current| second > current) {
            self.finish_second();
        }
        if self.second.is_none() {
            self.fill_until(second);
        }
        if backends.len() != self.urls.len() {
            self.urls = backends.into();
            self.stats.set_backends(backends);
            self.latencies.resize_with(backends.len(), Vec::new);
        }
        if self.second.is_none() {
            self.begin_second(second);
        }
        self.count(&row, asked);
        self.first_us = Some(self.first_us.map_or(row.at_us, |first| first.min(row.at_us)));
        self.last = Some(row);
    }

    /// Which second a row of `stamped` belongs to.
    fn placed(&mut self, stamped: i64) -> i64 {
        let second = stamped + self.set_back;
        let Some(current) = self.second.filter(|current| second < current - LATE_MAX) else { return second };
        let before = self.last_second.unwrap_or(i64::MIN);
        if second > before && current.saturating_sub(before) > GAP_MAX {
            // It is the second under way that leapt ahead, on the word of a row or a few.
            self.second = Some(second);
            self.current.at_ms = end_of(second);
            return second;
        }
        self.set_back += current + 1 - second;
        current + 1
    }

    fn count(&mut self, row: &Followed, asked: Asked<'_>) {
        let failed = row.status == 0 || row.status >= 500;
        self.current.requests += 1;
        self.current.errors += u64::from(failed);
        self.current.backends.resize_with(self.urls.len(), BackendSecond::default);
        if let Some(index) = row.backend.map(usize::from) {
            if let Some(backend) = self.current.backends.get_mut(index) {
                backend.requests += 1;
                backend.errors += u64::from(failed);
            }
            if failed {
                self.stats.backend_failed(index);
            }
            if let (Some(latencies), Some(micros)) = (self.latencies.get_mut(index), row.latency_us) {
                latencies.push(micros);
            }
        }
        let at = Time::from_micros(u64::try_from(row.at_us).unwrap_or(0));
        let facts = Facts {
            at,
            client: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            backend: row.backend.map(u32::from),
            routing: 0,
            status: row.status,
            latency_us: row.latency_us,
            connect_us: None,
            ttfb_us: None,
            total_us: row.latency_us.unwrap_or(0),
            bytes_in: 0,
            bytes_out: 0,
            attempts: 1,
            reused: false,
        };
        let reason = if failed { "failed" } else { "ok" };
        self.stats.record(&facts, false);
        self.stats.note(&Row { facts, method: asked.method, path: asked.path, reason }, reason, false);
    }

    fn begin_second(&mut self, second: i64) {
        self.second = Some(second);
        self.current = Second { at_ms: end_of(second), urls: self.urls.clone(), ..Second::default() };
    }

    /// Closes the second under way, if there is one.
    pub(super) fn finish_second(&mut self) {
        let Some(closed) = self.second.take() else { return };
        self.last_second = Some(closed);
        let mut second = std::mem::take(&mut self.current);
        second.urls = self.urls.clone();
        second.backends.resize_with(self.urls.len(), BackendSecond::default);
        let mut all = Distribution::default();
        for (backend, latencies) in second.backends.iter_mut().zip(&mut self.latencies) {
            let own = Distribution::of(latencies);
            latencies.clear();
            backend.set_latencies(&own);
            all.merge(&own);
        }
        second.set_latencies(&all);
        self.done.push(second);
    }

    /// Empty seconds from the last one to `second`.
    fn fill_until(&mut self, second: i64) {
        let Some(last) = self.last_second.filter(|last| second - last <= GAP_MAX) else { return };
        for empty in last + 1..second {
            self.begin_second(empty);
            self.finish_second();
        }
    }

    /// The seconds that are complete and were not taken yet.
    pub(super) fn take_seconds(&mut self) -> Vec<Second> {
        std::mem::take(&mut self.done)
    }

    /// The figures so far.
    pub(super) fn snapshot(&mut self, routing: &str) -> Snapshot {
        let micros = |at: Option<i64>| at.and_then(|at| u64::try_from(at).ok()).unwrap_or(0);
        let (first, last) = (micros(self.first_us), micros(self.last.map(|row| row.at_us)));
        let wall = Wall { at: Time::from_micros(last), unix_ms: last / 1000 };
        let live = (0..self.urls.len()).map(|backend| {
            let (sma_ms, ewma_ms) = self.stats.averages(backend);
            Live { sma_ms, ewma_ms, weight: 1.0, ..Live::default() }
        });
        let live = live.collect();
        let mut snapshot = self.stats.snapshot(wall, routing, live, true);
        snapshot.started_ms = first / 1000;
        snapshot.uptime_s = last.saturating_sub(first) as f64 / 1e6;
        snapshot.overhead = Arc::default(); // a log of five columns does not tell
        (snapshot.counters.dispatched, snapshot.counters.reused) = (0, 0);
        snapshot.sentence = self.sentence(routing, &snapshot);
        snapshot
    }

    /// The last decision as far as the log tells it, in the original's words.
    fn sentence(&self, routing: &str, snapshot: &Snapshot) -> Option<String> {
        let last = self.last?;
        let chosen = self.urls.get(usize::from(last.backend?))?;
        let mut text = format!("Chosen: {chosen}");
        if let Some(micros) = last.latency_us {
            text += &format!(", which took {:.1} ms", micros as f64 / 1e3);
        }
        let name = match routing.parse() {
            Ok(Routing::AdaptiveEwma) => "EWMAs",
            _ => "SMAs",
        };
        // In the order in which the page has them.
        let place =
            |url: &str| url.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.parse::<u16>().ok()));
        let mut backends: Vec<_> = snapshot.backends.iter().collect();
        backends.sort_by_cached_key(|backend| place(&backend.url));
        let averages: Vec<String> = backends
            .into_iter()
            .filter_map(|backend| {
                let live = &backend.live;
                let average = if name == "EWMAs" { live.ewma_ms } else { live.sma_ms }?;
                let label = backend.url.rsplit_once(':').map_or(&*backend.url, |(_, port)| port);
                Some(format!("{label}={average:.1}ms"))
            })
            .collect();
        Some(format!("{text}. {name} since: {}.", averages.join(", ")))
    }
}

/// In unix milliseconds, as seconds of a running proxy are named.
fn end_of(second: i64) -> u64 {
    u64::try_from((second + 1) * 1000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_far_ahead_and_clocks_set_back() {
        let row = |second: i64| Followed {
            at_us: second * 1_000_000,
            backend: Some(0),
            latency_us: Some(1000),
            status: 200,
        };
        let ends = |stamps: &[i64]| {
            let mut builder = Builder::default();
            let url = ["http://a:1".to_owned()];
            stamps.iter().for_each(|second| builder.take(&url, row(*second), Asked::default()));
            builder.finish_second();
            let uptime_s = builder.snapshot("").uptime_s;
            let seconds: Vec<_> =
                builder.take_seconds().iter().map(|one| (one.at_ms / 1000, one.requests)).collect();
            (seconds, uptime_s)
        };
        let year_9999 = 253_402_300_799;
        // One wrong stamp, at first or later on, is no end of the world.
        assert_eq!(ends(&[year_9999, 1000, 1001]), (vec![(1001, 2), (1002, 1)], 1.0));
        assert_eq!(ends(&[1000, year_9999, 1001, 1002]).0, [(1001, 1), (1002, 2), (1003, 1)]);
        // Two runs, the clock set back an hour between them: time goes on.
        assert_eq!(ends(&[8000, 8001, 4400, 4401]).0, [(8001, 1), (8002, 1), (8003, 1), (8004, 1)]);
        // Late, but not that late.
        assert_eq!(ends(&[8000, 8010, 7990]).0.last(), Some(&(8011, 2)));
    }

    #[test]
    fn seconds_gaps_and_averages() {
        let mut builder = Builder::default();
        let urls = ["http://a:1".to_owned(), "http://b:2".to_owned()];
        let row = |millis: i64, backend: u16, latency: u64, status: u16| Followed {
            at_us: millis * 1000,
            backend: Some(backend),
            latency_us: Some(latency * 1000),
            status,
        };
        builder.take(&urls[..1], row(10_100, 0, 10, 200), Asked::default());
        builder.take(&urls, row(10_900, 1, 30, 502), Asked::default());
        builder.take(&urls, row(12_000, 0, 20, 200), Asked::default());
        builder.take(&urls, row(11_990, 0, 20, 200), Asked::default()); // late
        builder.take(&urls, row(12_000_000, 0, 20, 200), Asked::default()); // after a long silence
        let seconds = builder.take_seconds();
        let found: Vec<_> = seconds.iter().map(|one| (one.at_ms, one.requests, one.errors)).collect();
        assert_eq!(found, [(11_000, 2, 1), (12_000, 0, 0), (13_000, 2, 0)]);
        assert_eq!((seconds[0].backends[1].errors, seconds[0].mean_ms), (1, Some(20.0)));
        let shot = builder.snapshot("adaptive_ewma");
        assert_eq!((shot.counters.requests, shot.backends[0].requests, shot.recent.len()), (5, 4, 5));
        let sentence = shot.sentence.unwrap();
        assert!(sentence.contains("Chosen: http://a:1") && sentence.contains("2=30.0ms"), "{sentence}");
    }
}
