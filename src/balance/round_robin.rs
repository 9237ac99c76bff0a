//! The original's `round-robin`: one cursor, backends in configured order.
//!
//! The averages are kept although the choice never reads them, because the original shows them in every mode.

use super::{Candidate, Observation, OriginalAverages, Pick, Policy, Reason};
use crate::clock::Time;

/// `backends[k++ mod N]`, skipping what is not up.
#[derive(Clone, Debug)]
pub struct RoundRobin {
    cursor: usize,
    pub(super) averages: OriginalAverages,
}

impl RoundRobin {
    /// Starts with the first backend.
    pub fn new(backends: usize) -> RoundRobin {
        RoundRobin { cursor: 0, averages: OriginalAverages::new(backends) }
    }
}

impl Policy for RoundRobin {
    fn pick(&mut self, candidates: &[Candidate], _now: Time, _draw: &mut fastrand::Rng) -> Option<Pick> {
        let backends = candidates.len();
        let start = if self.cursor < backends { self.cursor } else { 0 };
        let backend = (start..backends).chain(0..start).find(|i| candidates[*i].up)?;
        // From the one picked, not from where the search began: else the neighbour of a down backend takes its share.
        self.cursor = backend + 1;
        Some(Pick::new(backend, Reason::RoundRobin))
    }

    fn observe(&mut self, _candidates: &[Candidate], seen: &Observation, _now: Time) {
        self.averages.observe(seen);
    }

    fn score(&self, _backend: usize, _candidates: &[Candidate], _now: Time) -> Option<f64> {
        None
    }

    fn rebuild(&mut self, keep: &[Option<usize>]) {
        self.averages.rebuild(keep);
    }
}
