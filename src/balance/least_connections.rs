//! `least-connections`: the fewest requests in flight per unit of weight; ties in smooth weighted round robin.
//!
//! The tie rule is what carries the weights when the pool is idle, where every count is zero: each tied backend earns
//! its weight, the richest is picked and pays what was earned. With equal weights that is plain rotation.

use super::{Candidate, Observation, Pick, Policy, Reason, remap};
use crate::clock::Time;

/// One credit per backend for the tie rule.
#[derive(Clone, Debug)]
pub struct LeastConnections {
    credit: Vec<f64>,
}

impl LeastConnections {
    /// All credits equal.
    pub fn new(backends: usize) -> LeastConnections {
        LeastConnections { credit: vec![0.0; backends] }
    }
}

fn load(candidate: &Candidate) -> f64 {
    f64::from(candidate.in_flight) / candidate.weight
}

impl Policy for LeastConnections {
    fn pick(&mut self, candidates: &[Candidate], _now: Time, _draw: &mut fastrand::Rng) -> Option<Pick> {
        let least =
            candidates.iter().filter(|candidate| candidate.up).map(load).fold(f64::INFINITY, f64::min);
        let mut earned = 0.0;
        let mut best: Option<(usize, f64)> = None;
        for (index, (candidate, credit)) in candidates.iter().zip(&mut self.credit).enumerate() {
            if candidate.up && load(candidate) <= least {
                *credit += candidate.weight;
                earned += candidate.weight;
                if best.is_none_or(|(_, most)| *credit > most) {
                    best = Some((index, *credit));
                }
            }
        }
        let (backend, _) = best?;
        self.credit[backend] -= earned;
        Some(Pick::new(backend, Reason::Best))
    }

    fn observe(&mut self, _candidates: &[Candidate], _seen: &Observation, _now: Time) {}

    fn score(&self, backend: usize, candidates: &[Candidate], _now: Time) -> Option<f64> {
        candidates.get(backend).map(load)
    }

    fn rebuild(&mut self, keep: &[Option<usize>]) {
        remap(&mut self.credit, keep, || 0.0);
    }
}
