//! Which request tries a backend whose time out is over.
//!
//! One that could be sent again elsewhere costs its client nothing should the trial fail. But where none such comes, as
//! in front of an API that is asked by POST only, another has to do it, or the backend would stay out for good.
//! Absent: when a time out is over, and what the trial's answer decides (health.rs).

use std::time::Duration;

use super::health::Usable;
use super::{Backend, Upstreams};
use crate::clock::Time;

/// How long a trial that is due waits for a request that can be sent again.
const PATIENCE: Duration = Duration::from_secs(1);

impl Upstreams {
    /// One trial that is due becomes the only choice of a request that may make it, and no choice of one that may not.
    pub(super) fn set_trials_apart(&mut self, fit: bool, now: Time) {
        // One that is used although it is out needs no trial.
        let panic = self.panic;
        let is_trial =
            |backend: &Backend| backend.health.usable(now) == Usable::Trial && !panic.ignores(backend);
        let may_try = |backend: &Backend| {
            let waited = backend.health.out_until().is_some_and(|until| until.plus(PATIENCE) <= now);
            is_trial(backend) && (fit || waited)
        };
        let up = || {
            self.backends.iter().zip(&self.candidates).enumerate().filter(|(_, (_, candidate))| candidate.up)
        };
        let trial = up().find(|(_, (backend, _))| may_try(backend)).map(|(index, _)| index);
        let others = up().any(|(_, (backend, _))| !is_trial(backend));
        if let Some(trial) = trial {
            for (index, candidate) in self.candidates.iter_mut().enumerate() {
                candidate.up = index == trial;
            }
        } else if others {
            for (backend, candidate) in self.backends.iter().zip(&mut self.candidates) {
                candidate.up &= !is_trial(backend);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::health::{Change, Ejection, Verdict};
    use super::super::{Entered, Limits};
    use super::*;
    use crate::config::BackendConfig;

    #[test]
    fn what_cannot_be_sent_again_tries_a_backend_only_when_nothing_else_has() {
        let configs = [1, 2].map(|port| BackendConfig::at(([127, 0, 0, 1], port).into()));
        let limits = Limits {
            idle_max: Duration::from_secs(60),
            in_flight_max: u32::MAX,
            ejection: Some(Ejection::default()),
        };
        let mut table = Upstreams::new(&configs, limits);
        let entered = Entered { in_flight_before: 0, trial: false };
        let mut draw = fastrand::Rng::with_seed(1);
        let put_out =
            (0..5).find_map(|_| table.record(0, entered, Verdict::Failure, || None, Time::ZERO, &mut draw));
        let Some(Change::Ejected { until, .. }) = put_out else { panic!("{put_out:?}") };
        let mut up = |fit: bool, now: Time| {
            assert_eq!(table.refresh(0, fit, now), Ok(()));
            [0, 1].map(|index| table.candidates()[index].up)
        };
        let (early, late) = (Time::ZERO.plus(Duration::from_millis(1)), until.plus(PATIENCE));
        assert_eq!(
            (up(true, early), up(false, early)),
            ([false, true], [false, true]),
            "its time is not over"
        );
        assert_eq!((up(true, until), up(false, until)), ([true, false], [false, true]));
        assert_eq!((up(true, late), up(false, late)), ([true, false], [true, false]));
    }
}
