//! Time as a value.
//!
//! Everything below the reactor is told the time; nothing here can ask for it. A [`Time`] is a count of
//! nanoseconds since an origin the caller chose (the reactor: its own start; the simulation: zero), so that adding,
//! comparing and storing one is plain integer work on the hot path and a fake clock is just a number.

use std::time::Duration;

/// A point in monotonic time, in nanoseconds since the owner's origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The origin itself.
    pub const ZERO: Time = Time(0);
    /// Later than every deadline: "no deadline".
    pub const NEVER: Time = Time(u64::MAX);

    /// A time `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// A time `micros` microseconds after the origin, saturating at [`Time::NEVER`].
    pub const fn from_micros(micros: u64) -> Time {
        Time(micros.saturating_mul(1_000))
    }

    /// A time `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Time {
        Time(millis * 1_000_000)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Milliseconds since the origin, with their fraction.
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The span since `earlier`; zero when `earlier` is in fact later (a clock may be read out of order).
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Microseconds since `earlier`, saturating at both ends.
    pub const fn micros_since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }

    /// This time moved later by `span`, saturating at [`Time::NEVER`].
    pub const fn plus(self, span: Duration) -> Time {
        let nanos = span.as_nanos();
        if nanos > u64::MAX as u128 { Time::NEVER } else { Time(self.0.saturating_add(nanos as u64)) }
    }
}

/// What the wall clock showed at one time: makes unix time of any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wall {
    /// When it was looked at.
    pub at: Time,
    /// Milliseconds since 1970 then.
    pub unix_ms: u64,
}

impl Wall {
    /// Milliseconds since 1970 at `time`.
    pub const fn unix_ms(self, time: Time) -> u64 {
        let nanos = time.0 as i128 - self.at.0 as i128;
        let millis = self.unix_ms as i128 + nanos / 1_000_000;
        if millis < 0 { 0 } else { millis as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_reaches_both_ways() {
        let wall = Wall { at: Time::from_millis(500), unix_ms: 10_000 };
        assert_eq!((wall.unix_ms(Time::from_millis(700)), wall.unix_ms(Time::ZERO)), (10_200, 9_500));
    }

    #[test]
    fn differences_never_go_below_zero() {
        let (early, late) = (Time::from_millis(1), Time::from_millis(3));
        assert_eq!(late.since(early), Duration::from_millis(2));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(late.micros_since(early), 2_000);
        assert_eq!(early.micros_since(late), 0);
    }

    #[test]
    fn adding_saturates_at_never() {
        assert_eq!(Time::ZERO.plus(Duration::from_micros(7)), Time::from_micros(7));
        assert_eq!(Time::NEVER.plus(Duration::from_secs(1)), Time::NEVER);
        assert_eq!(Time::ZERO.plus(Duration::MAX), Time::NEVER);
    }
}
