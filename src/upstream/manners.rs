//! How a backend behaves on connections that are used again, as far as it was seen.
//!
//! A new backend is watched closely: each connection is looked at before it is used. Behind a close that was not announced,
//! a request that may not be sent twice gets a connection only after a rest. When enough of them were found in order, that
//! ends, and with it all cost. Absent: the verdict on one connection (http1/persist.rs) and the pool (pool.rs).

use std::time::Duration;

use crate::clock::Time;
use crate::http1::persist::Known;

/// Connections to a new backend that are looked at before they are used.
const REUSES_WATCHED: u8 = 64;
/// Behind an unannounced close, so many must be found in order after a rest of [`PROVEN_BY`] before a request that may not
/// be sent twice can do without one.
const RESTS_WATCHED: u8 = 4;
/// A backend that closes right behind its answers has done so by then.
pub(super) const PROVEN_BY: Duration = Duration::from_millis(20);
/// HEADs without content behind them before a backend is believed to send none.
const HEADS_WATCHED: u8 = 16;
/// Connections closed right behind an answer, with none found in order between them, that make a habit.
const CLOSES_MAX: u8 = 3;
/// Closes within this time count as one: a restart closes all connections at once and is no habit.
const CLOSES_APART: Duration = Duration::from_millis(100);
/// How long a backend with that habit is not pooled, at first and at most; doubled each time.
const UNPOOLED_FIRST: Duration = Duration::from_secs(10);
const UNPOOLED_MOST: Duration = Duration::from_secs(600);
/// Doublings beyond this change nothing.
const DOUBLINGS_MAX: u8 = 6;
/// Taken off the idle time a backend announces: closing and sending must not meet on the way.
const ANNOUNCED_MARGIN: Duration = Duration::from_secs(1);

/// What the exchange before left open about a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    #[default]
    Plain,
    /// Whether the content follows that the answer to a HEAD, or a 304, announced.
    Head,
    /// Whether the request's content was read.
    Content,
}

/// What a connection did in the pool that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surprise {
    /// It was closed.
    Closed,
    /// Bytes came.
    Bytes,
}

/// What was seen of one backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    /// Connections still to be looked at.
    watched: u8,
    /// Rests still to be passed.
    rests: u8,
    clean_heads: u8,
    heads_have_content: bool,
    caught: bool,
    /// Closes right behind an answer since the last connection found in order.
    closes: u8,
    last_close: Time,
    unpooled_until: Time,
    doublings: u8,
    announced: Option<Duration>,
}

impl Default for Manners {
    fn default() -> Manners {
        Manners {
            watched: REUSES_WATCHED,
            rests: 0,
            clean_heads: 0,
            heads_have_content: false,
            caught: false,
            closes: 0,
            last_close: Time::ZERO,
            unpooled_until: Time::ZERO,
            doublings: 0,
            announced: None,
        }
    }
}

impl Manners {
    /// For the rule that decides on a connection.
    pub(super) fn known(&self, now: Time) -> Known {
        Known {
            heads_are_clean: self.clean_heads >= HEADS_WATCHED,
            heads_have_content: self.heads_have_content,
            caught: self.caught,
            closes: self.closes(now),
        }
    }

    /// Whether the backend has the habit of closing connections right behind its answers.
    #[inline]
    pub(super) fn closes(&self, now: Time) -> bool {
        now < self.unpooled_until
    }

    /// Whether connections are to be looked at before they are used.
    #[inline]
    pub(super) fn is_new(&self) -> bool {
        self.watched > 0
    }

    /// Whether connections stay open behind an answer.
    #[inline]
    pub(super) fn is_proven(&self) -> bool {
        self.rests == 0
    }

    /// How long the backend keeps an idle connection, less a margin, if it says so.
    pub(super) fn announced(&self) -> Option<Duration> {
        self.announced
    }

    /// An answer said how long the connection is kept.
    pub(super) fn announce(&mut self, seconds: u32) {
        let said = Duration::from_secs(seconds.into());
        self.announced = Some(said - ANNOUNCED_MARGIN.min(said / 2));
    }

