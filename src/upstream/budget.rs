//! A bound on retries in total, so that a failing pool is not flooded with second attempts as well.
//!
//! A bucket: each request puts a share of a retry in, each second a few more, each retry takes one out. Connects that
//! failed do not count: nothing was sent. Absent: which request may be retried at all (fault.rs).

use crate::clock::Time;

/// Seconds' worth of allowance the bucket holds at most, so that a quiet night does not pay for a storm.
const SECONDS_HELD: u64 = 10;
/// Requests' worth of it: a share of requests is a rate nobody knows in advance, so they may save up a little.
const REQUESTS_HELD: u64 = 1000;
/// One retry, in the unit the bucket counts in: small enough for a percent of a retry, and exact where a float is not.
const RETRY: u64 = 1_000_000_000;

/// What may still be spent.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudget {
    per_request: u64,
    per_second: u64,
    saved: u64,
    /// What it holds at most; twice that is still a number.
    most: u64,
    filled: Time,
}

impl RetryBudget {
    /// `percent` of the requests may be retried, and `per_second` more in any case.
    pub fn new(percent: u32, per_second: u32, now: Time) -> RetryBudget {
        let per_second = u64::from(per_second) * RETRY;
        let per_request = u64::from(percent) * (RETRY / 100);
        let held = per_second.saturating_mul(SECONDS_HELD).max(per_request.saturating_mul(REQUESTS_HELD));
        RetryBudget { per_request, per_second, saved: per_second, most: held.min(u64::MAX / 2), filled: now }
    }

    /// A request has come.
    pub fn deposit(&mut self) {
        self.saved = (self.saved + self.per_request).min(self.most);
    }

    /// Takes one retry out, if there is one.
    pub fn withdraw(&mut self, now: Time) -> bool {
        let since = now.since(self.filled).as_nanos().min(1_000_000_000 * u128::from(SECONDS_HELD)) as u64;
        let earned = (self.per_second / RETRY).saturating_mul(since); // RETRY units a second are one a nanosecond
        self.saved = self.saved.saturating_add(earned).min(self.most);
        self.filled = now;
        if self.saved < RETRY {
            return false;
        }
        self.saved -= RETRY;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_requests_and_a_few_a_second() {
        let mut budget = RetryBudget::new(20, 10, Time::ZERO);
        assert_eq!((0..100).filter(|_| budget.withdraw(Time::ZERO)).count(), 10);
        (0..100).for_each(|_| budget.deposit());
        assert_eq!((0..100).filter(|_| budget.withdraw(Time::ZERO)).count(), 20);
        assert_eq!((0..100).filter(|_| budget.withdraw(Time::from_millis(500))).count(), 5);
    }

    #[test]
    fn nothing_allowed_is_nothing() {
        let mut budget = RetryBudget::new(0, 0, Time::ZERO);
        budget.deposit();
        assert!(!budget.withdraw(Time::from_millis(1_000_000)));
    }

    #[test]
    fn a_floor_beyond_all_sense_does_not_wrap() {
        let mut budget = RetryBudget::new(100, u32::MAX, Time::ZERO);
        assert!(budget.withdraw(Time::from_millis(60_000)));
        (0..10).for_each(|_| budget.deposit());
        assert!(budget.withdraw(Time::from_millis(60_000)));
    }

    #[test]
    fn a_quiet_night_does_not_pay_for_a_storm() {
        let mut budget = RetryBudget::new(20, 10, Time::ZERO);
        let morning = Time::from_millis(8 * 3600 * 1000);
        // What it began with, and ten seconds' worth.
        assert_eq!((0..10_000).filter(|_| budget.withdraw(morning)).count(), 110);
    }
}
