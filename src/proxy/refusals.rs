//! Requests that could not be connected to any backend: those that pause because they were refused, and those whose dial
//! takes long, so that who is let in can tell them.
//!
//! Absent: how long each waits, and what it does then (session/redial.rs).

use std::collections::VecDeque;
use std::time::Duration;

use super::World;
use crate::clock::Time;
use crate::net::{Net, SessionKey};

/// Dials that one answer renews: the accept that it tells of has made room for one, and one may be lost again.
const RENEWED_AT_ONCE: usize = 2;

/// A dial that takes long.
#[derive(Clone, Copy, Debug)]
pub struct Overdue {
    /// Whose.
    pub session: SessionKey,
    /// Whom it dials.
    pub backend: usize,
    /// When it began.
    pub dialled: Time,
}

/// Who pauses, longest first.
#[derive(Debug, Default)]
pub struct Refusals {
    waiting: VecDeque<SessionKey>,
    /// When anybody was last refused.
    pub looked: Time,
}

impl Refusals {
    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// One more was refused, at `now`.
    pub fn join(&mut self, session: SessionKey, now: Time) {
        self.waiting.push_back(session);
        self.looked = now;
    }

    /// It no longer waits.
    pub fn leave(&mut self, session: SessionKey) {
        self.waiting.retain(|waiting| *waiting != session);
    }
}

impl<N: Net> World<N> {
    /// Whether a request may be dialled again where nobody else is to be had: as it might go elsewhere.
    pub fn may_try_again(&self) -> bool {
        (self.config.ejection || !self.config.routing.is_exact()) && self.config.retries > 0
    }

    /// Whether one more request may wait for a backend, in whatever queue.
    pub fn has_room_to_wait(&self) -> bool {
        self.waiting.len() + self.refusals.waiting.len() < self.config.queue.max
    }

    /// A backend can be connected to, or may be: whoever was refused tries again.
    pub fn wake_refused(&mut self) {
        self.woken.extend(self.refusals.waiting.drain(..).rev()); // taken from the end
    }

    /// This backend has answered on a connection that was dialled at some time, unless it came from the pool. Whatever was
    /// dialled before and is not up yet has been lost: those that have waited longest are dialled anew, for by what it has
    /// accepted there is room. And what is in the pool now may serve one of them.
    #[cold]
    pub fn renew_overdue(&mut self, backend: usize, dialled: Option<Time>) {
        let idle = self.upstreams.connections(backend).1.min(1);
        let mut renewed = 0;
        self.overdue.retain(|overdue| {
            let is_lost = dialled.is_some_and(|dialled| overdue.dialled < dialled);
            let is_next =
                overdue.backend == backend && renewed < RENEWED_AT_ONCE && (is_lost || renewed < idle);
            if is_next {
                renewed += 1;
                self.woken.push(overdue.session);
            }
            !is_next
        });
    }

    /// About so long: up to a quarter more or less, so that many do not act in step.
    pub fn about(&mut self, span: Duration) -> Duration {
        span * 3 / 4 + self.draw_up_to(span / 2)
    }

    /// Any span up to this one.
    pub fn draw_up_to(&mut self, span: Duration) -> Duration {
        Duration::from_nanos(self.draw.u64(..=span.as_nanos() as u64))
    }
}
