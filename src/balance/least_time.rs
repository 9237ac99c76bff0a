//! `least-time`: the original's averages with four repairs and nothing else.
//!
//! 1. In-flight awareness: the average is multiplied by the requests in flight plus one.
//! 2. Staleness: an idle backend not dispatched to for a second is picked, because its average is old news.
//! 3. Cold start: an unmeasured backend is picked only while idle; when all are unmeasured or busy, least in flight.
//! 4. A failure is not a sample: the ejector deals with it.
//!
//! The window spans several of a backend's own cycles (alpha 0.02, or 100 samples): with the original's 3 samples the
//! choice flaps as soon as latency feeds back. Latency is taken to the last byte, as the original does.

use super::{
    Average, Candidate, Observation, Outcome, Pick, Policy, Reason, Stage, least, millis_between, remap,
};
use crate::clock::Time;

/// Idle for this long, an average is old news. Milliseconds.
const STALE_MS: f64 = 1_000.0;
/// Weight of the newest sample.
const EWMA_ALPHA: f64 = 0.02;
/// Samples kept per backend by the moving average.
const SMA_SAMPLES: usize = 100;
/// An unmeasured backend that fails this often is asked first only when stale: it may never be measured.
const HOPELESS: f64 = 0.5;

/// One average per backend, and when it was last used.
#[derive(Clone, Debug)]
pub struct LeastTime {
    average: Average,
    backends: Vec<Backend>,
}

#[derive(Clone, Debug)]
struct Backend {
    mean_ms: Option<f64>,
    /// Empty for the exponential average; else `SMA_SAMPLES` long from the start.
    ring: Vec<f64>,
    samples: u64,
    sum: f64,
    dispatched: Time,
}

impl Backend {
    fn new(average: Average) -> Backend {
        let ring = if average == Average::Sma { vec![0.0; SMA_SAMPLES] } else { Vec::new() };
        Backend { mean_ms: None, ring, samples: 0, sum: 0.0, dispatched: Time::ZERO }
    }

    fn record(&mut self, sample: f64) {
        if self.ring.is_empty() {
            self.mean_ms = Some(self.mean_ms.map_or(sample, |old| old + EWMA_ALPHA * (sample - old)));
            return;
        }
        let slot = (self.samples % SMA_SAMPLES as u64) as usize;
        self.sum += sample - self.ring[slot];
        self.ring[slot] = sample;
        self.samples += 1;
        if slot == SMA_SAMPLES - 1 {
            self.sum = self.ring.iter().sum(); // once a lap, so that rounding cannot pile up
        }
        self.mean_ms = Some(self.sum / self.samples.min(SMA_SAMPLES as u64) as f64);
    }
}

impl LeastTime {
    /// Nothing measured yet.
    pub fn new(backends: usize, average: Average) -> LeastTime {
        LeastTime { average, backends: vec![Backend::new(average); backends] }
    }

    fn wants_probe(&self, index: usize, candidate: &Candidate, now: Time) -> bool {
        let Some(backend) = self.backends.get(index) else { return false };
        let idle = candidate.up && candidate.in_flight == 0;
        let first = backend.mean_ms.is_none() && candidate.failure_rate < HOPELESS;
        idle && (first || millis_between(backend.dispatched, now) >= STALE_MS)
    }

    fn choose(&self, candidates: &[Candidate], now: Time) -> Option<Pick> {
        let probe = candidates.iter().enumerate().find(|(i, candidate)| self.wants_probe(*i, candidate, now));
        if let Some((backend, _)) = probe {
            let known = self.backends.get(backend).is_some_and(|backend| backend.mean_ms.is_some());
            return Some(Pick::new(backend, if known { Reason::Probe } else { Reason::Unmeasured }));
        }
        let score = |i: usize| self.score(i, candidates, now);
        let measured = least(candidates, |i, _| score(i).unwrap_or(f64::NAN));
        let backend = measured.filter(|i| score(*i).is_some()).or_else(|| {
            least(candidates, |_, candidate| f64::from(candidate.in_flight) / candidate.weight)
        })?;
        Some(Pick::new(backend, Reason::Best))
    }
}

impl Policy for LeastTime {
    fn pick(&mut self, candidates: &[Candidate], now: Time, _draw: &mut fastrand::Rng) -> Option<Pick> {
        let pick = self.choose(candidates, now)?;
        if let Some(backend) = self.backends.get_mut(pick.backend) {
            backend.dispatched = now;
        }
        Some(pick)
    }

    fn observe(&mut self, _candidates: &[Candidate], seen: &Observation, _now: Time) {
        if let Some(backend) = self.backends.get_mut(seen.backend)
            && seen.stage == Stage::End
            && seen.outcome == Outcome::Success
        {
            backend.record(seen.latency_ms);
        }
    }

    fn score(&self, backend: usize, candidates: &[Candidate], _now: Time) -> Option<f64> {
        let candidate = candidates.get(backend)?;
        let mean = self.backends.get(backend)?.mean_ms?;
        Some(mean * (f64::from(candidate.in_flight) + 1.0) / candidate.weight)
    }

    fn estimate_ms(&self, backend: usize) -> Option<f64> {
        self.backends.get(backend)?.mean_ms
    }

    fn rebuild(&mut self, keep: &[Option<usize>]) {
        let average = self.average;
        remap(&mut self.backends, keep, || Backend::new(average));
    }
}
