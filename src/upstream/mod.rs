//! The backend table: who there is, what is in flight, which connections are idle.
//!
//! The only writer of in-flight counts, of health and of the pool. What a policy may see is kept as a slice of [`Candidate`]s, so
//! that a pick copies nothing. Sockets are named by key only; opening and closing them is the caller's.

pub mod health;

pub mod budget;

use std::net::SocketAddr;
use std::time::Duration;

use crate::balance::Candidate;
use crate::clock::Time;
use crate::config::BackendConfig;
use crate::net::ConnKey;

use health::{Change, Ejection, Health, Usable, Verdict};

/// Share of the backends that may fail their checks before all are used, when nothing else is configured.
const OUT_SHARE_MAX: f64 = 0.5;
/// An idle connection that its backend closes this soon tells nothing about the backend's own idle time-out.
const IDLE_LESSON_MIN: Duration = Duration::from_millis(500);

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
    /// How long a connection may be idle: as configured, or less if the backend was seen to close earlier.
    idle_max: Duration,
    health: Health,
    /// No longer configured: what is in flight ends, nothing new begins. Its index stays taken until then, because
    /// sessions, connections and policies know backends by index.
    removed: bool,
    /// It fails its active checks.
    down: bool,
    /// It was put out because nobody could connect to it.
    unreachable: bool,
}

impl Backend {
    fn new(config: &BackendConfig, limits: &Limits) -> Backend {
        Backend {
            config: config.clone(),
            idle: Vec::new(),
            open: 0,
            idle_max: limits.idle_max,
            health: Health::default(),
            removed: false,
            down: false,
            unreachable: false,
        }
    }

    fn is_out(&self) -> bool {
        self.down || self.health.is_out()
    }

    fn is_usable(&self, now: Time) -> bool {
        !self.removed && !self.down && self.health.usable(now) != Usable::No
    }
}

/// The limits the table enforces.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a connection may be idle.
    pub idle_max: Duration,
    /// Requests in flight on one backend, and so connections to it.
    pub in_flight_max: u32,
    /// When failing backends are put out; `None`: never.
    pub ejection: Option<Ejection>,
}

/// What is known about a dispatch from its start; goes back with [`Upstreams::record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// In flight there before it.
    pub in_flight_before: u32,
    /// It is the one request that tries a backend put out before.
    pub trial: bool,
}

/// Why no backend can be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Those that could be are at their limit of requests in flight.
    Full,
    /// There is none to wait for.
    Out,
}

/// All backends, in configured order.
#[derive(Debug)]
pub struct Upstreams {
    backends: Vec<Backend>,
    candidates: Vec<Candidate>,
    limits: Limits,
    /// Backends that are out, or on trial.
    out: usize,
}

