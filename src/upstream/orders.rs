//! What somebody orders of the table on the page, and how a backend stands there.

use super::Upstreams;
use super::health::Standing;
use crate::clock::Time;
use crate::record::snapshot::State;

impl Upstreams {
    /// Has it get nothing new, or, with `false`, requests again: as one that has just joined, for nobody knows what it
    /// can take by now. Whether that is news.
    pub fn set_drained(&mut self, backend: usize, drained: bool, now: Time) -> bool {
        let news = self.backends[backend].drained != drained;
        self.backends[backend].drained = drained;
        if news && !drained {
            self.candidates[backend].joined = now;
        }
        self.count_out();
        news
    }

    /// Its capacity relative to the others from now on; finite and > 0.
    pub fn set_weight(&mut self, backend: usize, weight: f64) {
        self.backends[backend].config.weight = weight;
        self.candidates[backend].weight = weight;
    }

    /// Whether it gets requests, and why not, for display.
    pub fn state(&self, backend: usize) -> (State, Option<String>) {
        let backend = &self.backends[backend];
        match backend.health.standing() {
            _ if backend.removed => (State::Removed, Some("no longer configured".to_owned())),
            _ if backend.drained => (State::Draining, Some("drained by order".to_owned())),
            _ if backend.down => (State::Down, Some("fails its checks".to_owned())),
            Standing::In => (State::Up, None),
            Standing::Out => (State::Ejected, backend.put_out_for.map(|reason| reason.to_string())),
            Standing::Trial => (State::Trial, Some("one request is trying it".to_owned())),
        }
    }
}
