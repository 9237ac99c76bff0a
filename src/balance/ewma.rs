//! The original's `adaptive_ewma`: the least exponential average, alpha 0.2.
//!
//! Exact, so it herds: in-flight counts are never looked at and a backend whose average went bad is never asked again.

use super::{Candidate, Observation, OriginalAverages, Pick, Policy, original};
use crate::clock::Time;

/// First unmeasured backend, else the least exponential average, alpha 0.2.
#[derive(Clone, Debug)]
pub struct Ewma {
    pub(super) averages: OriginalAverages,
}

impl Ewma {
    /// Nothing measured yet.
    pub fn new(backends: usize) -> Ewma {
        Ewma { averages: OriginalAverages::new(backends) }
    }
}

impl Policy for Ewma {
    fn pick(&mut self, candidates: &[Candidate], _now: Time, _draw: &mut fastrand::Rng) -> Option<Pick> {
        original::pick_least(candidates, |backend| self.averages.ewma(backend))
    }

    fn observe(&mut self, _candidates: &[Candidate], seen: &Observation, _now: Time) {
        self.averages.observe(seen);
    }

    fn score(&self, backend: usize, _candidates: &[Candidate], _now: Time) -> Option<f64> {
        self.averages.ewma(backend)
    }

    fn estimate_ms(&self, backend: usize) -> Option<f64> {
        self.averages.ewma(backend)
    }

    fn rebuild(&mut self, keep: &[Option<usize>]) {
        self.averages.rebuild(keep);
    }
}
