//! `p2c`: two distinct backends drawn at random, the one with fewer requests in flight gets it.
//!
//! (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001.)

use super::{Candidate, Observation, Pick, Policy, Reason};
use crate::clock::Time;

/// No state at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct TwoChoices;

/// Two distinct candidates that are up, in drawn order; the same one twice when only one is.
pub(super) fn draw_two(candidates: &[Candidate], draw: &mut fastrand::Rng) -> Option<(usize, usize)> {
    let up = candidates.iter().filter(|candidate| candidate.up).count();
    if up == candidates.len() && up > 1 {
        let first = draw.usize(..up);
        let second = draw.usize(..up - 1);
        return Some((first, second + usize::from(second >= first)));
    }
    let nth_up =
        |n: usize| candidates.iter().enumerate().filter(|(_, candidate)| candidate.up).nth(n).map(|(i, _)| i);
    match up {
        0 => None,
        1 => nth_up(0).map(|only| (only, only)),
        _ => {
            let first = draw.usize(..up);
            let second = draw.usize(..up - 1);
            nth_up(first).zip(nth_up(second + usize::from(second >= first)))
        }
    }
}

/// Counts the request to be placed, so that weights matter on an idle pool too.
fn load(candidate: &Candidate) -> f64 {
    (f64::from(candidate.in_flight) + 1.0) / candidate.weight
}

impl Policy for TwoChoices {
    fn pick(&mut self, candidates: &[Candidate], _now: Time, draw: &mut fastrand::Rng) -> Option<Pick> {
        let (first, second) = draw_two(candidates, draw)?;
        let backend = if load(&candidates[second]) < load(&candidates[first]) { second } else { first };
        Some(Pick::new(backend, Reason::Drawn))
    }

    fn observe(&mut self, _candidates: &[Candidate], _seen: &Observation, _now: Time) {}

    fn score(&self, backend: usize, candidates: &[Candidate], _now: Time) -> Option<f64> {
        candidates.get(backend).map(load)
    }

    fn rebuild(&mut self, _keep: &[Option<usize>]) {}
}
