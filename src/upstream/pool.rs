//! The idle connections of one backend: which one the next request gets, and which ones are closed.
//!
//! Taken from the back (its window is the warmest), expired from the front. Two things keep a pool small: what was not
//! needed at the peak of the last seconds is closed, and all of it is while other requests wait for the backend to
//! accept their connections: origins with a worker per connection (Starman, uWSGI and their like) do not, as long as
//! connections that nobody uses hold their workers. Absent: sockets, which are named by key only.

use std::collections::VecDeque;
use std::time::Duration;

use super::crowd::Crowd;
use super::manners::{After, Manners, PROVEN_BY, Surprise};
use super::starving::{Starving, Tries};
use crate::clock::Time;
use crate::http1::persist::{Known, Trust};
use crate::net::ConnKey;

/// An idle connection that its backend closes this soon tells nothing about the backend's own idle time-out. A request
/// that may not be sent twice takes no connection that has been idle for longer, unless the backend announced more.
const IDLE_LESSON_MIN: Duration = Duration::from_millis(500);
/// Connections looked at, newest first, for one that fits; then the oldest.
const SEARCHED: usize = 16;
/// The connection used last is used next, so one that was not used for so long was not needed at the peak of that time.
const UNNEEDED_AFTER: Duration = Duration::from_secs(10);
/// So many idle connections are kept all the same.
const SPARE: usize = 2;
/// So long idle, a connection may be in the way of requests that wait.
const IDLE_WHILE_WAITED: Duration = Duration::from_millis(20);

/// An unused connection.
#[derive(Clone, Copy, Debug)]
struct Idle {
    conn: ConnKey,
    since: Time,
    /// Rests until then.
    usable: Time,
    after: After,
}

/// A connection out of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which one.
    pub conn: ConnKey,
    /// How long it was idle.
    pub rest: Duration,
    /// What the exchange before left open.
    pub after: After,
    /// Whether it must be looked at before it is used, by a read that finds nothing.
    pub look: bool,
}

/// The idle connections of one backend.
#[derive(Debug)]
pub(super) struct Pool {
    idle: VecDeque<Idle>,
    /// How long a connection may be idle: as configured, or less if the backend was seen to close earlier.
    idle_max: Duration,
    /// How long the last connection closed by the backend had been idle, and when that was.
    last_close: (Duration, Time),
    manners: Manners,
    crowd: Crowd,
    starving: Starving,
    /// At helping requests that wait.
    tries: Tries,
}

