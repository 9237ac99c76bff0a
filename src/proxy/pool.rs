//! Connections to backends between two requests: out of the pool, into it, and what happens to them there.
//!
//! Absent: whether a connection may go back at all (http1/persist.rs, asked in session/finish.rs), and which one is
//! taken (upstream/pool.rs).

use std::time::Duration;

use super::World;
use crate::clock::Time;
use crate::http1::persist::Why;
use crate::net::{Conn, ConnKey, Fill, Net, Ready, Role};
use crate::upstream::{After, Surprise, Taken};

impl<N: Net> World<N> {
    /// A pooled connection to this backend, if one is left that is alive and good enough for the request.
    pub fn check_out(&mut self, backend: usize, is_repeatable: bool) -> Option<Taken> {
        if !self.keeps_upstream() {
            return None;
        }
        let trust = self.config.pool_trust;
        while let Some(taken) = self.upstreams.take_idle(backend, is_repeatable, trust, self.now) {
            match self.look(taken.conn, taken.look) {
                None => {
                    self.upstreams.found_in_order(backend, &taken);
                    return Some(taken);
                }
                Some(surprise) => {
                    self.upstreams.surprised(backend, taken.rest, taken.after, surprise, self.now);
                    self.drop_pooled(backend, taken.conn, surprise);
                }
            }
        }
        None
    }

    /// Puts a connection into the pool of this backend, to rest there for so long first.
    pub fn check_in(&mut self, backend: usize, conn: ConnKey, rest: Duration, after: After) {
        self.give_role(conn, Role::Idle(backend));
        self.upstreams.put_idle(backend, conn, rest, after, self.now);
    }

    /// A connection to this backend that may serve another request is closed all the same, and why.
    pub fn needs_no_more(&mut self, backend: usize) -> Option<Why> {
        if !self.upstreams.is_open(backend) {
            return Some(Why::BackendClosed);
        }
        if !self.upstreams.has_fresh(backend) {
            return None;
        }
        let conns = &self.conns;
        let is_waiting = |conn: ConnKey| conns.get(conn.0).is_some_and(|conn| conn.is_unanswered);
        self.upstreams.is_crowded(backend, self.now, is_waiting).then_some(Why::Crowded)
    }

    /// Closes the connections that have been idle for too long, or are in the way of others.
    pub fn close_expired(&mut self, now: Time) {
        loop {
            let conns = &self.conns;
            let is_waiting = |conn: ConnKey| conns.get(conn.0).is_some_and(|conn| conn.is_unanswered);
            let Some((backend, conn)) = self.upstreams.take_expired(now, is_waiting) else { return };
            self.upstreams.closed(backend);
            self.close(conn, false);
        }
    }

    /// Closes the idle connections of backends that get nothing new or are out. Whatever put a backend out may have
    /// befallen them too, unseen when its host or the way there is gone: a trial on one of them would be lost, where a
    /// connect that fails is tried elsewhere.
    pub fn close_orphans(&mut self) {
        while let Some((backend, conn)) = self.upstreams.take_orphan() {
            self.upstreams.closed(backend);
            self.close(conn, true);
        }
    }

    /// What is on this connection that nobody asked for, if anything. One read tells, and it is made only when the last
    /// one had left the question open, or when told to.
    #[inline(always)]
    pub fn look(&mut self, key: ConnKey, in_any_case: bool) -> Option<Surprise> {
        let news = Ready::READABLE.with(Ready::READ_CLOSED).with(Ready::GONE);
        let is_quiet = |conn: &Conn<N::Stream>| !conn.ready().any(news);
        if !in_any_case && self.conns.get(key.0).is_some_and(is_quiet) {
            return None;
        }
        self.look_closely(key, in_any_case)
    }

    #[inline(never)]
    fn look_closely(&mut self, key: ConnKey, in_any_case: bool) -> Option<Surprise> {
        let Some(conn) = self.conns.get_mut(key.0) else { return Some(Surprise::Closed) };
        if in_any_case {
            conn.mark(Ready::READABLE);
        }
        if conn.ready().any(Ready::READABLE) {
            let mut buffer = self.buffers.take(1);
            let filled = conn.fill(&mut self.net, &mut buffer, 0);
            self.buffers.give(&mut buffer);
            match filled {
                Fill::Blocked => {}
                Fill::Bytes(_) => return Some(Surprise::Bytes),
                Fill::Closed | Fill::Broken(_) => return Some(Surprise::Closed),
            }
        }
        conn.ready().any(Ready::READ_CLOSED.with(Ready::GONE)).then_some(Surprise::Closed)
    }

    /// Something was said about a pooled connection. Unless it is nothing after all, the connection is dead or lying.
    pub fn idle_event(&mut self, backend: usize, conn: ConnKey) {
        if let Some(surprise) = self.look(conn, false)
            && self.upstreams.drop_idle(backend, conn, surprise, self.now)
        {
            self.drop_pooled(backend, conn, surprise);
        }
    }

    fn drop_pooled(&mut self, backend: usize, conn: ConnKey, surprise: Surprise) {
        if surprise == Surprise::Bytes {
            self.stats.counters.surplus += 1;
        }
        self.upstreams.closed(backend);
        self.close(conn, false);
    }
}
