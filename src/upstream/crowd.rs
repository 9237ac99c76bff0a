//! Requests on new connections that their backend does not accept, because connections in use or idle hold its workers.
//!
//! Origins with a worker per connection (Starman, uWSGI and their like) accept nothing while all workers have one. So a
//! request that waits for the first answer of its connection, while others are answered on used ones or those are idle, is
//! helped by closing some. Whether that is the cause shows in a moment; if not, it is a request that takes long. Absent:
//! idle connections and sockets (pool.rs).

use std::collections::VecDeque;
use std::time::Duration;

use super::starving::Tries;
use crate::clock::Time;
use crate::net::ConnKey;

/// For how long the longest answer counts.
const SLOWEST_SPAN: Duration = Duration::from_secs(60);
/// A fresh connection without an answer for this long, and twice as long as any answer lately took on a used one, is
/// taken to wait for the backend to accept it,
const ACCEPT_PATIENCE: Duration = Duration::from_millis(100);
/// provided that so many requests sent after its own were answered on used connections, or that some are idle.
const OVERTAKEN_MIN: u32 = 8;

/// A connection whose first answer is awaited.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    conn: ConnKey,
    since: Time,
    /// Answers on used connections before it.
    answers_before: u32,
    /// When others were first closed for its sake.
    helped: Option<Time>,
}

/// The connections of one backend that have had no answer yet.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// Oldest first; those answered since are dropped when they are come across.
    fresh: VecDeque<Fresh>,
    /// Answers on used connections, counted only while `fresh` has any.
    answers: u32,
    /// The longest such an answer took lately, and when that was.
    slowest: (Duration, Time),
}

impl Crowd {
    /// A connection was dialled; its first answer is awaited.
    pub(super) fn dialled(&mut self, conn: ConnKey, now: Time) {
        self.fresh.push_back(Fresh { conn, since: now, answers_before: self.answers, helped: None });
    }

    /// Whether any first answer may be awaited.
    #[inline]
    pub(super) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// A request on a used connection was answered after so long, while others waited for their first.
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

    /// Whether a connection that has come free is better closed: requests that came before its last are not accepted.
    pub(super) fn is_overtaken(
        &mut self,
        tries: &mut Tries,
        now: Time,
        is_waiting: impl Fn(ConnKey) -> bool,
    ) -> bool {
        self.helps(OVERTAKEN_MIN, tries, now, is_waiting)
    }

    /// Whether idle connections are better closed.
    pub(super) fn wants_idle_closed(
        &mut self,
        tries: &mut Tries,
        now: Time,
        is_waiting: impl Fn(ConnKey) -> bool,
    ) -> bool {
        self.helps(0, tries, now, is_waiting)
    }

    /// When [`wants_idle_closed`](Crowd::wants_idle_closed) may be so next, if ever.
    #[inline]
    pub(super) fn starves(&self, tries: &Tries) -> Option<Time> {
        let oldest = self.fresh.front()?;
        let may_try = if oldest.helped.is_some() { Time::ZERO } else { tries.next() };
        Some(oldest.since.plus(self.patience()).max(may_try))
    }

    /// Whether the oldest has waited for too long, so many have overtaken it, and closing others may be what helps it.
    fn helps(
        &mut self,
        overtaken_min: u32,
        tries: &mut Tries,
        now: Time,
        is_waiting: impl Fn(ConnKey) -> bool,
    ) -> bool {
        self.forget(tries, now, is_waiting);
        let starves = self.starves(tries);
        let Some(oldest) = self.fresh.front_mut() else { return false };
        let overtaken = self.answers.wrapping_sub(oldest.answers_before);
        let helps = starves.is_some_and(|time| time <= now) && overtaken >= overtaken_min;
        if helps {
            oldest.helped.get_or_insert(now);
        }
        helps
    }

    /// Leaves out those that wait no longer, and those that others were closed for in vain.
    fn forget(&mut self, tries: &mut Tries, now: Time, is_waiting: impl Fn(ConnKey) -> bool) {
        let patience = self.patience();
        while let Some(oldest) = self.fresh.front() {
            let is_waiting = is_waiting(oldest.conn);
            match oldest.helped {
                Some(_) if !is_waiting => tries.helped(now),
                Some(helped) if now.since(helped) >= patience => tries.was_in_vain(now),
                None if !is_waiting => {}
                _ => return,
            }
            self.fresh.pop_front();
        }
        self.answers = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;

    const fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn keys(count: usize) -> Vec<ConnKey> {
        let mut slab = Slab::new();
        (0..count).map(|_| ConnKey(slab.insert(()))).collect()
    }

    #[test]
    fn a_connection_come_free_is_closed_when_later_requests_overtake_those_that_wait() {
        let conns = keys(1);
        let (mut crowd, mut tries) = (Crowd::default(), Tries::default());
        crowd.dialled(conns[0], at(0));
        let mut overtaken =
            |crowd: &mut Crowd, now: Time, waits: bool| crowd.is_overtaken(&mut tries, now, |_| waits);
        assert!(!overtaken(&mut crowd, at(200), true), "nobody has overtaken it");
        (0..8).for_each(|_| crowd.answered(Duration::from_millis(40), at(1)));
        assert!(!overtaken(&mut crowd, at(179), true), "an answer may take that long here");
        assert!(overtaken(&mut crowd, at(180), true));
        assert!(!overtaken(&mut crowd, at(180), false) && !crowd.has_fresh(), "it has its answer");
    }

    #[test]
    fn a_request_that_takes_long_is_told_from_a_crowd_by_trying() {
        let conns = keys(3);
        let (mut crowd, mut tries) = (Crowd::default(), Tries::default());
        conns.iter().for_each(|conn| crowd.dialled(*conn, at(0)));
        let mut closes = |crowd: &mut Crowd, now: u64, waiting: &[ConnKey]| {
            (
                crowd.wants_idle_closed(&mut tries, at(now), |conn| waiting.contains(&conn)),
                crowd.starves(&tries),
            )
        };
        assert_eq!(closes(&mut crowd, 99, &conns), (false, Some(at(100))));
        assert_eq!(closes(&mut crowd, 100, &conns), (true, Some(at(100))));
        assert_eq!(closes(&mut crowd, 199, &conns), (true, Some(at(100))), "it may help yet");
        // It has not. The next one is tried later, and helped.
        assert_eq!(closes(&mut crowd, 200, &conns), (false, Some(at(2200))));
        assert_eq!(closes(&mut crowd, 2199, &conns[1..]), (false, Some(at(2200))));
        assert_eq!(closes(&mut crowd, 2200, &conns[1..]), (true, Some(at(100))));
        // So the one behind it need not wait.
        assert_eq!(closes(&mut crowd, 2250, &conns[2..]), (true, Some(at(100))));
        assert_eq!(closes(&mut crowd, 2251, &[]), (false, None));
    }
}
