//! The original's `adaptive_sma`: the least mean of the last three samples.
//!
//! Exact, so it herds: in-flight counts are never looked at and a backend whose average went bad is never asked again.

use super::{Candidate, Observation, OriginalAverages, Pick, Policy, original};
use crate::clock::Time;

/// First unmeasured backend, else the least mean of the last three samples.
#[derive(Clone, Debug)]
pub struct Sma {
    pub(super) averages: OriginalAverages,
}

impl Sma {
    /// Nothing measured yet.
    pub fn new(backends: usize) -> Sma {
        Sma { averages: OriginalAverages::new(backends) }
    }
}

impl Policy for Sma {
    fn pick(&mut self, candidates: &[Candidate], _now: Time, _draw: &mut fastrand::Rng) -> Option<Pick> {
        original::pick_least(candidates, |backend| self.averages.sma(backend))
    }

    fn observe(&mut self, _candidates: &[Candidate], seen: &Observation, _now: Time) {
        self.averages.observe(seen);
    }

    fn score(&self, backend: usize, _candidates: &[Candidate], _now: Time) -> Option<f64> {
        self.averages.sma(backend)
    }

    fn estimate_ms(&self, backend: usize) -> Option<f64> {
        self.averages.sma(backend)
    }

    fn rebuild(&mut self, keep: &[Option<usize>]) {
        self.averages.rebuild(keep);
    }
}
