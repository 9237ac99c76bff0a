//! What becomes of the verdict on an answer: the backend's health, and whether the request is to blame instead.
//!
//! Absent: what a verdict is and does (health.rs), and how the blame is found (blame.rs).

use std::time::Duration;

use super::blame::Marks;
use super::health::{Change, Verdict};
use super::{Backend, Entered, Upstreams};
use crate::clock::Time;

impl Upstreams {
    /// An answer of this backend has stalled. Whether that counts: once in the time that a stall takes to be noticed.
    pub fn charges_stall(&mut self, backend: usize, span: Duration, now: Time) -> bool {
        let counted = &mut self.backends[backend].stalled;
        let counts = counted.is_none_or(|last| now.since(last) >= span);
        if counts {
            *counted = Some(now); // from one that counts to the next, or stalls that never cease would count once
        }
        counts
    }

    /// Takes the verdict on a dispatch: what it changes, if anything. `marks` says what may be to blame for a failure besides
    /// the backend; nothing, if it could not be connected to.
    pub fn record(
        &mut self,
        backend: usize,
        entered: Entered,
        verdict: Verdict,
        marks: impl FnOnce() -> Option<Marks>,
        now: Time,
        draw: &mut fastrand::Rng,
    ) -> Option<Change> {
        let limits = self.limits.ejection.as_ref()?;
        let Backend { health, blame, .. } = &mut self.backends[backend];
        if verdict == Verdict::Ok {
            if blame.is_curious(now)
                && let Some(marks) = marks()
            {
                blame.note_good(marks, now);
            }
        } else if verdict == Verdict::Failure {
            if !health.is_failing() {
                blame.end_run();
            }
            blame.note_failure(marks());
            if health.is_at_its_last(limits) && blame.is_excused(now) {
                tracing::debug!(backend, "failures in a row, all of one kind that others do not have");
                health.hold(limits);
                self.candidates[backend].failure_rate = health.failure_rate();
                return None;
            }
        }
        let change = health.record(verdict, entered.trial, now, limits, draw);
        self.candidates[backend].failure_rate = health.failure_rate();
        if let Some(change) = change {
            self.backends[backend].put_out_for = match change {
                Change::Ejected { reason, .. } => Some(reason),
                Change::Readmitted => None,
            };
            self.count_out();
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::super::health::{Ejection, Reason};
    use super::*;
    use crate::config::BackendConfig;

    const FINE: fn() -> Option<Marks> = || Some(Marks::new(1, b"GET", b"/", 100));
    const ODD: fn() -> Option<Marks> = || Some(Marks::new(2, b"PURGE", b"/", 100));

    fn table() -> Upstreams {
        let limits = Limits {
            idle_max: std::time::Duration::from_secs(60),
            in_flight_max: u32::MAX,
            ejection: Some(Ejection::default()),
        };
        Upstreams::new(&[BackendConfig::at(([127, 0, 0, 1], 1).into())], limits)
    }

    fn record(table: &mut Upstreams, verdict: Verdict, marks: fn() -> Option<Marks>) -> Option<Change> {
        let entered = Entered { in_flight_before: 0, trial: false };
        table.record(0, entered, verdict, marks, Time::ZERO, &mut fastrand::Rng::with_seed(1))
    }

    #[test]
    fn one_kind_of_request_is_held_and_counted_until_another_fails_too() {
        let mut table = table();
        record(&mut table, Verdict::Ok, FINE);
        assert!((0..50).all(|_| record(&mut table, Verdict::Failure, ODD).is_none()));
        assert!(table.candidates()[0].failure_rate > 0.99);
        let change = record(&mut table, Verdict::Failure, FINE);
        assert!(matches!(change, Some(Change::Ejected { reason: Reason::Consecutive(5), .. })), "{change:?}");
    }

    #[test]
    fn what_was_fine_and_fails_now_puts_a_backend_out_after_five() {
        let mut table = table();
        record(&mut table, Verdict::Ok, FINE);
        record(&mut table, Verdict::Ok, ODD); // too soon to be looked at
        assert_eq!((0..9).position(|_| record(&mut table, Verdict::Failure, FINE).is_some()), Some(4));
    }

    #[test]
    fn stalls_that_go_on_count_once_in_each_span() {
        let mut table = table();
        let span = Duration::from_secs(30);
        let counted: Vec<u64> = (0..100)
            .filter(|second| table.charges_stall(0, span, Time::ZERO.plus(Duration::from_secs(*second))))
            .collect();
        assert_eq!(counted, [0, 30, 60, 90]);
    }

    #[test]
    fn who_cannot_be_connected_to_is_put_out_whoever_asks() {
        let mut table = table();
        record(&mut table, Verdict::Ok, FINE);
        assert_eq!((0..9).position(|_| record(&mut table, Verdict::Failure, || None).is_some()), Some(4));
    }
}
