//! An hour of seconds, each the difference of two snapshots; less of it when there are many backends.
//!
//! Made on the admin thread, so the reactor never computes a rate or a percentile. Seconds of a log that is read come
//! ready made. Absent: the clock; a second is as long as the two snapshots lie apart, about one.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use super::api::work_us;
use crate::record::latencies::{BOUNDS_US, Distribution, merged};
use crate::record::snapshot::{BackendSnapshot, Counters, Snapshot};

/// Seconds kept of a running proxy.
pub const SECONDS_KEPT: usize = 3600;
/// Seconds kept of a log.
pub const LOG_SECONDS_KEPT: usize = 6 * SECONDS_KEPT;
/// Seconds times backends kept: the whole of it is one answer of about 15 MB at the most, made while the admin thread
/// does nothing else. An hour of 32 backends, 19 minutes of a hundred.
const ENTRIES_KEPT: usize = 32 * SECONDS_KEPT;
/// Kept however many backends there are.
const SECONDS_KEPT_MIN: usize = 60;

/// One backend in one second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // as in the JSON
pub struct BackendSecond {
    pub requests: u64,
    pub errors: u64,
    pub in_flight: u32,
    pub p50_ms: Option<f32>,
    pub p95_ms: Option<f32>,
    pub mean_ms: Option<f32>,
    pub score: Option<f32>,
}

/// One second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // as in the JSON
pub struct Second {
    pub seq: u64,
    #[serde(rename = "t")]
    pub at_ms: u64,
    pub requests: u64,
    pub errors: u64,
    pub retries: u64,
    pub ejections: u64,
    pub in_flight: u64,
    pub p50_ms: Option<f32>,
    pub p95_ms: Option<f32>,
    pub p99_ms: Option<f32>,
    pub mean_ms: Option<f32>,
    pub overhead_us: Option<f32>,
    pub heat: Vec<(usize, u64)>,
    pub backends: Vec<BackendSecond>,
    #[serde(skip)]
    pub urls: Arc<[String]>,
}

/// A second as it is sent: it names its backends where the one sent before had others.
#[derive(Debug, Serialize)]
pub struct Named<'s> {
    #[serde(flatten)]
    second: &'s Second,
    #[serde(skip_serializing_if = "Option::is_none")]
    urls: Option<&'s [String]>,
}

impl Second {
    /// To be sent behind one with the backends `known`, if there was one.
    pub fn after<'s>(&'s self, known: Option<&Arc<[String]>>) -> Named<'s> {
        let same = known.is_some_and(|known| Arc::ptr_eq(known, &self.urls) || **known == *self.urls);
        Named { second: self, urls: (!same).then_some(&*self.urls) }
    }

    /// Says how latencies were spread.
    pub fn set_latencies(&mut self, all: &Distribution) {
        (self.p50_ms, self.p95_ms) = (quantile(all, 0.50), quantile(all, 0.95));
        (self.p99_ms, self.mean_ms) = (quantile(all, 0.99), mean(all));
        let mut heat = [0; BOUNDS_US.len()];
        for (at, count) in all.stretches().into_iter().enumerate() {
            heat[at.min(BOUNDS_US.len() - 1)] += count;
        }
        self.heat = heat.into_iter().enumerate().filter(|(_, count)| *count > 0).collect();
    }
}

impl BackendSecond {
    /// Says how latencies were spread.
    pub fn set_latencies(&mut self, own: &Distribution) {
        (self.p50_ms, self.p95_ms) = (quantile(own, 0.50), quantile(own, 0.95));
        self.mean_ms = mean(own);
    }
}

fn quantile(of: &Distribution, quantile: f64) -> Option<f32> {
    of.quantile_us(quantile).map(|micros| micros as f32 / 1e3)
}

fn mean(of: &Distribution) -> Option<f32> {
    of.mean_us().map(|micros| micros.round() as f32 / 1e3)
}

/// The seconds kept, oldest first.
#[derive(Debug)]
pub struct History {
    seconds: VecDeque<Second>,
    seq: u64,
    kept: usize,
}

impl History {
    /// Nothing yet, and room for so many seconds.
    pub fn new(kept: usize) -> History {
        History { seconds: VecDeque::new(), seq: 0, kept }
    }

    /// Appends one, which gets its number here.
    pub fn push(&mut self, second: Second) {
        self.seq += 1;
        let kept =
            self.kept.min(ENTRIES_KEPT.max(self.kept) / second.backends.len().max(1)).max(SECONDS_KEPT_MIN);
        while self.seconds.len() >= kept {
            self.seconds.pop_front();
        }
        self.seconds.push_back(Second { seq: self.seq, ..second });
    }

