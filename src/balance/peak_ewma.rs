//! `peak-ewma`: Finagle's Peak EWMA over two random choices.
//!
//! The estimate jumps to any latency above it and sinks by `exp(-gap / 10 s)` otherwise; reading it also sinks it
//! (Finagle observes a zero), so that a backend not asked for a while becomes attractive again. Latency is the time
//! to the response head. One deliberate difference: a failure is not a sample, or failing fast would win traffic.

use super::{Candidate, Observation, Outcome, Pick, Policy, Reason, Stage, p2c, remap};
use crate::clock::Time;

/// Time constant of the decay, in milliseconds (Finagle's default).
const DECAY_MS: f64 = 10_000.0;
/// Cost of an unmeasured backend that has something in flight: worse than anything measured.
const PENALTY: f64 = 1e12;

/// One decaying peak per backend.
#[derive(Clone, Debug)]
pub struct PeakEwma {
    estimates: Vec<Estimate>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Estimate {
    latency_ms: f64,
    stamp: Time,
}

impl Estimate {
    /// The share of the old estimate that survives until `now`.
    fn kept(&self, now: Time) -> f64 {
        (-super::millis_between(self.stamp, now) / DECAY_MS).exp()
    }

    fn sink(&mut self, now: Time) {
        *self = Estimate { latency_ms: self.latency_ms * self.kept(now), stamp: self.stamp.max(now) };
    }

    fn cost(&self, candidate: &Candidate, now: Time) -> f64 {
        let (latency, pending) = (self.latency_ms * self.kept(now), f64::from(candidate.in_flight));
        let cost =
            if latency == 0.0 && pending > 0.0 { PENALTY + pending } else { latency * (pending + 1.0) };
        cost / candidate.weight
    }
}

impl PeakEwma {
    /// Nothing measured yet.
    pub fn new(backends: usize) -> PeakEwma {
        PeakEwma { estimates: vec![Estimate::default(); backends] }
    }
}

impl Policy for PeakEwma {
    fn pick(&mut self, candidates: &[Candidate], now: Time, draw: &mut fastrand::Rng) -> Option<Pick> {
        let (first, second) = p2c::draw_two(candidates, draw)?;
        let mut cost = |index: usize| {
            self.estimates.get_mut(index).map_or(f64::INFINITY, |estimate| {
                estimate.sink(now);
                estimate.cost(&candidates[index], now)
            })
        };
        let backend = if cost(second) < cost(first) { second } else { first };
        Some(Pick::new(backend, Reason::Drawn))
    }

    fn observe(&mut self, _candidates: &[Candidate], seen: &Observation, now: Time) {
        let Some(estimate) = self.estimates.get_mut(seen.backend) else { return };
        if seen.stage != Stage::Head || seen.outcome != Outcome::Success {
            return;
        }
        let kept = estimate.kept(now);
        let latency_ms = if seen.latency_ms > estimate.latency_ms {
            seen.latency_ms
        } else {
            seen.latency_ms * (1.0 - kept) + estimate.latency_ms * kept
        };
        *estimate = Estimate { latency_ms, stamp: estimate.stamp.max(now) };
    }

    fn score(&self, backend: usize, candidates: &[Candidate], now: Time) -> Option<f64> {
        Some(self.estimates.get(backend)?.cost(candidates.get(backend)?, now))
    }

    fn estimate_ms(&self, backend: usize) -> Option<f64> {
        self.estimates.get(backend).map(|estimate| estimate.latency_ms).filter(|latency| *latency > 0.0)
    }

    fn rebuild(&mut self, keep: &[Option<usize>]) {
        remap(&mut self.estimates, keep, Estimate::default);
    }
}
