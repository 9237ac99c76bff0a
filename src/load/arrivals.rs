//! When the requests of an open loop are due. Pure: seed and times are arguments.

use std::time::Duration;

use crate::clock::Time;

/// How the requests of an open loop are spread over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spacing {
    /// As from many clients who know nothing of each other: exponential gaps.
    #[default]
    Poisson,
    /// Evenly.
    Constant,
}

/// The times still to come, in order.
#[derive(Debug)]
pub(crate) struct Arrivals {
    spacing: Spacing,
    gap_nanos: f64,
    random: fastrand::Rng,
    /// Sum of the gaps so far. A float holds whole nanoseconds exactly for a hundred days, and keeps the fractions
    /// that would otherwise add up to another rate.
    at_nanos: f64,
    origin: Time,
    end: Time,
}

impl Arrivals {
    /// `rate` per second from `origin` until `end`.
    pub(crate) fn new(rate: f64, spacing: Spacing, seed: u64, origin: Time, end: Time) -> Arrivals {
        let random = fastrand::Rng::with_seed(seed);
        let mut arrivals = Arrivals { spacing, gap_nanos: 1e9 / rate, random, at_nanos: 0.0, origin, end };
        if spacing == Spacing::Poisson {
            arrivals.take(); // evenly spaced ones begin at once, random ones after a gap
        }
        arrivals
    }

    /// When the next request is due, if there is to be another.
    pub(crate) fn next(&self) -> Option<Time> {
        let at = self.origin.plus(Duration::from_nanos(self.at_nanos as u64));
        (at < self.end).then_some(at)
    }

    /// The next request is under way.
    pub(crate) fn take(&mut self) {
        self.at_nanos += match self.spacing {
            Spacing::Constant => self.gap_nanos,
            // By inversion; 1 - u is never 0.
            Spacing::Poisson => -(1.0 - self.random.f64()).ln() * self.gap_nanos,
        };
    }

    /// Nothing is due from `end` on, if that is earlier than planned.
    pub(super) fn end_at(&mut self, end: Time) {
        self.end = self.end.min(end);
    }

    /// How many were due and never taken.
    pub(super) fn left_over(&mut self) -> u64 {
        let mut count = 0;
        while self.next().is_some() {
            self.take();
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(rate: f64, spacing: Spacing, seed: u64, seconds: u64) -> Vec<Time> {
        let mut arrivals = Arrivals::new(rate, spacing, seed, Time::ZERO, Time::from_millis(seconds * 1000));
        std::iter::from_fn(|| {
            let at = arrivals.next();
            arrivals.take();
            at
        })
        .collect()
    }

    #[test]
    fn constant_gaps_do_not_drift() {
        let times = times(3.0, Spacing::Constant, 0, 1000);
        assert_eq!(times.len(), 3000);
        assert_eq!(times[0], Time::ZERO);
        assert!(times[2997].as_millis_f64() - 999_000.0 < 0.001);
    }

    #[test]
    fn random_gaps_have_the_rate_and_the_spread_of_a_poisson_process() {
        let times = times(1000.0, Spacing::Poisson, 7, 100);
        assert!((times.len() as f64 - 100_000.0).abs() < 4.0 * 316.0, "{}", times.len()); // four standard deviations
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1].since(pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{}", variance.sqrt() / mean);
    }

    #[test]
    fn one_seed_is_one_sequence() {
        assert_eq!(times(50.0, Spacing::Poisson, 3, 2), times(50.0, Spacing::Poisson, 3, 2));
        assert_ne!(times(50.0, Spacing::Poisson, 3, 2), times(50.0, Spacing::Poisson, 4, 2));
    }

    #[test]
    fn what_is_left_over_is_counted_up_to_an_earlier_end() {
        let mut arrivals = Arrivals::new(10.0, Spacing::Constant, 0, Time::ZERO, Time::from_millis(10_000));
        arrivals.take();
        arrivals.end_at(Time::from_millis(1_000));
        assert_eq!(arrivals.left_over(), 9);
        assert_eq!(arrivals.next(), None);
    }
}
