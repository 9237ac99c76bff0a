//! Passive health of one backend: its failure rate, when it is put out, and how it comes back.
//!
//! Five failures in a row put a backend out for a second, twice as long each time up to ten, with a tenth of jitter so
//! that several do not return in step. Then exactly one request tries it; that answer decides. When more than half of
//! the backends are out the judgement is more likely wrong than right (or the fault is ours), and [`panicking`] says
//! to use them all. The original's three modes have no ejection: do not ask this module there.
//!
//! Deliberately absent: counting what is in flight, retries, and active checks.

mod standing;

use std::fmt;
use std::time::Duration;

use crate::clock::Time;
use crate::config::Ejector;

/// Weight of the newest answer in the failure rate.
const FAILURE_RATE_ALPHA: f64 = 0.1;
/// Below this a failure rate is no failure rate; keeps the decay from creeping through denormals.
const FAILURE_RATE_MIN: f64 = 1e-6;
/// Strikes beyond this no longer count.
const STRIKES_MAX: u32 = 10;

/// When a backend is put out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ejection {
    /// Failures in a row that put a backend out.
    pub consecutive: u32,
    /// The first time out.
    pub base: Duration,
    /// The longest, jitter excluded.
    pub max: Duration,
    /// Share of the backends, 0..=1, beyond which being out is ignored.
    pub max_ejected_share: f64,
}

impl Default for Ejection {
    fn default() -> Ejection {
        Ejector::default().into()
    }
}

impl From<Ejector> for Ejection {
    /// As configured.
    fn from(ejector: Ejector) -> Ejection {
        Ejection {
            consecutive: ejector.failures,
            base: ejector.time,
            max: ejector.time_max,
            max_ejected_share: f64::from(ejector.share_max) / 100.0,
        }
    }
}

/// Whether a backend may be given a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usable {
    /// It is in.
    Yes,
    /// Its time out is over: one request may try it.
    Trial,
    /// It is out, or its trial is still running.
    No,
}

/// Where a backend stands, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in.
    In,
    /// It is out.
    Out,
    /// One request is trying it.
    Trial,
}

/// What an answer says about the backend's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A good answer.
    Ok,
    /// Connect error, reset or close before the head, time-out, malformed answer, 500, 502, 503 or 504.
    Failure,
    /// 429: it is alive but wants less. Counts in the failure rate only.
    Soft,
    /// The client went away first: nobody's failure.
    Abandoned,
}

impl Verdict {
    /// The verdict on a complete response head.
    pub const fn of_status(status: u16) -> Verdict {
        match status {
            500 | 502..=504 => Verdict::Failure,
            429 => Verdict::Soft,
            _ => Verdict::Ok,
        }
    }
}

/// Why a backend was put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This many failures in a row.
    Consecutive(u32),
    /// The trial request failed.
    Trial,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Consecutive(failures) => write!(f, "{failures} failures in a row"),
            Reason::Trial => f.write_str("trial request failed"),
        }
    }
}

/// An event worth a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Put out.
    Ejected {
        /// When a trial may be made.
        until: Time,
        /// Why.
        reason: Reason,
    },
    /// Back in after a good trial.
    Readmitted,
}

/// Health of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Health {
    failure_rate: f64,
    failures_in_a_row: u32,
    strikes: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    In,
    Out {
        until: Time,
    },
    /// Its time is over and one request is trying it.
    Trial {
        until: Time,
    },
}

impl Health {
    /// Decayed share of failures among its answers, 0..=1.
    pub const fn failure_rate(&self) -> f64 {
        self.failure_rate
    }

    /// How often it was put out of late, less the times it came back.
    pub const fn strikes(&self) -> u32 {
        self.strikes
    }

    /// Whether it is out, waiting for its trial or for that trial's answer.
    pub fn is_out(&self) -> bool {
        self.state != State::In
    }

    /// Where it stands.
    pub const fn standing(&self) -> Standing {
        match self.state {
            State::In => Standing::In,
            State::Out { .. } => Standing::Out,
            State::Trial { .. } => Standing::Trial,
        }
    }

    /// Until when it is out; `None` when in. Earlier than now while a trial is due or running.
    pub const fn out_until(&self) -> Option<Time> {
        match self.state {
            State::In => None,
            State::Out { until } | State::Trial { until } => Some(until),
        }
    }

    /// Whether it may be given a request at `now`, panic aside.
    pub fn usable(&self, now: Time) -> Usable {
        match self.state {
            State::In => Usable::Yes,
            State::Out { until } if now >= until => Usable::Trial,
            State::Out { .. } | State::Trial { .. } => Usable::No,
        }
    }

    /// Whether its last answer, or none, was a failure.
    pub const fn is_failing(&self) -> bool {
        self.failures_in_a_row > 0
    }

    /// Whether one more failure puts it out.
    pub fn is_at_its_last(&self, limits: &Ejection) -> bool {
        self.state == State::In && self.failures_in_a_row + 1 >= limits.consecutive.max(1)
    }

