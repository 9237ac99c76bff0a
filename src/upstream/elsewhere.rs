//! What other workers know and have of the same backends, when there are any.
//!
//! A policy is to see the requests of all workers in flight, so they are added to the candidates' counts; what this
//! worker has itself is the difference. Absent: how it is learned (bulletin/).

use super::Upstreams;
use super::health::Verdict;
use crate::bulletin::Standing;

impl Upstreams {
    /// Requests this worker has in flight on a backend.
    pub fn in_flight(&self, backend: usize) -> u32 {
        self.candidates[backend].in_flight - self.elsewhere(backend)
    }

    /// Requests others have in flight there; 0 when there are no others.
    pub(super) fn elsewhere(&self, backend: usize) -> u32 {
        self.elsewhere.get(backend).copied().unwrap_or(0)
    }

    /// Others have so many requests in flight on a backend.
    pub fn set_elsewhere(&mut self, backend: usize, in_flight: u32) {
        if self.elsewhere.len() <= backend {
            self.elsewhere.resize(self.backends.len().max(backend + 1), 0);
        }
        let own = self.in_flight(backend);
        let in_flight = in_flight.min(u32::MAX / 2); // a sum that cannot overflow, whatever was read
        self.elsewhere[backend] = in_flight;
        self.candidates[backend].in_flight = own + in_flight;
    }

    /// Forgets what others have in flight, until it is told anew.
    pub(super) fn forget_elsewhere(&mut self) {
        for (candidate, elsewhere) in self.candidates.iter_mut().zip(self.elsewhere.drain(..)) {
            candidate.in_flight -= elsewhere;
        }
    }

    /// Counts a verdict another worker has had.
    pub fn hear(&mut self, backend: usize, verdict: Verdict) {
        if self.limits.ejection.is_some() {
            if !self.backends[backend].health.is_failing() {
                self.backends[backend].blame.end_run(); // what it is of is not told
            }
            self.backends[backend].health.hear(verdict);
            self.candidates[backend].failure_rate = self.backends[backend].health.failure_rate();
        }
    }

    /// Others have moved a backend. True when it is back in.
    pub fn adopt_standing(&mut self, backend: usize, standing: Standing) -> bool {
        if self.limits.ejection.is_none() {
            return false; // nobody here would let it in again
        }
        let entry = &mut self.backends[backend];
        let was_out = entry.health.is_out();
        entry.health.adopt(standing);
        entry.unreachable = false; // whoever put it out looks whether it is back,
        entry.put_out_for = None; // and knows why
        self.candidates[backend].failure_rate = entry.health.failure_rate();
        let is_back = was_out && !entry.health.is_out();
        self.count_out();
        is_back
    }

    /// Whether it fails its active checks.
    pub fn is_down(&self, backend: usize) -> bool {
        self.backends[backend].down
    }
}
