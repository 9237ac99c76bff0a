//! The idle connections of one backend: which one the next request gets, and which ones are closed.
//!
//! Taken from the back (its window is the warmest), expired from the front. Two things keep a pool small: what was not
//! needed at the peak of the last seconds is closed, and all of it is while other requests wait for the backend to
//! accept their connections: origins with a worker per connection (Starman, uWSGI and their like) do not, as long as
//! connections that nobody uses hold their workers. Absent: sockets, which are named by key only.

use std::collections::VecDeque;
use std::time::Duration;

use super::manners::{After, Manners, PROVEN_BY, Surprise};
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
/// For how long the longest answer counts.
const SLOWEST_SPAN: Duration = Duration::from_secs(60);
/// A fresh connection without an answer for this long, and twice as long as any answer lately took on a used one, is
/// taken to wait for the backend to accept it,
const ACCEPT_PATIENCE: Duration = Duration::from_millis(100);
/// provided that so many requests sent after its own were answered on used connections,
const OVERTAKEN_MIN: u32 = 8;
/// or that connections have been idle meanwhile for so long.
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

/// A connection whose first answer is awaited.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    conn: ConnKey,
    since: Time,
    /// Answers on used connections before it.
    answers_before: u32,
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
    /// Oldest first; those answered since are dropped when they are come across.
    fresh: VecDeque<Fresh>,
    /// Answers on used connections, counted only while `fresh` has any.
    answers: u32,
    /// The longest such an answer took lately, and when that was.
    slowest: (Duration, Time),
}

impl Pool {
    pub(super) fn new(idle_max: Duration) -> Pool {
        Pool {
            idle: VecDeque::new(),
            idle_max,
            last_close: (Duration::ZERO, Time::ZERO),
            manners: Manners::default(),
            fresh: VecDeque::new(),
            answers: 0,
            slowest: (Duration::ZERO, Time::ZERO),
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

    /// How long connections may be idle from now on, what was learned aside.
    pub(super) fn set_idle_max(&mut self, idle_max: Duration) {
        self.idle_max = idle_max;
    }

    /// A connection for a request; one that may not be sent twice is choosier, unless all backends are trusted.
    #[inline]
    pub(super) fn take(&mut self, is_repeatable: bool, trust: Trust, now: Time) -> Option<Taken> {
        let newest = self.idle.back()?;
        let takes_any = is_repeatable || trust == Trust::Always;
        let at = if self.fits(newest, takes_any, now) {
            self.idle.len() - 1
        } else {
            self.search(takes_any, now)?
        };
        let Idle { conn, since, after, .. } = self.idle.remove(at)?;
        // One that was used in this very turn was read from a moment ago.
        let look = self.manners.is_new() || trust == Trust::Strict || (!is_repeatable && since < now);
        Some(Taken { conn, rest: now.since(since), after, look })
    }

    #[cold]
    fn search(&self, takes_any: bool, now: Time) -> Option<usize> {
        let newest = (0..self.idle.len()).rev().take(SEARCHED);
        newest.chain([0]).find(|at| self.fits(&self.idle[*at], takes_any, now))
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
        self.idle.push_back(Idle { conn, since: now, usable: now.plus(rest), after });
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

    /// A connection was dialled; its first answer is awaited.
    pub(super) fn dialled(&mut self, conn: ConnKey, now: Time) {
        self.fresh.push_back(Fresh { conn, since: now, answers_before: self.answers });
    }

    /// Whether any first answer may be awaited.
    #[inline]
    pub(super) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// A request on a used connection was answered after so long, while others waited for their first.
    #[cold]
    pub(super) fn answered(&mut self, took: Duration, now: Time) {
        self.answers = self.answers.wrapping_add(1);
        let (slowest, at) = self.slowest;
        if took >= slowest || now.since(at) > SLOWEST_SPAN {
            self.slowest = (took, now);
        }
    }

    fn patience(&self) -> Duration {
        ACCEPT_PATIENCE + self.slowest.0 * 2
    }

    /// When the oldest fresh connection has waited for too long, those that wait no longer left out.
    fn starves_at(&mut self, is_waiting: impl Fn(ConnKey) -> bool) -> Option<(Time, u32)> {
        while let Some(oldest) = self.fresh.front() {
            if is_waiting(oldest.conn) {
                return Some((oldest.since.plus(self.patience()), oldest.answers_before));
            }
            self.fresh.pop_front();
        }
        self.answers = 0;
        None
    }

    /// Whether requests wait to be accepted while those that came later are served on used connections: then one that
    /// has come free is better closed.
    pub(super) fn is_crowded(&mut self, now: Time, is_waiting: impl Fn(ConnKey) -> bool) -> bool {
        let answers = self.answers;
        self.starves_at(is_waiting).is_some_and(|(time, answers_before)| {
            time <= now && answers.wrapping_sub(answers_before) >= OVERTAKEN_MIN
        })
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
        if !self.fresh.is_empty()
            && oldest.since.plus(IDLE_WHILE_WAITED) <= now
            && self.starves_at(is_waiting).is_some_and(|(time, _)| time <= now)
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
        let Some(fresh) = self.fresh.front() else { return Some(expires) };
        let starves = fresh.since.plus(self.patience());
        Some(expires.min(starves.max(oldest.since.plus(IDLE_WHILE_WAITED))))
    }

    fn idle_limit(&self) -> Duration {
        self.manners.announced().map_or(self.idle_max, |announced| announced.min(self.idle_max))
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
