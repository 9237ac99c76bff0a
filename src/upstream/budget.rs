//! A bound on retries in total, so that a failing pool is not flooded with second attempts as well.
//!
//! A bucket: each request puts a share of a retry in, each second a few more, each retry takes one out. Connects that
//! failed do not count: nothing was sent. Absent: which request may be retried at all (fault.rs).

use crate::clock::Time;

/// Seconds' worth of allowance the bucket holds at most, so that a quiet night does not pay for a storm.
const SECONDS_HELD: f64 = 10.0;

/// What may still be spent.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudget {
    share: f64,
    per_second: f64,
    tokens: f64,
    filled: Time,
}

impl RetryBudget {
    /// `percent` of the requests may be retried, and `per_second` more in any case.
    pub fn new(percent: u32, per_second: u32, now: Time) -> RetryBudget {
        let per_second = f64::from(per_second);
        RetryBudget { share: f64::from(percent) / 100.0, per_second, tokens: per_second, filled: now }
    }

    /// A request has come.
    pub fn deposit(&mut self) {
        self.tokens = (self.tokens + self.share).min(self.most());
    }

    /// Takes one retry out, if there is one.
    pub fn withdraw(&mut self, now: Time) -> bool {
        self.tokens = (self.tokens + self.per_second * now.since(self.filled).as_secs_f64()).min(self.most());
        self.filled = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    fn most(&self) -> f64 {
        // A share of requests is a rate nobody knows in advance: let it save up as much as a thousand requests bring.
        (self.per_second * SECONDS_HELD).max(self.share * 1000.0)
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
    fn a_quiet_night_does_not_pay_for_a_storm() {
        let mut budget = RetryBudget::new(20, 10, Time::ZERO);
        let morning = Time::from_millis(8 * 3600 * 1000);
        assert_eq!((0..10_000).filter(|_| budget.withdraw(morning)).count(), 200);
    }
}