impl Pool {
    pub(super) fn new(idle_max: Duration) -> Pool {
        Pool {
            idle: VecDeque::new(),
            idle_max,
            last_close: (Duration::ZERO, Time::ZERO),
            manners: Manners::default(),
            crowd: Crowd::default(),
            starving: Starving::default(),
            tries: Tries::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.idle.len()
    }

    pub(super) fn manners(&mut self) -> &mut Manners {
        &mut self.manners
    }

    pub(super) fn known(&self, now: Time) -> Known {
        self.manners.known(now)
    }

    /// Whether its connections are closed behind answers, unsaid.
    #[inline]
    pub(super) fn closes(&self, now: Time) -> bool {
        self.manners.closes(now)
    }

    /// How long connections may be idle from now on, what was learned aside.
    pub(super) fn set_idle_max(&mut self, idle_max: Duration) {
        self.idle_max = idle_max;
    }

    /// A connection for a request; one that may not be sent twice is choosier, unless all backends are trusted.
    #[inline]
    pub(super) fn take(&mut self, is_repeatable: bool, trust: Trust, now: Time) -> Option<Taken> {
        let newest = self.idle.back()?;
        let takes_any = is_repeatable || trust == Trust::Always;
        let Idle { conn, since, after, .. } = match self.fits(newest, takes_any, now) {
            true => self.idle.pop_back()?,
            false => self.search(takes_any, now)?,
        };
        // One that was used in this very turn was read from a moment ago.
        let look = self.manners.is_new() || trust == Trust::Strict || (!is_repeatable && since < now);
        Some(Taken { conn, rest: now.since(since), after, look })
    }

    #[cold]
    fn search(&mut self, takes_any: bool, now: Time) -> Option<Idle> {
        let newest = (0..self.idle.len()).rev().take(SEARCHED);
        let at = newest.chain([0]).find(|at| self.fits(&self.idle[*at], takes_any, now))?;
        self.idle.remove(at)
    }

    #[inline]
    fn fits(&self, idle: &Idle, takes_any: bool, now: Time) -> bool {
        idle.usable <= now && (takes_any || self.fits_unrepeatable(now.since(idle.since)))
    }

    /// Whether a connection that was idle for so long is certain enough for a request that may not be sent twice.
    fn fits_unrepeatable(&self, rest: Duration) -> bool {
        let most = self.manners.announced().map_or(IDLE_LESSON_MIN, |time| time.max(IDLE_LESSON_MIN));
        rest <= most && (self.manners.is_proven() || rest >= PROVEN_BY)
    }

    /// Puts a connection into the pool, to rest there for so long first.
    #[inline]
    pub(super) fn put(&mut self, conn: ConnKey, rest: Duration, after: After, now: Time) {
        let usable = if rest.is_zero() { now } else { now.plus(rest) };
        self.idle.push_back(Idle { conn, since: now, usable, after });
    }

    /// A connection was found in order as it was taken.
    #[inline]
    pub(super) fn found_in_order(&mut self, taken: &Taken) {
        if taken.look || taken.after == After::Head || !self.manners.is_proven() {
            self.manners.found_in_order(taken.rest, taken.after);
        }
    }

    /// Takes this connection out of the pool, because of what it did there. Whether it was there.
    pub(super) fn drop_idle(&mut self, conn: ConnKey, surprise: Surprise, now: Time) -> bool {
        // The oldest are the likeliest to be closed.
        let Some(at) = self.idle.iter().position(|entry| entry.conn == conn) else { return false };
        let Some(idle) = self.idle.remove(at) else { return false };
        self.surprised(now.since(idle.since), idle.after, surprise, now);
        true
    }

    /// A connection that had been idle for so long was closed by the backend, or had something on it. Two closes in a row
    /// after about the same rest say how long the backend lets a connection be: the next ones are closed earlier than
    /// that. Closes at odd times, as by a restart, say nothing.
    pub(super) fn surprised(&mut self, rest: Duration, after: After, surprise: Surprise, now: Time) {
        if surprise == Surprise::Bytes {
            return self.manners.sent_unasked(after, now);
        }
        if rest < IDLE_LESSON_MIN {
            return self.manners.closed_early(now);
        }
        let (last_rest, last_at) = self.last_close;
        if rest.abs_diff(last_rest) <= rest / 10 && now.since(last_at) >= IDLE_LESSON_MIN {
            self.idle_max = self.idle_max.min(rest.mul_f64(0.8));
        }
        self.last_close = (rest, now);
    }

    /// The connections whose first answer is awaited.
    #[inline]
    pub(super) fn crowd(&mut self) -> &mut Crowd {
        &mut self.crowd
    }

    /// Whether any first answer may be awaited.
    #[inline]
    pub(super) fn has_fresh(&self) -> bool {
        self.crowd.has_fresh()
    }

    /// Whether requests wait to be accepted while those that came later are served on used connections: then one that
    /// has come free is better closed.
    pub(super) fn is_crowded(&mut self, now: Time, is_waiting: impl Fn(ConnKey) -> bool) -> bool {
        self.crowd.is_overtaken(&mut self.tries, now, is_waiting)
    }

    /// The next connection to be closed: idle for too long, not needed, or in the way of others. One that the backend had not
    /// closed by then is a hint that it would have waited longer.
    pub(super) fn take_expired(
        &mut self,
        configured: Duration,
        now: Time,
        is_waiting: impl Fn(ConnKey) -> bool,
    ) -> Option<ConnKey> {
        let oldest = *self.idle.front()?;
        if oldest.since.plus(self.idle_limit()) <= now {
            self.idle_max = self.idle_max.mul_f64(1.05).min(configured);
            return self.take_oldest();
        }
        if self.crowd.has_fresh()
            && oldest.since.plus(IDLE_WHILE_WAITED) <= now
            && self.crowd.wants_idle_closed(&mut self.tries, now, is_waiting)
        {
            return self.take_oldest();
        }
        let is_unneeded = self.idle.len() > SPARE && oldest.since.plus(UNNEEDED_AFTER) <= now;
        if is_unneeded { self.take_oldest() } else { None }
    }

    /// When [`take_expired`](Pool::take_expired) may have one next.
    pub(super) fn next_expiry(&self) -> Option<Time> {
        let oldest = self.idle.front()?;
        let limit = if self.idle.len() > SPARE { UNNEEDED_AFTER } else { Duration::MAX };
        let expires = oldest.since.plus(self.idle_limit().min(limit));
        let Some(starves) = self.crowd.starves(&self.tries) else { return Some(expires) };
        Some(expires.min(starves.max(oldest.since.plus(IDLE_WHILE_WAITED))))
    }

    fn idle_limit(&self) -> Duration {
        self.manners.announced().map_or(self.idle_max, |announced| announced.min(self.idle_max))
    }

    /// Whether the backend's requests are to be looked at, when some of so many open connections are idle and others not.
    #[inline]
    pub(super) fn may_starve(&self, open: usize) -> bool {
        let idle = self.idle.len();
        (idle > 0 && open > idle) || self.starving.is_trying()
    }

    /// When, then.
    #[inline]
    pub(super) fn next_look(&self) -> Time {
        self.starving.next_look(&self.tries)
    }

    /// What waits without a first byte.
    pub(super) fn starving(&mut self) -> &mut Starving {
        &mut self.starving
    }

    /// A look ends: takes the connections out of the pool that have been idle long enough to be in the way, if
    /// requests wait for too long.
    pub(super) fn take_hoarded(&mut self, patience: Duration, now: Time) -> Vec<ConnKey> {
        let is_idle = |idle: &Idle| idle.since.plus(IDLE_WHILE_WAITED) <= now;
        let has_idle = self.idle.front().is_some_and(is_idle);
        if !self.starving.conclude(&mut self.tries, has_idle, patience, now) {
            return Vec::new();
        }
        let count = self.idle.iter().take_while(|idle| is_idle(idle)).count();
        self.idle.drain(..count).map(|idle| idle.conn).collect()
    }

    /// Since when the oldest has been idle.
    pub(super) fn oldest(&self) -> Option<Time> {
        self.idle.front().map(|idle| idle.since)
    }

    /// The oldest, whatever its age.
    pub(super) fn take_oldest(&mut self) -> Option<ConnKey> {
        self.idle.pop_front().map(|idle| idle.conn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;

    const MAX: Duration = Duration::from_secs(60);

    const fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn keys(count: usize) -> Vec<ConnKey> {
        let mut slab = Slab::new();
        (0..count).map(|_| ConnKey(slab.insert(()))).collect()
    }

    fn pool_of(conns: &[ConnKey], now: Time) -> Pool {
        let mut pool = Pool::new(MAX);
        conns.iter().for_each(|conn| pool.put(*conn, Duration::ZERO, After::Plain, now));
        pool
    }

    /// A pool whose backend was seen for long enough.
    fn known(conns: &[ConnKey], now: Time) -> Pool {
        let mut pool = pool_of(conns, now);
        (0..100).for_each(|_| pool.manners.found_in_order(PROVEN_BY, After::Plain));
        pool
    }

    /// A pool whose backend has closed a connection right behind an answer.
    fn unproven(conns: &[ConnKey], now: Time) -> Pool {
        let mut pool = pool_of(conns, now);
        pool.manners.closed_early(now);
        pool
    }

    fn taken(pool: &mut Pool, is_repeatable: bool, now: Time) -> Option<ConnKey> {
        pool.take(is_repeatable, Trust::Learned, now).map(|taken| taken.conn)
    }

    #[test]
    fn the_one_used_last_is_used_next_unless_it_rests() {
        let conns = keys(3);
        let mut pool = pool_of(&conns[..2], at(0));
        pool.put(conns[2], Duration::from_millis(100), After::Head, at(0));
        assert_eq!(taken(&mut pool, true, at(99)), Some(conns[1]));
        assert_eq!(taken(&mut pool, true, at(100)), Some(conns[2]));
        assert_eq!(taken(&mut pool, true, at(100)), Some(conns[0]));
        assert_eq!(taken(&mut pool, true, at(100)), None);
    }

    #[test]
    fn behind_many_that_rest_the_oldest_is_found() {
        let conns = keys(100);
        let mut pool = pool_of(&conns[..1], at(0));
        for conn in &conns[1..] {
            pool.put(*conn, Duration::from_millis(20), After::Head, at(0));
        }
        assert_eq!(taken(&mut pool, true, at(1)), Some(conns[0]));
        assert_eq!(taken(&mut pool, true, at(1)), None);
        assert_eq!(taken(&mut pool, true, at(20)), Some(conns[99]));
    }

    #[test]
    fn what_may_not_be_sent_twice_goes_by_a_connection_that_is_certain() {
        let conns = keys(1);
        for (rest, by_unproven, by_known) in
            [(0, false, true), (19, false, true), (20, true, true), (501, false, false)]
        {
            let takes = |mut pool: Pool| taken(&mut pool, false, at(rest)).is_some();
            assert_eq!(takes(unproven(&conns, at(0))), by_unproven, "{rest} ms, after a close");
            assert_eq!(takes(known(&conns, at(0))), by_known, "{rest} ms");
            assert_eq!(takes(pool_of(&conns, at(0))), by_known, "{rest} ms, new");
            let any = unproven(&conns, at(0)).take(false, Trust::Always, at(rest));
            assert!(any.is_some(), "{rest} ms, where all are trusted");
        }
        let mut announced = known(&conns, at(0));
        announced.manners().announce(5);
        assert!(taken(&mut announced, false, at(4000)).is_some(), "it said 5 s");
    }

    #[test]
    fn what_is_looked_at_before_it_is_used() {
        let conns = keys(1);
        let look = |mut pool: Pool, is_repeatable, trust, now| {
            pool.take(is_repeatable, trust, now).map(|taken| taken.look)
        };
        assert_eq!(look(pool_of(&conns, at(0)), true, Trust::Learned, at(0)), Some(true), "a new backend");
        assert_eq!(look(known(&conns, at(0)), true, Trust::Learned, at(1)), Some(false));
        assert_eq!(look(known(&conns, at(0)), true, Trust::Strict, at(1)), Some(true));
        assert_eq!(look(known(&conns, at(0)), false, Trust::Learned, at(1)), Some(true));
        assert_eq!(
            look(known(&conns, at(0)), false, Trust::Learned, at(0)),
            Some(false),
            "used in this turn"
        );
    }

    #[test]
    fn what_was_not_needed_for_a_while_is_closed_but_for_a_few() {
        let conns = keys(10);
        let mut pool = pool_of(&conns, at(0));
        let nobody = |_: ConnKey| false;
        assert_eq!(pool.next_expiry(), Some(at(10_000)));
        assert_eq!(pool.take_expired(MAX, at(9_999), nobody), None);
        for conn in &conns[..8] {
            assert_eq!(pool.take_expired(MAX, at(10_000), nobody), Some(*conn));
        }
        assert_eq!((pool.take_expired(MAX, at(10_000), nobody), pool.len()), (None, 2));
        assert_eq!(pool.next_expiry(), Some(at(60_000)));
    }

    #[test]
    fn an_announced_idle_time_is_kept() {
        let conns = keys(1);
        let mut pool = pool_of(&conns, at(0));
        pool.manners().announce(5);
        assert_eq!(pool.next_expiry(), Some(at(4000)));
        assert_eq!(pool.take_expired(MAX, at(4000), |_| false), Some(conns[0]));
    }

    #[test]
    fn idle_connections_make_way_for_requests_that_wait_to_be_accepted() {
        let conns = keys(3);
        let mut pool = pool_of(&conns[..1], at(0));
        pool.crowd().dialled(conns[1], at(0));
        pool.crowd().dialled(conns[2], at(1));
        let waits = |conn: ConnKey| conn == conns[2];
        assert_eq!(pool.next_expiry(), Some(at(100)), "to see who waits");
        assert_eq!(pool.take_expired(MAX, at(100), waits), None, "the older one has its answer");
        assert_eq!(pool.take_expired(MAX, at(101), waits), Some(conns[0]));
        assert_eq!(pool.take_expired(MAX, at(101), waits), None);
    }

    #[test]
    fn two_closes_after_the_same_rest_say_how_long_a_connection_may_be_idle() {
        let conns = keys(1);
        let mut pool = Pool::new(MAX);
        for start in [0, 10_000] {
            pool.put(conns[0], Duration::ZERO, After::Plain, at(start));
            assert_eq!(pool.next_expiry(), Some(at(start).plus(MAX)), "not yet");
            assert!(pool.drop_idle(conns[0], Surprise::Closed, at(start + 5000)));
        }
        pool.put(conns[0], Duration::ZERO, After::Plain, at(20_000));
        assert_eq!(pool.next_expiry(), Some(at(24_000)));
        assert!(!pool.drop_idle(keys(2)[1], Surprise::Closed, at(20_000)), "it is not there");
    }

    #[test]
    fn a_request_lost_on_a_used_connection_is_a_lesson_too() {
        let mut pool = Pool::new(MAX);
        pool.surprised(Duration::from_secs(5), After::Plain, Surprise::Closed, at(5000));
        pool.surprised(Duration::from_secs(5), After::Plain, Surprise::Closed, at(15_000));
        assert_eq!(pool.idle_max, Duration::from_secs(4));
    }
}
