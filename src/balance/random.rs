//! `random`: each request to a backend drawn in proportion to its weight. The baseline that knows nothing.

use super::{Candidate, Observation, Pick, Policy, Reason};
use crate::clock::Time;

/// No state at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

impl Policy for Random {
    fn pick(&mut self, candidates: &[Candidate], _now: Time, draw: &mut fastrand::Rng) -> Option<Pick> {
        let up = || candidates.iter().enumerate().filter(|(_, candidate)| candidate.up);
        let total: f64 = up().map(|(_, candidate)| candidate.weight).sum();
        let mut left = draw.f64() * total;
        let mut last = None;
        for (index, candidate) in up() {
            last = Some(index);
            left -= candidate.weight;
            if left < 0.0 {
                break;
            }
        }
        // Rounding may leave a hair over after the last one; it is then the last one's.
        last.map(|backend| Pick::new(backend, Reason::Drawn))
    }

    fn observe(&mut self, _candidates: &[Candidate], _seen: &Observation, _now: Time) {}

    fn score(&self, _backend: usize, _candidates: &[Candidate], _now: Time) -> Option<f64> {
        None
    }

    fn rebuild(&mut self, _keep: &[Option<usize>]) {}
}
