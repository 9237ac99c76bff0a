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

    /// Takes over where others have moved it. Whoever comes back in does so as after a good trial of our own.
    pub fn adopt(&mut self, standing: Standing) {
        let was_out = self.is_out();
        self.strikes = standing.strikes;
        self.state = match standing.place {
            Place::In => State::In,
            Place::Out(until) => State::Out { until },
            Place::Trial(until) => State::Trial { until },
        };
        if was_out && self.state == State::In {
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