impl Upstreams {
    /// A table of backends that nobody has talked to.
    pub fn new(configs: &[BackendConfig], limits: Limits) -> Upstreams {
        let backends: Vec<_> = configs.iter().map(|config| Backend::new(config, &limits)).collect();
        let candidates = configs.iter().map(|config| fresh_candidate(config, Time::ZERO)).collect();
        Upstreams { backends, candidates, limits, out: 0 }
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

    /// Brings `up` up to date for a pick at `now`, leaving out the backends whose bit in `tried` is set as long as
    /// another is up. On `Err` nothing may be picked.
    pub fn refresh(&mut self, tried: u64, now: Time) -> Result<(), Closed> {
        let panicking = self.out > 0 && self.is_panicking();
        let (mut any_up, mut any_full, mut any_fresh) = (false, false, false);
        for (index, (backend, candidate)) in self.backends.iter().zip(&mut self.candidates).enumerate() {
            let healthy = !backend.removed && (self.out == 0 || panicking || backend.is_usable(now));
            let full = candidate.in_flight >= self.limits.in_flight_max;
            candidate.up = healthy && !full;
            any_up |= candidate.up;
            any_full |= healthy && full;
            any_fresh |= candidate.up && !is_tried(tried, index);
        }
        if any_fresh && tried != 0 {
            for (index, candidate) in self.candidates.iter_mut().enumerate() {
                candidate.up &= !is_tried(tried, index);
            }
        }
        match (any_up, any_full) {
            (true, _) => Ok(()),
            (false, true) => Err(Closed::Full),
            (false, false) => Err(Closed::Out),
        }
    }

    /// A backend whose time out is over and that nobody is trying yet: the next request that can bear it should.
    pub fn trial_due(&self, now: Time) -> Option<usize> {
        if self.out == 0 || self.is_panicking() {
            return None;
        }
        self.backends
            .iter()
            .position(|backend| backend.is_usable(now) && backend.health.usable(now) == Usable::Trial)
    }

    /// Whether a backend that this request has not been to is up.
    pub fn has_elsewhere(&self, tried: u64, now: Time) -> bool {
        let mut others = self.backends.iter().enumerate().filter(|(index, _)| !is_tried(tried, *index));
        others.any(|(_, backend)| backend.is_usable(now))
    }

    fn is_panicking(&self) -> bool {
        let present = self.backends.iter().filter(|backend| !backend.removed);
        let share = self.limits.ejection.map_or(OUT_SHARE_MAX, |ejection| ejection.max_ejected_share);
        health::panicking(present.map(Backend::is_out), share)
    }

    /// Enters a request as in flight.
    pub fn dispatch(&mut self, backend: usize, now: Time) -> Entered {
        let in_flight_before = self.candidates[backend].in_flight;
        self.candidates[backend].in_flight += 1;
        let trial = self.out > 0 && self.backends[backend].health.dispatched(now);
        Entered { in_flight_before, trial }
    }

    /// Takes the verdict on a dispatch: what it changes, if anything.
    pub fn record(
        &mut self,
        backend: usize,
        entered: Entered,
        verdict: Verdict,
        now: Time,
        draw: &mut fastrand::Rng,
    ) -> Option<Change> {
        let limits = self.limits.ejection.as_ref()?;
        let health = &mut self.backends[backend].health;
        let change = health.record(verdict, entered.trial, now, limits, draw);
        self.candidates[backend].failure_rate = health.failure_rate();
        if change.is_some() {
            self.count_out();
        }
        change
    }

    /// Adopts a new list. Backends whose address stays keep connections, in-flight requests and health, and their
    /// index; those gone drain; new ones take an index nobody uses any more, or a further one. Returns, by index,
    /// whether what was learned there still holds.
    pub fn adopt(&mut self, configs: &[BackendConfig], limits: Limits, now: Time) -> Vec<bool> {
        self.limits = limits;
        for backend in &mut self.backends {
            backend.removed = true;
            backend.idle_max = limits.idle_max;
            if limits.ejection.is_none() {
                backend.health = Health::default(); // nobody would let it in again
            }
        }
        let mut holds = vec![true; self.backends.len()];
        let (known, new): (Vec<_>, Vec<_>) =
            configs.iter().partition(|config| self.index_of(config.address).is_some());
        for config in known {
            if let Some(index) = self.index_of(config.address) {
                self.backends[index].config = config.clone();
                self.backends[index].removed = false;
                self.candidates[index].weight = config.weight;
            }
        }
        for config in new {
            let unused = self.backends.iter().zip(&self.candidates).position(|(backend, candidate)| {
                backend.removed && backend.open == 0 && candidate.in_flight == 0
            });
            let (backend, candidate) = (Backend::new(config, &limits), fresh_candidate(config, now));
            match unused {
                Some(index) => {
                    self.backends[index] = backend;
                    self.candidates[index] = candidate;
                    holds[index] = false;
                }
                None => {
                    self.backends.push(backend);
                    self.candidates.push(candidate);
                    holds.push(false);
                }
            }
        }
        self.count_out();
        holds
    }

    /// Takes the outcome of its active checks; whether that is news.
    pub fn set_down(&mut self, backend: usize, down: bool) -> bool {
        let news = self.backends[backend].down != down;
        self.backends[backend].down = down;
        self.count_out();
        news
    }

    /// Notes whether a backend put out could not even be connected to.
    pub fn set_unreachable(&mut self, backend: usize, unreachable: bool) {
        self.backends[backend].unreachable = unreachable;
    }

    /// Whether it is out because it could not be connected to.
    pub fn is_unreachable(&self, backend: usize) -> bool {
        self.backends[backend].unreachable && self.backends[backend].health.is_out()
    }

    /// It can be connected to again: its trial need not wait.
    pub fn try_now(&mut self, backend: usize, now: Time) {
        self.backends[backend].health.end_time_out(now);
    }

    fn count_out(&mut self) {
        self.out = self.backends.iter().filter(|backend| backend.is_out()).count();
    }

    /// An idle connection of a backend that is no longer configured, out of the pool.
    pub fn take_orphan(&mut self) -> Option<(usize, ConnKey)> {
        let (index, backend) = self
            .backends
            .iter_mut()
            .enumerate()
            .find(|(_, backend)| backend.removed && !backend.idle.is_empty())?;
        backend.idle.pop().map(|idle| (index, idle.conn))
    }

    /// Whether it is still configured.
    pub fn is_configured(&self, backend: usize) -> bool {
        !self.backends[backend].removed
    }

    fn index_of(&self, address: SocketAddr) -> Option<usize> {
        self.backends.iter().position(|backend| backend.config.address == address)
    }

    /// Health of a backend, for display.
    pub fn health(&self, backend: usize) -> &Health {
        &self.backends[backend].health
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

    /// Takes this connection out of the pool, because its backend closed it there. Whether it was there. How long
    /// it had been idle says how long the backend lets it be: the next ones are closed earlier than that.
    pub fn drop_idle(&mut self, backend: usize, conn: ConnKey, now: Time) -> bool {
        let backend = &mut self.backends[backend];
        let Some(at) = backend.idle.iter().rposition(|entry| entry.conn == conn) else { return false };
        let age = now.since(backend.idle.remove(at).since);
        if age >= IDLE_LESSON_MIN {
            backend.idle_max = backend.idle_max.min(age.mul_f64(0.8));
        }
        true
    }

    /// The next connection that has been idle too long, out of the pool.
    pub fn take_expired(&mut self, now: Time) -> Option<(usize, ConnKey)> {
        for (index, backend) in self.backends.iter_mut().enumerate() {
            match backend.idle.first() {
                Some(oldest) if oldest.since.plus(backend.idle_max) <= now => {
                    return Some((index, backend.idle.remove(0).conn));
                }
                _ => {}
            }
        }
        None
    }

    /// The connection that has been idle for longest anywhere, out of the pool.
    pub fn take_oldest(&mut self) -> Option<(usize, ConnKey)> {
        let since = |backend: &Backend| backend.idle.first().map(|idle| idle.since);
        let (index, backend) = self
            .backends
            .iter_mut()
            .enumerate()
            .filter(|(_, backend)| !backend.idle.is_empty())
            .min_by_key(|(_, backend)| since(backend))?;
        Some((index, backend.idle.remove(0).conn))
    }

    /// When the next idle connection will have been so too long.
    pub fn next_expiry(&self) -> Option<Time> {
        self.backends
            .iter()
            .filter_map(|backend| backend.idle.first().map(|idle| idle.since.plus(backend.idle_max)))
            .min()
    }
}

fn fresh_candidate(config: &BackendConfig, joined: Time) -> Candidate {
    Candidate { in_flight: 0, up: true, weight: config.weight, failure_rate: 0.0, joined }
}

fn is_tried(tried: u64, index: usize) -> bool {
    tried.checked_shr(index as u32).unwrap_or(0) & 1 == 1
}
