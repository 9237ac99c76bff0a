//! The backend table: who there is, what is in flight, which connections are idle.
//!
//! The only writer of in-flight counts and of the pool. What a policy may see is kept as a slice of [`Candidate`]s, so
//! that a pick copies nothing. Sockets are named by key only; opening and closing them is the caller's.

pub mod health;

use std::net::SocketAddr;
use std::time::Duration;

use crate::balance::Candidate;
use crate::clock::Time;
use crate::config::BackendConfig;
use crate::net::ConnKey;

/// An unused connection and since when.
#[derive(Clone, Copy, Debug)]
struct Idle {
    conn: ConnKey,
    since: Time,
}

/// One backend.
#[derive(Debug)]
struct Backend {
    config: BackendConfig,
    /// Oldest first: taken from the back (its window is the warmest), expired from the front.
    idle: Vec<Idle>,
    /// Connections open, idle ones included.
    open: usize,
}

/// All backends, in configured order.
#[derive(Debug)]
pub struct Upstreams {
    backends: Vec<Backend>,
    candidates: Vec<Candidate>,
    idle_max: Duration,
}

impl Upstreams {
    /// A table of backends that nobody has talked to. Idle connections live for `idle_max`.
    pub fn new(configs: &[BackendConfig], idle_max: Duration) -> Upstreams {
        let backends: Vec<_> = configs
            .iter()
            .map(|config| Backend { config: config.clone(), idle: Vec::new(), open: 0 })
            .collect();
        let candidates = configs
            .iter()
            .map(|config| Candidate {
                in_flight: 0,
                up: true,
                weight: config.weight,
                failure_rate: 0.0,
                joined: Time::ZERO,
            })
            .collect();
        Upstreams { backends, candidates, idle_max }
    }

    /// How many backends there are.
    pub fn len(&self) -> usize {
        self.backends.len()
    }

    /// Whether there is none; a configuration without backends is refused at start.
    pub fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }

    /// Where to dial.
    pub fn address(&self, backend: usize) -> SocketAddr {
        self.backends[backend].config.address
    }

    /// Its name in the log.
    pub fn url(&self, backend: usize) -> &str {
        &self.backends[backend].config.url
    }

    /// What policies see.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Marks as up all but those whose bit in `tried` is set; all of them when every one is.
    pub fn exclude(&mut self, tried: u64) {
        let out = |index: usize| tried.checked_shr(index as u32).unwrap_or(0) & 1 == 1;
        let all = (0..self.candidates.len()).all(out);
        for (index, candidate) in self.candidates.iter_mut().enumerate() {
            candidate.up = all || !out(index);
        }
    }

    /// Enters a request as in flight; returns how many there were before it.
    pub fn dispatch(&mut self, backend: usize, _now: Time) -> u32 {
        let before = self.candidates[backend].in_flight;
        self.candidates[backend].in_flight += 1;
        before
    }

    /// A request is no longer in flight.
    pub fn finish(&mut self, backend: usize) {
        debug_assert!(self.candidates[backend].in_flight > 0);
        self.candidates[backend].in_flight -= 1;
    }

    /// A connection was dialled.
    pub fn opened(&mut self, backend: usize) {
        self.backends[backend].open += 1;
    }

    /// A connection was closed by us, busy or idle.
    pub fn closed(&mut self, backend: usize) {
        debug_assert!(self.backends[backend].open > 0);
        self.backends[backend].open -= 1;
    }

    /// Connections open and idle, for display and for the leak sweep.
    pub fn connections(&self, backend: usize) -> (usize, usize) {
        (self.backends[backend].open, self.backends[backend].idle.len())
    }

    /// The newest idle connection, out of the pool.
    pub fn take_idle(&mut self, backend: usize) -> Option<ConnKey> {
        self.backends[backend].idle.pop().map(|idle| idle.conn)
    }

    /// Puts a connection into the pool.
    pub fn put_idle(&mut self, backend: usize, conn: ConnKey, now: Time) {
        self.backends[backend].idle.push(Idle { conn, since: now });
    }

    /// Takes this connection out of the pool, because it died there. Whether it was there.
    pub fn drop_idle(&mut self, backend: usize, conn: ConnKey) -> bool {
        let idle = &mut self.backends[backend].idle;
        match idle.iter().rposition(|entry| entry.conn == conn) {
            Some(at) => {
                idle.remove(at);
                true
            }
            None => false,
        }
    }

    /// The next connection that has been idle too long, out of the pool.
    pub fn take_expired(&mut self, now: Time) -> Option<(usize, ConnKey)> {
        for (index, backend) in self.backends.iter_mut().enumerate() {
            match backend.idle.first() {
                Some(oldest) if oldest.since.plus(self.idle_max) <= now => {
                    return Some((index, backend.idle.remove(0).conn));
                }
                _ => {}
            }
        }
        None
    }

    /// When the next idle connection will have been so too long.
    pub fn next_expiry(&self) -> Option<Time> {
        let oldest =
            self.backends.iter().filter_map(|backend| backend.idle.first()).map(|idle| idle.since).min()?;
        Some(oldest.plus(self.idle_max))
    }
}
