//! All live state, told the time and told what happened; deterministic given both.
//!
//! [`Proxy`] owns the sessions and the run queue, [`World`] all that a session may touch. Events only mark
//! ([`Proxy::mark`]); sessions act when the queue is run. Only this file removes sessions. Absent: the poll, the clock
//! and real sockets (reactor.rs, net/), so a seeded simulation can drive the very same code.

mod command;
mod decide;
mod descriptors;
mod lull;
mod pool;
mod probe;
mod refusals;
mod reload;
mod service;
mod share;
mod show;
mod starving;
mod sweep;
mod world;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use command::Command;
pub use refusals::{Overdue, Refusals};
pub use world::{Inbox, PSEUDONYM, Setup, World};

use crate::clock::Time;
use crate::fault::Fault;
use crate::net::{Conn, ConnKey, Net, Ready, Role, SessionKey};
use crate::reactor::Turned;
use crate::session::{Session, Turn};
use crate::slab::{Key, Slab};
use crate::timer::Timers;

/// Sessions advanced between two looks at the clock: a latency is off by no more than they take together.
const STRETCH: usize = 32;

/// How far ahead wake-ups are looked at whose deadlines have moved on since: thousands of clients that have come to rest
/// together cost one waking a second and not one each.
const LOOK_AHEAD: Duration = Duration::from_secs(1);
/// Idle clients closed at once to make room, and never more than an eighth of all.
const SHED_AT_ONCE: usize = 32;
/// Only clients idle for so long are.
const SHED_AFTER: Duration = Duration::from_secs(1);

/// The proxy.
pub struct Proxy<N: Net> {
    /// What sessions share.
    pub world: World<N>,
    sessions: Slab<Session>,
    queue: Vec<SessionKey>,
    /// This round's sessions, last one first, and those that have had their turn taken off.
    running: Vec<SessionKey>,
    timers: Timers,
}

impl<N: Net> Proxy<N> {
    /// A proxy without clients.
    pub fn new(world: World<N>) -> Proxy<N> {
        Proxy {
            world,
            sessions: Slab::new(),
            queue: Vec::new(),
            running: Vec::new(),
            timers: Timers::default(),
        }
    }

    /// Takes a client connection just accepted.
    pub fn accept(&mut self, stream: N::Stream, peer: SocketAddr, now: Time) {
        let peer = canonical(peer);
        let key = SessionKey(self.sessions.next_key());
        let client =
            ConnKey(self.world.conns.insert(Conn::accepted(stream, Role::Client(key), Ready::WRITABLE)));
        if let Err(error) = self.world.register(client) {
            tracing::warn!(%error, "cannot register a client connection");
            self.world.conns.remove(client.0);
            return;
        }
        self.sessions.insert(Session::new(key, client, peer, self.world.idle_until(now)));
        self.world.stats.counters.clients_accepted += 1;
        self.world.stats.counters.clients_active += 1;
        if let Some(sharing) = &self.world.sharing {
            sharing.member.client_came();
        }
        self.arm(key);
    }

    /// Notes what the kernel said about a socket and queues whom it concerns. An event for a socket closed since is
    /// for nobody.
    pub fn mark(&mut self, token: usize, ready: Ready) {
        let conn_key = ConnKey(Key::from_token(token));
        let Some(conn) = self.world.conns.get_mut(conn_key.0) else { return };
        conn.mark(ready);
        match conn.role {
            Role::Client(session) | Role::Upstream(session) => self.enqueue(session),
            Role::Idle(backend) => self.world.idle_event(backend, conn_key),
            Role::Probe(backend) => self.world.probe_event(backend),
        }
    }

    /// Everything whose time has come and everything that was marked. A round is cut into stretches of
    /// [`STRETCH`] sessions so that the time can be read again between them.
    pub fn turn(&mut self, now: Time) -> Turned {
        self.world.now = now;
        if self.world.sharing.is_some() {
            self.world.hear();
        }
        if std::mem::take(&mut self.world.wants_descriptors) {
            self.shed_idle();
        }
        if self.running.is_empty() {
            self.expire(now);
            self.wake(); // whom an order, a check or another worker has made room for
            std::mem::swap(&mut self.running, &mut self.queue);
            self.running.reverse();
        }
        self.run();
        if self.world.sharing.is_some() {
            self.world.tell_in_flight();
        }
        if !self.running.is_empty() {
            Turned::Unfinished
        } else if !self.queue.is_empty() {
            Turned::Busy
        } else {
            self.world.flush_log_if_due();
            Turned::Idle
        }
    }