    /// A connection was found in order after so long a rest.
    pub(super) fn found_in_order(&mut self, rest: Duration, after: After) {
        self.closes = 0;
        self.watched = self.watched.saturating_sub(1);
        if rest >= PROVEN_BY {
            self.rests = self.rests.saturating_sub(1);
        }
        if after == After::Head {
            self.clean_heads = self.clean_heads.saturating_add(1);
        }
    }

    /// Bytes came on a connection in the pool, or something that is no answer stood at the head of it.
    pub(super) fn sent_unasked(&mut self, after: After, now: Time) {
        match after {
            After::Head => {
                self.heads_have_content = true;
                self.clean_heads = 0;
            }
            After::Content => self.caught = true,
            After::Plain => self.closed_early(now),
        }
    }

    /// It closed a connection right behind an answer, without saying so.
    pub(super) fn closed_early(&mut self, now: Time) {
        (self.watched, self.rests) = (REUSES_WATCHED, RESTS_WATCHED);
        let is_another = self.closes == 0 || now.since(self.last_close) >= CLOSES_APART;
        if !is_another {
            return;
        }
        (self.closes, self.last_close) = (self.closes + 1, now);
        if self.closes >= CLOSES_MAX {
            self.closes = 0;
            let span = UNPOOLED_FIRST.saturating_mul(1 << self.doublings).min(UNPOOLED_MOST);
            self.unpooled_until = now.plus(span);
            self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_backend_is_new_until_enough_was_found_in_order() {
        let mut manners = Manners::default();
        for reuse in 0..REUSES_WATCHED {
            assert!(manners.is_new() && manners.is_proven(), "{reuse}");
            manners.found_in_order(Duration::ZERO, After::Plain);
        }
        assert!(!manners.is_new());
        manners.closed_early(at(1));
        assert!(manners.is_new() && !manners.is_proven(), "a close makes it new again");
        (0..REUSES_WATCHED).for_each(|_| manners.found_in_order(Duration::ZERO, After::Plain));
        assert!(!manners.is_new() && !manners.is_proven(), "without a rest nothing is proven");
        (0..RESTS_WATCHED).for_each(|_| manners.found_in_order(PROVEN_BY, After::Plain));
        assert!(manners.is_proven());
    }

    #[test]
    fn the_habit_of_closing_is_learned_and_looked_at_again_later() {
        let mut manners = Manners::default();
        for (time, closes) in [(0, false), (50, false), (100, false), (200, true)] {
            manners.closed_early(at(time));
            assert_eq!(manners.known(at(time)).closes, closes, "at {time} ms");
        }
        assert!(manners.known(at(10_199)).closes && !manners.known(at(10_200)).closes);
        // The second time it lasts for twice as long.
        for time in [20_000, 20_100, 20_200] {
            manners.closed_early(at(time));
        }
        assert!(manners.known(at(40_199)).closes && !manners.known(at(40_200)).closes);
    }

    #[test]
    fn a_restart_is_no_habit() {
        let mut manners = Manners::default();
        for round in 0..10 {
            (0..100).for_each(|_| manners.closed_early(at(round * 1000)));
            manners.found_in_order(Duration::ZERO, After::Plain);
        }
        assert!(!manners.known(at(9000)).closes);
    }

    #[test]
    fn heads_are_clean_after_many_and_never_again_after_one_that_is_not() {
        let mut manners = Manners::default();
        (0..HEADS_WATCHED).for_each(|_| manners.found_in_order(Duration::ZERO, After::Head));
        assert!(manners.known(at(0)).heads_are_clean);
        manners.sent_unasked(After::Head, at(1));
        let known = manners.known(at(1));
        assert!(known.heads_have_content && !known.heads_are_clean);
    }

    #[test]
    fn an_announced_time_is_taken_with_a_margin() {
        for (seconds, used) in [(5, 4000), (72, 71_000), (2, 1000), (1, 500), (0, 0)] {
            let mut manners = Manners::default();
            manners.announce(seconds);
            assert_eq!(manners.announced(), Some(Duration::from_millis(used)), "{seconds} s");
        }
    }
}
