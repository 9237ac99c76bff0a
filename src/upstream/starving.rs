//! Whether requests of one backend go unanswered because its idle connections hold its workers.
//!
//! Some origins with few workers (SWI-Prolog's is such) wait on each kept connection in turn, for as long as their own
//! keep-alive allows, while requests on other connections queue behind it. From outside that looks like a slow answer.
//! So it is tried out: the idle connections are closed, and what had waited too long is looked at again a moment later.
//! Was half of it answered, closing helped; if not, the next try comes later. A backend of long polls costs a
//! few dials every ten seconds that way. Pure: told the time, and since when each request waits.

use std::time::Duration;

use crate::clock::Time;

/// A request that waits for this share of the upstream time-out (1 / n) is worth a try, in any case one that waits for
/// [`PATIENCE_MOST`].
const PATIENCE_SHARE: u32 = 10;
const PATIENCE_MOST: Duration = Duration::from_secs(1);
const PATIENCE_LEAST: Duration = Duration::from_millis(100);
/// Between two looks, as a share of the patience.
const LOOKS: u32 = 2;
/// A try has helped by then, as a share of the patience.
const HELPS_WITHIN: u32 = 4;
/// The pause behind a try in vain; behind the next ones 2 and 4 times as long. With the patience that is less than the
/// usual upstream time-out, so whoever waits then is helped in time.
const PAUSE_FIRST: Duration = Duration::from_secs(2);
const DOUBLINGS_MAX: u8 = 2;

/// How long a request may wait for its first byte before anybody looks for a cause.
pub(super) fn patience(upstream_timeout: Duration) -> Duration {
    (upstream_timeout / PATIENCE_SHARE).clamp(PATIENCE_LEAST, PATIENCE_MOST)
}

/// When connections may be closed again for the sake of requests that wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tries {
    next: Time,
    in_vain: u8,
}

impl Tries {
    /// No try before then.
    #[inline]
    pub(super) fn next(&self) -> Time {
        self.next
    }

    /// One has helped.
    pub(super) fn helped(&mut self, now: Time) {
        (self.next, self.in_vain) = (now, 0);
    }

    /// One has not: those that wait are slow.
    pub(super) fn was_in_vain(&mut self, now: Time) {
        self.next = now.plus(PAUSE_FIRST * (1 << self.in_vain));
        self.in_vain = (self.in_vain + 1).min(DOUBLINGS_MAX);
    }
}

/// Idle connections were closed then, when so many requests had waited for too long.
#[derive(Clone, Copy, Debug)]
struct Try {
    since: Time,
    waiting: u32,
}

/// What is known of the requests that wait for one backend.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Starving {
    next_look: Time,
    under_way: Option<Try>,
    /// Of the look that is under way: requests that have waited too long, and those that had when idle ones were closed.
    waiting: u32,
    still: u32,
}

impl Starving {
    /// When the next look is due.
    #[inline]
    pub(super) fn next_look(&self, tries: &Tries) -> Time {
        if self.is_trying() { self.next_look } else { self.next_look.max(tries.next) }
    }

    /// Whether a try waits for its outcome.
    #[inline]
    pub(super) fn is_trying(&self) -> bool {
        self.under_way.is_some()
    }

    /// A look begins.
    pub(super) fn look(&mut self) {
        (self.waiting, self.still) = (0, 0);
    }

    /// A request without a first byte, sent then.
    pub(super) fn waits(&mut self, sent: Time, patience: Duration, now: Time) {
        self.waiting += u32::from(now.since(sent) >= patience);
        self.still += u32::from(self.under_way.is_some_and(|tried| tried.since.since(sent) >= patience));
    }

    /// The look ends. Whether the idle connections, if there are any, are to be closed.
    pub(super) fn conclude(
        &mut self,
        tries: &mut Tries,
        has_idle: bool,
        patience: Duration,
        now: Time,
    ) -> bool {
        if let Some(tried) = self.under_way.take() {
            if self.still <= tried.waiting / 2 {
                tries.helped(now);
            } else {
                tries.was_in_vain(now);
            }
        } else if self.waiting > 0 && has_idle {
            self.under_way = Some(Try { since: now, waiting: self.waiting });
            self.next_look = now.plus(patience / HELPS_WITHIN);
            return true;
        }
        self.next_look = now.plus(patience / LOOKS);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    const PATIENCE: Duration = PATIENCE_MOST;

    /// A look at this time, at requests sent at these.
    fn look((starving, tries): &mut (Starving, Tries), now: u64, sent: &[u64]) -> bool {
        assert!(starving.next_look(tries) <= at(now), "too early: {:?}", starving.next_look(tries));
        starving.look();
        sent.iter().for_each(|sent| starving.waits(at(*sent), PATIENCE, at(now)));
        starving.conclude(tries, true, PATIENCE, at(now))
    }

    #[test]
    fn patience_is_a_tenth_of_the_time_out_within_bounds() {
        for (timeout, expected) in [(500, 100), (2000, 200), (10_000, 1000), (60_000, 1000)] {
            assert_eq!(patience(Duration::from_millis(timeout)), Duration::from_millis(expected));
        }
    }

    #[test]
    fn idle_connections_are_closed_for_requests_that_wait_too_long() {
        let mut both = Default::default();
        assert!(!look(&mut both, 1000, &[500, 1]), "not long enough");
        assert!(look(&mut both, 1500, &[500, 1]));
        // Both were answered, another came: that is a success, and the next look is as soon as ever.
        assert!(!look(&mut both, 1750, &[1600]));
        assert_eq!(both.0.next_look(&both.1), at(2250));
        assert!(!look(&mut both, 2250, &[1600]));
        assert!(look(&mut both, 2750, &[1600]));
    }

    #[test]
    fn tries_in_vain_become_rarer_but_never_stop() {
        let mut both = Default::default();
        let (mut now, polls) = (10_000, [0, 10]);
        for pause in [2000, 4000, 8000, 8000] {
            assert!(look(&mut both, now, &polls), "at {now}");
            assert!(!look(&mut both, now + 250, &polls), "the outcome");
            assert_eq!(both.0.next_look(&both.1), at(now + 250 + pause));
            now += 250 + pause;
        }
        // One that helps makes them as frequent as before.
        assert!(look(&mut both, now, &polls));
        assert!(!look(&mut both, now + 250, &polls[1..]));
        assert_eq!(both.0.next_look(&both.1), at(now + 750));
    }

    #[test]
    fn without_idle_connections_nothing_is_tried() {
        let mut both: (Starving, Tries) = Default::default();
        both.0.look();
        both.0.waits(at(0), PATIENCE, at(5000));
        assert!(!both.0.conclude(&mut both.1, false, PATIENCE, at(5000)) && !both.0.is_trying());
    }
}
