//! `p2c`: two distinct backends drawn at random, by weight, the one with fewer requests in flight for its weight gets it; of
//! equals the first drawn.
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

fn load(candidate: &Candidate) -> f64 {
    f64::from(candidate.in_flight) / candidate.weight
}

/// Two distinct candidates that are up, in drawn order, the heavier the likelier; the same one twice when only one is.
fn draw_two_by_weight(candidates: &[Candidate], draw: &mut fastrand::Rng) -> Option<(usize, usize)> {
    let all =
        candidates.iter().filter(|candidate| candidate.up).map(|candidate| candidate.weight).sum::<f64>();
    let first = draw_one(candidates, None, draw.f64() * all)?;
    let others = all - candidates[first].weight;
    Some((first, draw_one(candidates, Some(first), draw.f64() * others).unwrap_or(first)))
}

/// The one at whom the weights of those up, one behind the other, reach this far; the last one when rounding falls short.
fn draw_one(candidates: &[Candidate], but: Option<usize>, far: f64) -> Option<usize> {
    let up = candidates.iter().enumerate().filter(|(index, candidate)| candidate.up && but != Some(*index));
    let (mut left, mut last) = (far, None);
    for (index, candidate) in up {
        last = Some(index);
        left -= candidate.weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

impl Policy for TwoChoices {
    fn pick(&mut self, candidates: &[Candidate], _now: Time, draw: &mut fastrand::Rng) -> Option<Pick> {
        let are_alike = candidates.windows(2).all(|two| two[0].weight == two[1].weight);
        let (first, second) =
            if are_alike { draw_two(candidates, draw) } else { draw_two_by_weight(candidates, draw) }?;
        let backend = if load(&candidates[second]) < load(&candidates[first]) { second } else { first };
        Some(Pick::new(backend, Reason::Drawn))
    }

    fn observe(&mut self, _candidates: &[Candidate], _seen: &Observation, _now: Time) {}

    fn score(&self, backend: usize, candidates: &[Candidate], _now: Time) -> Option<f64> {
        candidates.get(backend).map(load)
    }

    fn rebuild(&mut self, _keep: &[Option<usize>]) {}
}