    /// There is reason to think it well again: its trial may come at once.
    pub fn end_time_out(&mut self, now: Time) {
        if let State::Out { until } = &mut self.state {
            *until = now.min(*until);
        }
    }

    /// A request was dispatched to it. True when that is the trial: hand the same to [`Health::record`] with its
    /// answer, so that late answers to older requests are not taken for it.
    pub fn dispatched(&mut self, now: Time) -> bool {
        match self.state {
            State::Out { until } if now >= until => {
                self.state = State::Trial { until };
                true
            }
            _ => false,
        }
    }

    /// Takes the verdict on one answer; `trial` is what [`Health::dispatched`] returned for that request.
    ///
    /// Every dispatched trial must be recorded, [`Verdict::Abandoned`] at the least, or the backend stays out.
    pub fn record(
        &mut self,
        verdict: Verdict,
        trial: bool,
        now: Time,
        limits: &Ejection,
        draw: &mut fastrand::Rng,
    ) -> Option<Change> {
        let trial_until = match self.state {
            State::Trial { until } if trial => Some(until),
            _ => None,
        };
        match verdict {
            Verdict::Ok => {
                self.count(0.0);
                self.failures_in_a_row = 0;
                trial_until.map(|_| self.readmit())
            }
            Verdict::Failure => {
                self.count(1.0);
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                if trial_until.is_some() {
                    Some(self.eject(Reason::Trial, now, limits, draw))
                } else if self.state == State::In && self.failures_in_a_row >= limits.consecutive.max(1) {
                    Some(self.eject(Reason::Consecutive(self.failures_in_a_row), now, limits, draw))
                } else {
                    None
                }
            }
            Verdict::Soft | Verdict::Abandoned => {
                if verdict == Verdict::Soft {
                    self.count(1.0);
                }
                // The trial told nothing: the next request is one again.
                if let Some(until) = trial_until {
                    self.state = State::Out { until };
                }
                None
            }
        }
    }

    /// Takes a failure that is not to put it out: the next one may.
    pub fn hold(&mut self, limits: &Ejection) {
        self.count(1.0);
        self.failures_in_a_row = limits.consecutive.max(1) - 1;
    }

    fn count(&mut self, failure: f64) {
        let moved = self.failure_rate + FAILURE_RATE_ALPHA * (failure - self.failure_rate);
        self.failure_rate = if moved < FAILURE_RATE_MIN { 0.0 } else { moved };
    }

    fn readmit(&mut self) -> Change {
        self.state = State::In;
        self.strikes = self.strikes.saturating_sub(1);
        self.failure_rate = 0.0;
        Change::Readmitted
    }

    fn eject(&mut self, reason: Reason, now: Time, limits: &Ejection, draw: &mut fastrand::Rng) -> Change {
        let doubled = limits.base.saturating_mul(1 << self.strikes.min(STRIKES_MAX));
        let jitter = 0.9 + 0.2 * draw.f64();
        // Through u128 nanoseconds: `mul_f64` panics on overflow, and `max` is the user's.
        let nanos = (doubled.min(limits.max).as_nanos() as f64 * jitter) as u64;
        let until = now.plus(Duration::from_nanos(nanos));
        self.strikes = (self.strikes + 1).min(STRIKES_MAX);
        self.state = State::Out { until };
        Change::Ejected { until, reason }
    }
}

