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

    /// Whether nobody else gets requests, health aside.
    pub fn is_last_open(&self, backend: usize) -> bool {
        let mut others = self.backends.iter().enumerate().filter(|(index, _)| *index != backend);
        self.is_open(backend) && others.all(|(_, other)| other.is_closed())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BackendConfig;
    use crate::upstream::{Closed, Limits};

    fn configs(ports: &[u16]) -> Vec<BackendConfig> {
        ports.iter().map(|port| BackendConfig::at(([127, 0, 0, 1], *port).into())).collect()
    }

    const LIMITS: Limits =
        Limits { idle_max: std::time::Duration::from_secs(60), in_flight_max: u32::MAX, ejection: None };

    fn up(table: &mut Upstreams) -> Vec<bool> {
        let _ = table.refresh(0, true, Time::ZERO);
        table.candidates().iter().map(|candidate| candidate.up).collect()
    }

    #[test]
    fn drained_ones_are_never_up_not_even_when_all_others_are_out() {
        let mut table = Upstreams::new(&configs(&[1, 2, 3]), LIMITS);
        assert!(table.set_drained(0, true, Time::ZERO) && !table.set_drained(0, true, Time::ZERO));
        assert_eq!((up(&mut table), table.is_last_open(1)), (vec![false, true, true], false));
        table.set_down(1, true);
        table.set_down(2, true);
        assert!(table.is_panicking());
        assert_eq!(up(&mut table), [false, true, true]);
        table.set_drained(1, true, Time::ZERO);
        assert!(table.is_last_open(2) && !table.is_last_open(0));
        table.set_drained(2, true, Time::ZERO);
        assert_eq!(table.refresh(0, true, Time::ZERO), Err(Closed::Out), "and nobody waits for any");
    }

    #[test]
    fn who_comes_back_has_just_joined_whatever_brought_it_back() {
        let mut table = Upstreams::new(&configs(&[1, 2, 3]), LIMITS);
        let at = Time::from_millis;
        table.set_drained(0, true, at(1));
        table.set_drained(0, false, at(2));
        table.set_drained(1, true, at(3));
        table.adopt(&configs(&[1, 2]), LIMITS, at(4)); // which undoes the order, and the third is gone
        table.adopt(&configs(&[1, 2, 3]), LIMITS, at(5));
        let joined: Vec<Time> = table.candidates().iter().map(|candidate| candidate.joined).collect();
        assert_eq!(joined, [at(2), at(4), at(5)]);
    }
}
