//! The proxy's decisions in virtual time: a heap of events instead of a poll, and no sockets.
//!
//! What decides is what decides in the proxy: [`AnyPolicy`] picks, [`Upstreams`] counts, ejects and readmits, the
//! [`RetryBudget`] pays for second attempts, with the proxy's default limits. What is imitated is what lies around it:
//! clients in a closed or an open loop as the load driver has them, and backends behind [`Origins`]. After its first
//! moments a run allocates nothing per request.
//!
//! Absent: the cost of the proxy and of sockets (one small delay per attempt stands for both, [`Setting::network`]),
//! bodies, client time-outs, and limits of connections.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::balance::{AnyPolicy, Observation, Outcome, Pick, Policy, Stage, Variant};
use crate::clock::Time;
use crate::config::{BackendConfig, ProxyConfig};
use crate::load::{Arrivals, Spacing};
use crate::report::Lap;
use crate::upstream::budget::RetryBudget;
use crate::upstream::health::{Change, Verdict};
use crate::upstream::{Entered, Limits, Upstreams};

/// How often an unreachable backend is looked at, as the proxy does.
const REVISIT: Duration = Duration::from_secs(1);
/// Whatever happens takes this long at least: in a world without any delay a closed loop would never see time pass.
const LEAST: Duration = Duration::from_micros(1);

/// Backends, as the world meets them.
pub(super) trait Origins {
    /// What becomes of a request that arrives now. To be called in order of time.
    fn begin(&mut self, backend: usize, now: Time) -> Begun;

    /// When which of them goes (`false`) or comes back, in order of time.
    fn switches(&self) -> Vec<(Time, usize, bool)> {
        Vec::new()
    }

    /// It goes or comes back now.
    fn switch(&mut self, _backend: usize, _listens: bool) {}
}

/// What becomes of a request at a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// An answer after so long.
    Answer(Duration, u16),
    /// Nobody listens.
    Refused,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Load {
    /// So many clients, each with one request at a time.
    Closed(usize),
    /// By the clock, over so many connections; what is due while all are busy waits.
    Open { rate: f64, spacing: Spacing, connections: usize },
    /// At these times, as many at once as it takes.
    Given(Vec<Time>),
}

/// One round.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    pub(super) routing: Variant,
    pub(super) backends: &'a [BackendConfig],
    pub(super) load: &'a Load,
    /// Added to each attempt, drawn evenly from half of it to one and a half.
    pub(super) network: Duration,
    pub(super) warmup: Duration,
    pub(super) duration: Duration,
    pub(super) load_seed: u64,
    /// Of the policy's own draws and the ejector's.
    pub(super) policy_seed: u64,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answer(u16),
    Refused,
    Cut,
    TimedOut,
    NoBackend,
}

impl Fate {
    fn status(self) -> u16 {
        match self {
            Fate::Answer(status) => status,
            Fate::Refused | Fate::Cut => 502,
            Fate::TimedOut => 504,
            Fate::NoBackend => 503,
        }
    }

    fn verdict(self) -> Verdict {
        if let Fate::Answer(status) = self { Verdict::of_status(status) } else { Verdict::Failure }
    }
}

/// One request and its attempt under way; a slot is used again.
#[derive(Clone, Copy, Debug)]
struct Request {
    intended: Time,
    dispatched: Time,
    pick: Option<Pick>,
    entered: Entered,
    fate: Fate,
    /// Tells this attempt's end from that of an earlier one.
    attempt: u32,
    attempts: u32,
    tried: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A client of a closed loop begins.
    Client,
    /// A request of an open loop is due.
    Arrival,
    Ended {
        slot: usize,
        attempt: u32,
    },
    Switch(usize),
    Revisit(usize),
}

/// Ordered by time, then by when it was planned, so that equal seeds give equal runs.
type Event = Reverse<(Time, u64, What)>;

/// A round while it runs.
pub(super) struct World<'a, O> {
    setting: &'a Setting<'a>,
    origins: O,
    upstreams: Upstreams,
    policy: AnyPolicy,
    /// Ejection, retries and so on are off in the original's modes.
    exact: bool,
    draw: fastrand::Rng,
    network: fastrand::Rng,
    budget: RetryBudget,
    timeout: Duration,
    retries: u32,
    events: BinaryHeap<Event>,
    planned: u64,
    requests: Vec<Request>,
    free: Vec<usize>,
    switches: Vec<(Time, usize, bool)>,
    listens: Vec<bool>,
    arrivals: Option<Arrivals>,
    /// The next of [`Load::Given`].
    given: usize,
    /// Connections of an open loop without a request, and requests without a connection.
    idle: usize,
    waiting: VecDeque<Time>,
    until: Time,
    lap: Lap,
}

