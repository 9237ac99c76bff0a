//! The backend table: who there is, what is in flight, which connections are idle.
//!
//! The only writer of in-flight counts, of health and of the pool. What a policy may see is kept as a slice of [`Candidate`]s, so
//! that a pick copies nothing. Sockets are named by key only; opening and closing them is the caller's.

pub mod health;

pub mod blame;
pub mod budget;
mod crowd;
mod elsewhere;
mod idle;
mod manners;
mod orders;
mod pool;
mod starving;
mod trials;
mod verdicts;

use std::net::SocketAddr;
use std::time::Duration;

use crate::balance::Candidate;
use crate::clock::Time;
use crate::config::BackendConfig;

pub use manners::{After, Surprise};
pub use pool::Taken;

use blame::Blame;
use health::{Ejection, Health, Reason, Usable};
use pool::Pool;

/// Share of the backends that may fail their checks before all are used, when nothing else is configured.
const OUT_SHARE_MAX: f64 = 0.5;
/// One backend.
#[derive(Debug)]
struct Backend {
    config: BackendConfig,
    pool: Pool,
    /// Connections open, idle ones included.
    open: usize,
    health: Health,
    /// What its failures have in common, and what it is fine with.
    blame: Blame,
    /// No longer configured: what is in flight ends, nothing new begins. Its index stays taken until then, because
    /// sessions, connections and policies know backends by index.
    removed: bool,
    /// It fails its active checks.
    down: bool,
    /// Told to get nothing new until told otherwise.
    drained: bool,
    /// Why it was put out last.
    put_out_for: Option<Reason>,
    /// When an answer of it stalled last that counted.
    stalled: Option<Time>,
    /// It was put out because nobody could connect to it.
    unreachable: bool,
}

impl Backend {
    fn new(config: &BackendConfig, limits: &Limits) -> Backend {
        Backend {
            config: config.clone(),
            pool: Pool::new(limits.idle_max),
            open: 0,
            health: Health::default(),
            blame: Blame::default(),
            removed: false,
            down: false,
            drained: false,
            put_out_for: None,
            stalled: None,
            unreachable: false,
        }
    }

    /// It is to get nothing new, however well it is.
    fn is_closed(&self) -> bool {
        self.removed || self.drained
    }

    /// When its requests are to be looked at, if they may be waiting for workers that idle connections hold.
    #[inline]
    fn next_look(&self) -> Option<Time> {
        self.pool.may_starve(self.open).then(|| self.pool.next_look())
    }

    fn is_out(&self) -> bool {
        self.down || self.health.is_out()
    }

    /// Known not to answer: it fails its checks, or was put out because nobody could connect to it. Others that are out
    /// answer, but slowly or badly.
    fn is_dead(&self) -> bool {
        self.down || (self.unreachable && self.health.is_out())
    }

    fn is_usable(&self, now: Time) -> bool {
        !self.is_closed() && !self.down && self.health.usable(now) != Usable::No
    }
}

/// Whether so many backends are out that this is ignored.
#[derive(Clone, Copy, Debug, Default)]
struct Panic {
    is_on: bool,
    are_all_dead: bool,
}

