//! The pools of all backends.
//!
//! Absent: how one pool works (pool.rs), and closing what is taken out.

use std::time::Duration;

use super::manners::{After, Surprise};
use super::pool::Taken;
use super::starving;
use super::{Backend, Upstreams};
use crate::clock::Time;
use crate::http1::persist::{Known, Trust};
use crate::net::ConnKey;

impl Upstreams {
    /// A connection for a request, out of the pool; `is_repeatable` if the request may be sent twice.
    #[inline]
    pub fn take_idle(
        &mut self,
        backend: usize,
        is_repeatable: bool,
        trust: Trust,
        now: Time,
    ) -> Option<Taken> {
        self.backends[backend].pool.take(is_repeatable, trust, now)
    }

    /// Puts a connection into the pool, where nobody takes it for as long as it rests.
    #[inline]
    pub fn put_idle(&mut self, backend: usize, conn: ConnKey, rest: Duration, after: After, now: Time) {
        self.backends[backend].pool.put(conn, rest, after, now);
    }

    /// A connection was found in order as it was taken.
    #[inline]
    pub fn found_in_order(&mut self, backend: usize, taken: &Taken) {
        self.backends[backend].pool.found_in_order(taken);
    }

    /// Takes this connection out of the pool, because of what it did there. Whether it was there.
    pub fn drop_idle(&mut self, backend: usize, conn: ConnKey, surprise: Surprise, now: Time) -> bool {
        self.backends[backend].pool.drop_idle(conn, surprise, now)
    }

    /// A connection out of the pool turned out to be closed, or to have something on it.
    pub fn surprised(&mut self, backend: usize, rest: Duration, after: After, surprise: Surprise, now: Time) {
        self.backends[backend].pool.surprised(rest, after, surprise, now);
    }

    /// What is known of how a backend treats its connections.
    #[inline]
    pub fn known(&self, backend: usize, now: Time) -> Known {
        self.backends[backend].pool.known(now)
    }

    /// Whether a backend closes connections behind its answers, unsaid.
    #[inline]
    pub fn closes(&self, backend: usize, now: Time) -> bool {
        self.backends[backend].pool.closes(now)
    }

    /// An answer said for how many seconds an idle connection is kept.
    pub fn announce(&mut self, backend: usize, seconds: u32) {
        self.backends[backend].pool.manners().announce(seconds);
    }

    /// A connection was dialled that is to be kept; its first answer is awaited.
    pub fn dialled(&mut self, backend: usize, conn: ConnKey, now: Time) {
        self.backends[backend].pool.crowd().dialled(conn, now);
    }

    /// Whether a first answer of this backend may be awaited.
    #[inline]
    pub fn has_fresh(&self, backend: usize) -> bool {
        self.backends[backend].pool.has_fresh()
    }

    /// A request on a used connection was answered after so long, while others waited for their first.
    pub fn answered(&mut self, backend: usize, took: Duration, now: Time) {
        self.backends[backend].pool.crowd().answered(took, now);
    }

    /// Whether a connection that has come free is in the way of requests that wait to be accepted. `is_waiting` tells
    /// whether a connection still has had no answer.
    pub fn is_crowded(&mut self, backend: usize, now: Time, is_waiting: impl Fn(ConnKey) -> bool) -> bool {
        self.backends[backend].pool.is_crowded(now, is_waiting)
    }

    /// The next connection that is to be closed: idle for too long, not needed, or in the way of others.
    pub fn take_expired(
        &mut self,
        now: Time,
        is_waiting: impl Fn(ConnKey) -> bool,
    ) -> Option<(usize, ConnKey)> {
        let configured = self.limits.idle_max;
        let mut backends = self.backends.iter_mut().enumerate();
        backends.find_map(|(index, backend)| {
            backend.pool.take_expired(configured, now, &is_waiting).map(|conn| (index, conn))
        })
    }

    /// When [`take_expired`](Upstreams::take_expired) may have one next.
    pub fn next_expiry(&self) -> Option<Time> {
        let times =
            self.backends.iter().flat_map(|backend| [backend.pool.next_expiry(), backend.next_look()]);
        times.flatten().min()
    }

    /// Whether it is time to look who waits for a first byte, and in vain perhaps. If so, all who do are to be named
    /// ([`waits`](Upstreams::waits)), and then [`take_hoarded`](Upstreams::take_hoarded) has what is to be closed.
    pub fn looks_for_starving(&mut self, now: Time) -> bool {
        let mut any = false;
        for backend in &mut self.backends {
            if backend.next_look().is_some_and(|time| time <= now) {
                backend.pool.starving().look();
                any = true;
            }
        }
        any
    }

    /// A request to this backend was sent then and has had no byte of an answer.
    pub fn waits(&mut self, backend: usize, sent: Time, upstream_timeout: Duration, now: Time) {
        self.backends[backend].pool.starving().waits(sent, starving::patience(upstream_timeout), now);
    }

    /// Ends that look: the connections that are to be closed, since they may hold workers that others wait for.
    pub fn take_hoarded(&mut self, upstream_timeout: Duration, now: Time) -> Vec<(usize, ConnKey)> {
        let patience = starving::patience(upstream_timeout);
        let is_due = |backend: &Backend| backend.next_look().is_some_and(|time| time <= now);
        let due = self.backends.iter_mut().enumerate().filter(|(_, backend)| is_due(backend));
        let hoarded = due.flat_map(|(index, backend)| {
            let conns = backend.pool.take_hoarded(patience, now);
            conns.into_iter().map(move |conn| (index, conn))
        });
        hoarded.collect()
    }

    /// The connection that has been idle for longest anywhere, out of the pool.
    pub fn take_oldest(&mut self) -> Option<(usize, ConnKey)> {
        let oldest = self.backends.iter_mut().enumerate();
        let (index, backend) = oldest
            .filter(|(_, backend)| backend.pool.len() > 0)
            .min_by_key(|(_, backend)| backend.pool.oldest())?;
        backend.pool.take_oldest().map(|conn| (index, conn))
    }

    /// An idle connection of a backend that gets nothing new, or is out, out of the pool.
    pub fn take_orphan(&mut self) -> Option<(usize, ConnKey)> {
        let is_orphaned = |backend: &Backend| backend.is_closed() || backend.is_out();
        let mut backends = self.backends.iter_mut().enumerate();
        backends.find_map(|(index, backend)| {
            let orphan = if is_orphaned(backend) { backend.pool.take_oldest() } else { None };
            orphan.map(|conn| (index, conn))
        })
    }
}