/// Whether so many are out that being out is to be ignored for now.
pub fn panicking(pool: impl IntoIterator<Item = bool>, share_max: f64) -> bool {
    let (mut all, mut out) = (0u32, 0u32);
    for is_out in pool {
        all += 1;
        out += u32::from(is_out);
    }
    f64::from(out) > share_max * f64::from(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        health: Health,
        limits: Ejection,
        draw: fastrand::Rng,
    }

    impl Bench {
        fn new() -> Bench {
            Bench {
                health: Health::default(),
                limits: Ejection::default(),
                draw: fastrand::Rng::with_seed(7),
            }
        }

        fn take(&mut self, verdict: Verdict, trial: bool, now: Time) -> Option<Change> {
            self.health.record(verdict, trial, now, &self.limits, &mut self.draw)
        }

        /// Fails until it is out; the time until its trial.
        fn eject(&mut self, now: Time) -> Time {
            loop {
                if let Some(Change::Ejected { until, .. }) = self.take(Verdict::Failure, false, now) {
                    return until;
                }
            }
        }
    }

    #[test]
    fn five_failures_in_a_row_put_it_out_and_a_success_between_starts_over() {
        let mut bench = Bench::new();
        for _ in 0..4 {
            assert_eq!(bench.take(Verdict::Failure, false, Time::ZERO), None);
        }
        bench.take(Verdict::Ok, false, Time::ZERO);
        for _ in 0..4 {
            assert_eq!(bench.take(Verdict::Failure, false, Time::ZERO), None);
        }
        assert_eq!(bench.health.usable(Time::ZERO), Usable::Yes);
        let change = bench.take(Verdict::Failure, false, Time::ZERO);
        assert!(matches!(change, Some(Change::Ejected { reason: Reason::Consecutive(5), .. })), "{change:?}");
        assert_eq!(bench.health.usable(Time::ZERO), Usable::No);
    }

    #[test]
    fn the_time_out_doubles_to_its_maximum_with_a_tenth_of_jitter() {
        let mut bench = Bench::new();
        let mut now = bench.eject(Time::ZERO);
        let mut spans = vec![now.as_millis_f64()];
        for _ in 0..14 {
            let trial = bench.health.dispatched(now);
            assert!(trial);
            let Some(Change::Ejected { until, reason: Reason::Trial }) =
                bench.take(Verdict::Failure, trial, now)
            else {
                panic!("a failed trial puts it out again")
            };
            spans.push(until.as_millis_f64() - now.as_millis_f64());
            now = until;
        }
        for (span, full) in spans.iter().zip([1e3, 2e3, 4e3, 8e3].into_iter().chain([1e4; 11])) {
            assert!((0.9 * full..=1.1 * full).contains(span), "{spans:?}");
        }
        assert!(spans[4..].windows(2).any(|pair| pair[0] != pair[1]), "no jitter: {spans:?}");
    }

    #[test]
    fn exactly_one_request_tries_it_and_a_success_readmits() {
        let mut bench = Bench::new();
        let until = bench.eject(Time::ZERO);
        assert!(!bench.health.dispatched(Time::from_millis(1)), "used in panic, not a trial");
        assert_eq!(bench.health.usable(until), Usable::Trial);
        assert!(bench.health.dispatched(until));
        assert_eq!(bench.health.usable(until), Usable::No);
        assert!(!bench.health.dispatched(until));
        // An answer to a request from before it was put out is not the trial's.
        assert_eq!(bench.take(Verdict::Ok, false, until), None);
        assert_eq!(bench.health.usable(until), Usable::No);
        assert_eq!(bench.take(Verdict::Ok, true, until), Some(Change::Readmitted));
        assert_eq!(bench.health.usable(until), Usable::Yes);
        assert_eq!((bench.health.failure_rate(), bench.health.strikes()), (0.0, 0));
    }

    #[test]
    fn a_trial_that_told_nothing_is_followed_by_another() {
        for verdict in [Verdict::Abandoned, Verdict::Soft] {
            let mut bench = Bench::new();
            let until = bench.eject(Time::ZERO);
            assert!(bench.health.dispatched(until));
            assert_eq!(bench.take(verdict, true, until), None);
            assert_eq!(bench.health.usable(until), Usable::Trial);
        }
    }

    #[test]
    fn the_failure_rate_moves_a_tenth_per_answer_and_429_counts_in_it_only() {
        let mut bench = Bench::new();
        for _ in 0..100 {
            assert_eq!(bench.take(Verdict::Soft, false, Time::ZERO), None);
        }
        assert!(bench.health.failure_rate() > 0.99);
        let before = bench.health.failure_rate();
        bench.take(Verdict::Abandoned, false, Time::ZERO);
        assert_eq!(bench.health.failure_rate(), before);
        bench.take(Verdict::Ok, false, Time::ZERO);
        assert!((bench.health.failure_rate() - 0.9 * before).abs() < 1e-12);
        for _ in 0..1000 {
            bench.take(Verdict::Ok, false, Time::ZERO);
        }
        assert_eq!(bench.health.failure_rate(), 0.0);
    }

    #[test]
    fn more_than_half_out_is_panic() {
        for (out, all, expected) in [(0, 3, false), (1, 3, false), (2, 3, true), (1, 2, false), (1, 1, true)]
        {
            let mut pool = vec![Health::default(); all];
            for health in &mut pool[..out] {
                health.state = State::Out { until: Time::NEVER };
            }
            let out_now = pool.iter().map(Health::is_out);
            assert_eq!(panicking(out_now, Ejection::default().max_ejected_share), expected, "{out} of {all}");
        }
    }

    #[test]
    fn statuses_that_count() {
        for (status, verdict) in [
            (200, Verdict::Ok),
            (404, Verdict::Ok),
            (429, Verdict::Soft),
            (500, Verdict::Failure),
            (501, Verdict::Ok),
            (502, Verdict::Failure),
            (504, Verdict::Failure),
            (505, Verdict::Ok),
        ] {
            assert_eq!(Verdict::of_status(status), verdict, "{status}");
        }
    }

    #[test]
    fn absurd_limits_do_not_panic() {
        let mut bench = Bench::new();
        bench.limits =
            Ejection { consecutive: 0, base: Duration::MAX, max: Duration::MAX, max_ejected_share: f64::NAN };
        assert!(matches!(bench.take(Verdict::Failure, false, Time::ZERO), Some(Change::Ejected { .. })));
        assert_eq!(bench.health.out_until(), Some(Time::NEVER));
    }
}