impl Panic {
    /// Whether a backend gets requests though it is out. One that does not answer gets them only when none does: an answer
    /// that is slow or bad is better than none.
    fn ignores(self, backend: &Backend) -> bool {
        self.is_on && (self.are_all_dead || !backend.is_dead())
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
    /// Of the candidates' requests in flight, those of other workers; empty when there are none.
    elsewhere: Vec<u32>,
    limits: Limits,
    /// Configured backends that are out, or on trial.
    out: usize,
    panic: Panic,
    /// Nobody is out, removed or limited: whoever was not tried may be picked.
    is_plain: bool,
    /// Every candidate is marked up already.
    all_up: bool,
}

impl Upstreams {
    /// A table of backends that nobody has talked to.
    pub fn new(configs: &[BackendConfig], limits: Limits) -> Upstreams {
        let backends: Vec<_> = configs.iter().map(|config| Backend::new(config, &limits)).collect();
        let candidates = configs.iter().map(|config| fresh_candidate(config, Time::ZERO)).collect();
        let mut upstreams = Upstreams {
            backends,
            candidates,
            elsewhere: Vec::new(),
            limits,
            out: 0,
            panic: Panic::default(),
            is_plain: false,
            all_up: false,
        };
        upstreams.count_out();
        upstreams
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

    /// Its name as it stands in a Host field.
    pub fn authority(&self, backend: usize) -> &str {
        self.backends[backend].config.authority()
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
    /// another is up. A backend whose time out is over is tried by a request that is `fit` for it, and then it is the
    /// only one up; by others when none such comes, or nothing else is up. On `Err` nothing may be picked.
    pub fn refresh(&mut self, tried: u64, fit: bool, now: Time) -> Result<(), Closed> {
        if self.is_plain && tried == 0 {
            if !self.all_up {
                self.candidates.iter_mut().for_each(|candidate| candidate.up = true);
                self.all_up = true;
            }
            return Ok(());
        }
        self.all_up = false;
        let (any_up, any_full) = self.refresh_each(now);
        let is_fresh = |(index, candidate): (usize, &Candidate)| candidate.up && !is_tried(tried, index);
        if tried != 0 && self.candidates.iter().enumerate().any(is_fresh) {
            for (index, candidate) in self.candidates.iter_mut().enumerate() {
                candidate.up &= !is_tried(tried, index);
            }
        }
        if self.out > 0 {
            self.set_trials_apart(fit, now);
        }
        match (any_up, any_full) {
            (true, _) => Ok(()),
            (false, true) => Err(Closed::Full),
            (false, false) => Err(Closed::Out),
        }
    }

    /// Whether any is up, and whether any would be but for its limit.
    fn refresh_each(&mut self, now: Time) -> (bool, bool) {
        let (mut any_up, mut any_full, panic) = (false, false, self.panic);
        let elsewhere = self.elsewhere.iter().copied().chain(std::iter::repeat(0));
        for ((backend, candidate), elsewhere) in self.backends.iter().zip(&mut self.candidates).zip(elsewhere)
        {
            let healthy =
                !backend.is_closed() && (self.out == 0 || backend.is_usable(now) || panic.ignores(backend));
            let full = candidate.in_flight - elsewhere >= self.limits.in_flight_max;
            candidate.up = healthy && !full;
            any_up |= candidate.up;
            any_full |= healthy && full;
        }
        (any_up, any_full)
    }

    /// Whether a backend that this request has not been to is up, or used all the same.
    pub fn has_elsewhere(&self, tried: u64, now: Time) -> bool {
        let mut others = self.backends.iter().enumerate().filter(|(index, _)| !is_tried(tried, *index));
        others.any(|(_, other)| other.is_usable(now) || (self.panic.ignores(other) && !other.is_closed()))
    }

    /// Whether requests go to it though it is out, and it is not its trial that they are.
    pub fn is_used_though_out(&self, backend: usize) -> bool {
        self.panic.ignores(&self.backends[backend])
    }

    /// Enters a request as in flight that goes to this backend and no other, whatever its health: it is no trial.
    pub fn dispatch_own(&mut self, backend: usize) -> Entered {
        let in_flight_before = self.candidates[backend].in_flight;
        self.candidates[backend].in_flight += 1;
        Entered { in_flight_before, trial: false }
    }

    /// Enters a request as in flight.
    pub fn dispatch(&mut self, backend: usize, now: Time) -> Entered {
        let in_flight_before = self.candidates[backend].in_flight;
        self.candidates[backend].in_flight += 1;
        let trial = self.out > 0 && self.backends[backend].health.dispatched(now);
        Entered { in_flight_before, trial }
    }

    /// Adopts a new list. Backends whose address stays keep connections, in-flight requests and health, and their
    /// index; those gone drain; new ones take an index nobody uses any more, or a further one. Returns, by index,
    /// whether what was learned there still holds.
    pub fn adopt(&mut self, configs: &[BackendConfig], limits: Limits, now: Time) -> Vec<bool> {
        self.limits = limits;
        self.forget_elsewhere();
        for (backend, candidate) in self.backends.iter_mut().zip(&mut self.candidates) {
            if backend.is_closed() {
                candidate.joined = now; // should it come back: nobody knows what it can take by now
            }
            backend.removed = true;
            backend.drained = false;
            backend.pool.set_idle_max(limits.idle_max);
            if limits.ejection.is_none() {
                backend.health = Health::default(); // nobody would let it in again
                candidate.failure_rate = 0.0; // ... nor count another answer
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
        self.count_out();
    }

    /// Whether it is out because it could not be connected to.
    pub fn is_unreachable(&self, backend: usize) -> bool {
        self.backends[backend].unreachable && self.backends[backend].health.is_out()
    }

    /// It can be connected to again: its trial need not wait.
    pub fn try_now(&mut self, backend: usize, now: Time) {
        self.backends[backend].health.end_time_out(now);
    }

    /// After anything that decides who may be picked: keeps the answer to be had at a glance.
    fn count_out(&mut self) {
        let present = self.backends.iter().filter(|backend| !backend.is_closed());
        self.out = present.clone().filter(|backend| backend.is_out()).count();
        let share = self.limits.ejection.map_or(OUT_SHARE_MAX, |ejection| ejection.max_ejected_share);
        self.panic.are_all_dead = present.clone().all(Backend::is_dead);
        self.panic.is_on = health::panicking(present.map(Backend::is_out), share);
        self.is_plain = self.out == 0
            && self.limits.in_flight_max == u32::MAX
            && self.backends.iter().all(|backend| !backend.is_closed());
        self.all_up = false;
    }

    /// Whether so many are out that being out is ignored, but of those that are known not to answer while others do.
    pub const fn is_panicking(&self) -> bool {
        self.panic.is_on
    }

    /// Whether it is still configured.
    pub fn is_configured(&self, backend: usize) -> bool {
        !self.backends[backend].removed
    }

    /// Whether it gets requests, its health aside.
    pub fn is_open(&self, backend: usize) -> bool {
        !self.backends[backend].is_closed()
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
        (self.backends[backend].open, self.backends[backend].pool.len())
    }
}

fn fresh_candidate(config: &BackendConfig, joined: Time) -> Candidate {
    Candidate { in_flight: 0, up: true, weight: config.weight, failure_rate: 0.0, joined }
}

fn is_tried(tried: u64, index: usize) -> bool {
    tried.checked_shr(index as u32).unwrap_or(0) & 1 == 1
}