    /// Number of the last one; 0 before there is one.
    pub fn last_seq(&self) -> u64 {
        self.seq
    }

    /// The last one.
    pub fn last(&self) -> Option<&Second> {
        self.seconds.back()
    }

    /// Those after `seq`.
    pub fn after(&self, seq: u64) -> impl Iterator<Item = &Second> {
        let skipped = self.seconds.front().map_or(0, |first| seq.saturating_add(1).saturating_sub(first.seq));
        self.seconds.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX))
    }

    /// Forgets all; numbers go on.
    pub fn clear(&mut self) {
        self.seconds.clear();
    }
}

/// What happened from `earlier` to `later`, two fresh snapshots. Without `later` nothing did.
pub fn second(earlier: &Snapshot, later: Option<&Snapshot>, urls: &Arc<[String]>) -> Second {
    let now = later.unwrap_or(earlier);
    let (before, after) = (&earlier.counters, &now.counters);
    let failed = |counters: &Counters| counters.responses[5] + counters.responses[0];
    let mut all = Distribution::default();
    let mut backends = Vec::with_capacity(now.backends.len());
    for (index, backend) in now.backends.iter().enumerate() {
        let old = earlier.backends.get(index).filter(|old| old.url == backend.url);
        let (found, latencies) = backend_second(old, backend);
        all.merge(&latencies);
        backends.push(found);
    }
    let overhead = now.overhead.since(&earlier.overhead);
    let requests = after.requests.saturating_sub(before.requests);
    let work = work_us(now.busy_us.saturating_sub(earlier.busy_us), requests);
    let mut found = Second {
        at_ms: now.wall.unix_ms,
        requests,
        errors: failed(after).saturating_sub(failed(before)),
        retries: after.retries.saturating_sub(before.retries),
        ejections: after.ejections.saturating_sub(before.ejections),
        in_flight: now.in_flight(),
        overhead_us: overhead.mean_us().map(|micros| (micros + work).round() as f32),
        backends,
        urls: urls.clone(),
        ..Second::default()
    };
    found.set_latencies(&all);
    found
}

fn backend_second(old: Option<&BackendSnapshot>, new: &BackendSnapshot) -> (BackendSecond, Distribution) {
    let latencies = match old {
        Some(old) => new.latencies.since(&old.latencies),
        None => (*new.latencies).clone(),
    };
    let mut found = BackendSecond {
        requests: new.requests.saturating_sub(old.map_or(0, |old| old.requests)),
        errors: new.errors.saturating_sub(old.map_or(0, |old| old.errors)),
        in_flight: new.live.in_flight,
        score: new.live.score.map(|score| score as f32).filter(|score| score.is_finite()),
        ..BackendSecond::default()
    };
    found.set_latencies(&latencies);
    (found, latencies)
}

/// The names of a snapshot's backends; the same as `known` if they have not changed.
pub fn urls(of: &Snapshot, known: &Arc<[String]>) -> Arc<[String]> {
    let same = of.backends.len() == known.len()
        && of.backends.iter().zip(known.iter()).all(|(backend, url)| backend.url == *url);
    if same { known.clone() } else { of.backends.iter().map(|backend| backend.url.clone()).collect() }
}

/// Latencies of all backends together, since the start.
pub fn overall(of: &Snapshot) -> Distribution {
    merged(of.backends.iter().map(|backend| &backend.latencies))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_backends_shorten_what_is_kept_and_bound_what_is_sent() {
        let entry = BackendSecond {
            requests: 123_456,
            errors: 1_234,
            in_flight: 123,
            p50_ms: Some(12.345_678),
            p95_ms: Some(1_234.567_8),
            mean_ms: Some(123.456_78),
            score: Some(123.456_78),
        };
        for (backends, kept) in [(3, 3600), (32, 3600), (100, 1152), (5_000, 60)] {
            let mut history = History::new(SECONDS_KEPT);
            let second = Second { backends: vec![entry.clone(); backends], ..Second::default() };
            for _ in 0..kept + 10 {
                history.push(second.clone());
            }
            assert_eq!(history.after(0).count(), kept, "{backends}");
            let bytes = serde_json::to_string(&second.backends).unwrap().len() * kept;
            assert!(backends > 1_000 || bytes < 16_000_000, "{backends}: {bytes}");
        }
    }
}