impl<'a, O: Origins> World<'a, O> {
    pub(super) fn new(setting: &'a Setting<'a>, origins: O) -> World<'a, O> {
        let from = Time::ZERO.plus(setting.warmup);
        let until = from.plus(setting.duration);
        let config = ProxyConfig::default();
        let exact = setting.routing.routing.is_exact();
        let limits = Limits {
            idle_max: config.timeouts.upstream_idle,
            in_flight_max: u32::MAX,
            ejection: (!exact).then(|| config.ejector.into()),
        };
        let budget =
            RetryBudget::new(config.retry_budget.percent, config.retry_budget.per_second, Time::ZERO);
        let (arrivals, idle) = match setting.load {
            Load::Open { rate, spacing, connections } => {
                let arrivals = Arrivals::new(*rate, *spacing, setting.load_seed, Time::ZERO, until);
                (Some(arrivals), *connections)
            }
            Load::Closed(_) | Load::Given(_) => (None, usize::MAX),
        };
        let switches = origins.switches();
        let mut draw = fastrand::Rng::with_seed(setting.policy_seed);
        let mut world = World {
            setting,
            origins,
            upstreams: Upstreams::new(setting.backends, limits),
            policy: setting.routing.build(setting.backends.len()),
            exact,
            network: fastrand::Rng::with_seed(draw.u64(..)),
            draw,
            budget,
            timeout: config.timeouts.upstream,
            retries: config.retries,
            events: BinaryHeap::new(),
            planned: 0,
            requests: Vec::new(),
            free: Vec::new(),
            switches,
            listens: vec![true; setting.backends.len()],
            arrivals,
            given: 0,
            idle,
            waiting: VecDeque::new(),
            until,
            lap: Lap::new(from, until, !matches!(setting.load, Load::Closed(_))),
        };
        world.plan_first();
        world
    }

    fn plan_first(&mut self) {
        for index in 0..self.switches.len() {
            self.plan(self.switches[index].0, What::Switch(index));
        }
        match self.setting.load {
            Load::Closed(clients) => (0..*clients).for_each(|_| self.plan(Time::ZERO, What::Client)),
            Load::Open { .. } | Load::Given(_) => self.plan_arrival(),
        }
    }

    /// Runs it to its end. A closed loop stops then and there; the answers to an open one's requests are waited for.
    pub(super) fn run(mut self) -> (Lap, O) {
        let closed = matches!(self.setting.load, Load::Closed(_));
        let end = if closed { self.until } else { self.until.plus(self.timeout) };
        while let Some(Reverse((now, _, what))) = self.events.pop() {
            if now >= end {
                break;
            }
            match what {
                What::Client => self.request(now, now),
                What::Arrival => self.arrive(now),
                What::Ended { slot, attempt } => {
                    if self.requests[slot].attempt == attempt {
                        self.ended(slot, now);
                    }
                }
                What::Switch(index) => self.switch(index, now),
                What::Revisit(backend) => self.revisit(backend, now),
            }
        }
        (self.lap, self.origins)
    }

    fn plan(&mut self, at: Time, what: What) {
        self.planned += 1;
        self.events.push(Reverse((at, self.planned, what)));
    }

    fn plan_arrival(&mut self) {
        let at = match (&self.arrivals, self.setting.load) {
            (Some(arrivals), _) => arrivals.next(),
            (None, Load::Given(times)) => times.get(self.given).copied().filter(|at| *at < self.until),
            _ => None,
        };
        if let Some(at) = at {
            self.plan(at, What::Arrival);
        }
    }

    fn arrive(&mut self, now: Time) {
        self.given += 1;
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.take();
        }
        self.plan_arrival();
        if self.idle == 0 {
            self.waiting.push_back(now);
            return;
        }
        self.idle -= 1;
        self.request(now, now);
    }

    /// A client sends what was due at `intended`.
    fn request(&mut self, intended: Time, now: Time) {
        self.budget.deposit();
        let blank = Request {
            intended,
            dispatched: now,
            pick: None,
            entered: Entered { in_flight_before: 0, trial: false },
            fate: Fate::NoBackend,
            attempt: 0,
            attempts: 0,
            tried: 0,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.requests.push(blank);
            self.requests.len() - 1
        });
        self.requests[slot] = Request { attempt: self.requests[slot].attempt, ..blank };
        self.dispatch(slot, now);
    }

    fn dispatch(&mut self, slot: usize, now: Time) {
        let tried = self.requests[slot].tried;
        let usable = self.upstreams.refresh(tried, true, now).is_ok();
        let candidates = self.upstreams.candidates();
        let pick = usable.then(|| self.policy.pick(candidates, now, &mut self.draw)).flatten();
        let mut delay = self.setting.network.mul_f64(0.5 + self.network.f64());
        let mut fate = Fate::NoBackend;
        if let Some(pick) = pick {
            self.requests[slot].entered = self.upstreams.dispatch(pick.backend, now);
            match self.origins.begin(pick.backend, now) {
                Begun::Refused => fate = Fate::Refused,
                Begun::Answer(after, status) => {
                    (delay, fate) = (delay.saturating_add(after), Fate::Answer(status));
                }
            }
        }
        if delay > self.timeout {
            (delay, fate) = (self.timeout, Fate::TimedOut);
        }
        let request = &mut self.requests[slot];
        (request.pick, request.fate, request.dispatched) = (pick, fate, now);
        request.attempts += 1;
        let attempt = request.attempt;
        self.plan(now.plus(delay.max(LEAST)), What::Ended { slot, attempt });
    }

    fn ended(&mut self, slot: usize, now: Time) {
        let request = &mut self.requests[slot];
        request.attempt = request.attempt.wrapping_add(1);
        let request = *request;
        if let Some(pick) = request.pick {
            self.settle(&request, pick, now);
            if self.goes_elsewhere(slot, pick.backend, now) {
                return self.dispatch(slot, now);
            }
        }
        let status = request.fate.status();
        let sent = !matches!(request.fate, Fate::Refused | Fate::NoBackend);
        let latency_us = sent.then(|| now.micros_since(request.dispatched));
        self.lap.row(now, request.pick.map(|pick| pick.backend), latency_us, status);
        self.lap.answered(request.intended, now, status);
        self.free.push(slot);
        match (self.setting.load, self.waiting.pop_front()) {
            (Load::Closed(_), _) => self.request(now, now),
            (_, Some(intended)) => self.request(intended, now),
            (_, None) => self.idle = self.idle.saturating_add(1),
        }
    }

    /// What the attempt taught goes to the policy and to the backend's health.
    fn settle(&mut self, request: &Request, pick: Pick, now: Time) {
        let backend = pick.backend;
        let verdict = request.fate.verdict();
        let outcome = if verdict == Verdict::Ok { Outcome::Success } else { Outcome::Failure };
        let head_seen = matches!(request.fate, Fate::Answer(_));
        let mut seen = Observation {
            backend,
            stage: Stage::Head,
            latency_ms: now.since(request.dispatched).as_secs_f64() * 1e3,
            outcome,
            in_flight_at_pick: request.entered.in_flight_before,
            in_flight_now: self.upstreams.candidates()[backend].in_flight.saturating_sub(1),
            probe: pick.probe,
            head_seen: false,
        };
        if head_seen {
            self.policy.observe(self.upstreams.candidates(), &seen, now);
        }
        self.upstreams.finish(backend);
        (seen.stage, seen.head_seen) = (Stage::End, head_seen);
        self.policy.observe(self.upstreams.candidates(), &seen, now);
        let change = self.upstreams.record(backend, request.entered, verdict, || None, now, &mut self.draw);
        if let Some(Change::Ejected { .. }) = change {
            let unreachable = request.fate == Fate::Refused;
            self.upstreams.set_unreachable(backend, unreachable);
            if unreachable {
                self.plan(now.plus(REVISIT), What::Revisit(backend));
            }
        }
    }

    /// Whether another backend is to have this request: all are as safe to repeat as a GET without a body.
    fn goes_elsewhere(&mut self, slot: usize, backend: usize, now: Time) -> bool {
        let request = &mut self.requests[slot];
        request.tried |= 1u64.checked_shl(backend as u32).unwrap_or(0);
        let may_retry = matches!(request.fate, Fate::Refused | Fate::Cut);
        may_retry
            && !self.exact
            && request.attempts <= self.retries
            && self.upstreams.has_elsewhere(request.tried, now)
            && (request.fate == Fate::Refused || self.budget.withdraw(now))
    }

    /// A backend goes, and with it the answers under way; or it comes back.
    fn switch(&mut self, index: usize, now: Time) {
        let (_, backend, listens) = self.switches[index];
        self.listens[backend] = listens;
        self.origins.switch(backend, listens);
        if listens {
            return;
        }
        let free = &self.free;
        let is_there = |(slot, request): (usize, &Request)| {
            let there = request.pick.is_some_and(|pick| pick.backend == backend) && !free.contains(&slot);
            there.then_some(slot)
        };
        let cut: Vec<usize> = self.requests.iter().enumerate().filter_map(is_there).collect();
        for slot in cut {
            self.requests[slot].fate = Fate::Cut;
            self.ended(slot, now);
        }
    }

    fn revisit(&mut self, backend: usize, now: Time) {
        if !self.upstreams.is_unreachable(backend) {
            return;
        }
        if self.listens[backend] {
            self.upstreams.try_now(backend, now);
        } else {
            self.plan(now.plus(REVISIT), What::Revisit(backend));
        }
    }
}