    /// When [`turn`](Proxy::turn) must be called without an event, if ever.
    pub fn next_deadline(&self) -> Option<Time> {
        [
            self.timers.next(),
            self.world.upstreams.next_expiry(),
            self.world.log_deadline(),
            self.world.probes.next_deadline(),
            self.world.lull.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// From now on: no request after the one under way, idle clients closed soon.
    pub fn drain(&mut self) {
        self.world.draining = true;
        let until = self.world.idle_until(self.world.now);
        let idle: Vec<SessionKey> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.is_idle())
            .map(|(_, session)| session.key)
            .collect();
        for key in idle {
            if let Some(session) = self.sessions.get_mut(key.0) {
                session.deadline = session.deadline.min(until);
            }
            self.arm(key);
        }
    }

    /// Cuts every exchange off where it stands, with a record of each.
    pub fn cut_off(&mut self, now: Time) {
        self.world.now = now;
        let keys: Vec<SessionKey> = self.sessions.iter().map(|(_, session)| session.key).collect();
        for key in keys {
            if let Some(session) = self.sessions.get_mut(key.0) {
                session.cut_off(&mut self.world, Fault::Shutdown);
            }
            self.remove(key);
        }
        self.world.tell_in_flight();
    }

    /// Closes the clients that have been between two requests for longest: their descriptors are needed more
    /// elsewhere. One that rested only a moment ago may be sending its next request. Returns how many were closed.
    pub fn shed_idle(&mut self) -> usize {
        let rested = self.world.now.plus(self.world.config.timeouts.client_idle);
        let mut idle: Vec<(Time, SessionKey)> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.is_idle() && rested.since(session.deadline) >= SHED_AFTER)
            .map(|(_, session)| (session.deadline, session.key))
            .collect();
        let count = SHED_AT_ONCE.min(self.world.clients_max / 8).max(1);
        if idle.len() > count {
            idle.select_nth_unstable_by_key(count, |(deadline, _)| *deadline);
            idle.truncate(count);
        }
        let closed = idle.len();
        tracing::debug!(count = closed, "closing idle clients");
        for (_, key) in idle {
            self.remove(key);
        }
        closed
    }

    /// Client connections at present.
    pub fn clients(&self) -> usize {
        self.sessions.len()
    }

    fn enqueue(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key.0)
            && !session.queued
        {
            session.queued = true;
            self.queue.push(key);
        }
    }

    /// Queues the sessions whose deadline has passed, and closes pooled connections idle too long.
    fn expire(&mut self, now: Time) {
        while let Some((due, key)) = self.timers.first_until(now.plus(LOOK_AHEAD)) {
            let session = self.sessions.get_mut(key);
            let moved_on = session.as_ref().is_none_or(|session| session.deadline > due);
            if due > now && !moved_on {
                break;
            }
            self.timers.pop_first();
            let Some(session) = session else { continue };
            if !Timers::is_live(due, &mut session.armed) {
                continue;
            }
            if session.deadline <= now {
                self.enqueue(SessionKey(key));
            } else {
                self.arm(SessionKey(key));
            }
        }
        let sessions = &self.sessions;
        self.timers.forget_stale(|owner| sessions.get(owner).map(|session| session.armed));
        self.timers.prune(sessions.len(), |owner| sessions.get(owner).map(|session| session.armed));
        self.world.close_expired(now);
        self.relieve(now);
        self.world.run_probes();
        self.world.look_for_lull(now);
    }

    /// A stretch of the round. Who wants another turn, or is marked meanwhile, has it in the next round.
    fn run(&mut self) {
        for _ in 0..STRETCH {
            let Some(key) = self.running.pop() else { return };
            let Some(session) = self.sessions.get_mut(key.0) else { continue };
            match session.advance(&mut self.world) {
                Turn::Done => self.remove(key),
                turn => {
                    self.timers.arm(key.0, &mut session.armed, session.deadline);
                    session.queued = turn == Turn::Again;
                    if session.queued {
                        self.queue.push(key);
                    }
                }
            }
            if !self.world.woken.is_empty() {
                self.wake();
            }
        }
    }

    /// Whoever was woken for a place on a backend has a turn; one that no longer waits passes its place on.
    fn wake(&mut self) {
        while let Some(key) = self.world.woken.pop() {
            if self.sessions.get_mut(key.0).is_some_and(|session| session.rouse(&mut self.world)) {
                self.enqueue(key);
            } else {
                self.world.wake_waiting();
            }
        }
    }

    fn arm(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key.0) {
            self.timers.arm(key.0, &mut session.armed, session.deadline);
        }
    }

    fn remove(&mut self, key: SessionKey) {
        let Some(mut session) = self.sessions.remove(key.0) else { return };
        self.world.stats.counters.clients_active -= 1;
        if let Some(sharing) = &self.world.sharing {
            sharing.member.client_left();
        }
        if let Some(exchange) = session.exchange.take() {
            debug_assert!(exchange.trace.head_done.get().is_none(), "a request without its record");
            self.world.recycle(exchange);
        }
        if let Some(bound) = session.bound {
            self.world.upstreams.closed(bound.backend);
            self.world.close(bound.conn, false);
        }
        self.world.close(session.client, false);
    }
}

/// An IPv4 client of a listener for IPv6 is one of IPv4: in the log, for its backend, and among those that are trusted.
fn canonical(peer: SocketAddr) -> SocketAddr {
    match peer.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, peer.port()),
        IpAddr::V6(_) => peer, // with its scope
    }
}
