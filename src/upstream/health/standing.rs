//! Health that is shared with other workers: where this one thinks a backend stands, and adopting what they say.
//!
//! Absent: how it travels (bulletin/).

use super::{Health, State, Verdict};
use crate::bulletin::{Place, Standing};

impl Health {
    /// Where it stands, for the others.
    pub fn to_share(&self) -> Standing {
        let place = match self.state {
            State::In => Place::In,
            State::Out { until } => Place::Out(until),
            State::Trial { until } => Place::Trial(until),
        };
        Standing { place, strikes: self.strikes }
    }

    /// Takes over where others have moved it. Whoever is back in is so as after a good trial of our own, even if we slept
    /// while it was out: what it failed before then no longer counts.
    pub fn adopt(&mut self, standing: Standing) {
        self.strikes = standing.strikes;
        self.state = match standing.place {
            Place::In => State::In,
            Place::Out(until) => State::Out { until },
            Place::Trial(until) => State::Trial { until },
        };
        if self.state == State::In {
            self.failure_rate = 0.0;
            self.failures_in_a_row = 0;
        }
    }

    /// Counts a verdict another worker has had. It moves nothing: whoever has the next failure acts on the sum, and
    /// says so to all.
    pub fn hear(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Ok => {
                self.count(0.0);
                self.failures_in_a_row = 0;
            }
            Verdict::Failure => {
                self.count(1.0);
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
            }
            Verdict::Soft => self.count(1.0),
            Verdict::Abandoned => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ejection;
    use super::*;
    use crate::clock::Time;

    /// It slept while the others put a backend out, tried it and let it in again: of what it hears of the failures
    /// before, nothing is left that could put the backend out at its next one.
    #[test]
    fn who_slept_through_it_all_begins_anew_like_the_others() {
        let mut health = Health::default();
        (0..7).for_each(|_| health.hear(Verdict::Failure));
        health.adopt(Standing { place: Place::In, strikes: 1 });
        assert_eq!((health.failure_rate(), health.strikes()), (0.0, 1));
        let (limits, mut draw) = (Ejection::default(), fastrand::Rng::with_seed(1));
        for _ in 1..limits.consecutive {
            assert_eq!(health.record(Verdict::Failure, false, Time::ZERO, &limits, &mut draw), None);
        }
        assert!(health.record(Verdict::Failure, false, Time::ZERO, &limits, &mut draw).is_some());
    }
}
