//! A world in virtual time for policies: backends with service times and queues, clients in a closed or open loop.
//!
//! Deterministic for a seed. Latencies are what the policy sees; there is no network and no proxy cost.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::balance::{AnyPolicy, Candidate, Observation, Outcome, Policy, Stage};
use crate::clock::Time;
use crate::upstream::health::{Ejection, Health, Usable, Verdict, panicking};

/// Draws the service time of one request in ms and whether it succeeds.
pub(super) type Service = Box<dyn FnMut(Time, &mut fastrand::Rng) -> (f64, bool)>;

pub(super) struct Backend {
    pub(super) service: Service,
    /// Requests served at once; the rest queue in order.
    pub(super) concurrency: usize,
    pub(super) weight: f64,
}

#[derive(Clone, Copy)]
pub(super) enum Load {
    /// This many clients, each sending its next request when the last is answered.
    Closed(usize),
    /// Poisson arrivals, requests per second.
    Open(f64),
}

#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) at: Time,
    pub(super) backend: usize,
    pub(super) latency_ms: f64,
    pub(super) ok: bool,
}

pub(super) struct Run {
    pub(super) answers: Vec<Answer>,
    backends: usize,
}

impl Run {
    pub(super) fn after(&self, from: Time) -> Run {
        let answers = self.answers.iter().filter(|answer| answer.at >= from).copied().collect();
        Run { answers, backends: self.backends }
    }

    pub(super) fn mean(&self) -> f64 {
        self.answers.iter().map(|answer| answer.latency_ms).sum::<f64>() / self.answers.len() as f64
    }

    pub(super) fn percentile(&self, share: f64) -> f64 {
        let mut sorted: Vec<f64> = self.answers.iter().map(|answer| answer.latency_ms).collect();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * share) as usize]
    }

    pub(super) fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.backends];
        for answer in &self.answers {
            counts[answer.backend] += 1;
        }
        counts
    }

    /// Share of `backend` among the answers to requests sent in `from..to`.
    pub(super) fn share_sent(&self, backend: usize, from: Time, to: Time) -> f64 {
        let sent = |answer: &&Answer| {
            let sent = answer.at.as_millis_f64() - answer.latency_ms;
            sent >= from.as_millis_f64() && sent < to.as_millis_f64()
        };
        let all = self.answers.iter().filter(sent).count();
        self.answers.iter().filter(sent).filter(|answer| answer.backend == backend).count() as f64
            / all as f64
    }

    pub(super) fn errors(&self) -> f64 {
        self.answers.iter().filter(|answer| !answer.ok).count() as f64 / self.answers.len() as f64
    }
}

struct Request {
    backend: usize,
    sent: Time,
    in_flight_at_pick: u32,
    probe: bool,
    trial: bool,
    ok: bool,
}

pub(super) struct World {
    pub(super) backends: Vec<Backend>,
    pub(super) load: Load,
    pub(super) eject: bool,
    pub(super) seed: u64,
}

struct Live<'a> {
    world: &'a mut World,
    policy: &'a mut AnyPolicy,
    draw: fastrand::Rng,
    candidates: Vec<Candidate>,
    health: Vec<Health>,
    busy: Vec<usize>,
    queues: Vec<VecDeque<usize>>,
    requests: Vec<Request>,
    /// Request finished, or `None` for an arrival; ordered by time, then by when it was scheduled.
    events: BinaryHeap<Reverse<(Time, u64, Option<usize>)>>,
    scheduled: u64,
    run: Run,
}

impl World {
    pub(super) fn run(mut self, policy: &mut AnyPolicy, until: Time) -> Run {
        let backends = self.backends.len();
        let candidate = |backend: &Backend| Candidate {
            in_flight: 0,
            up: true,
            weight: backend.weight,
            failure_rate: 0.0,
            joined: Time::ZERO,
        };
        let mut live = Live {
            candidates: self.backends.iter().map(candidate).collect(),
            draw: fastrand::Rng::with_seed(self.seed),
            world: &mut self,
            policy,
            health: vec![Health::default(); backends],
            busy: vec![0; backends],
            queues: vec![VecDeque::new(); backends],
            requests: Vec::new(),
            events: BinaryHeap::new(),
            scheduled: 0,
            run: Run { answers: Vec::new(), backends },
        };
        let first = if let Load::Closed(clients) = live.world.load { clients } else { 1 };
        for _ in 0..first {
            live.schedule(Time::ZERO, None);
        }
        while let Some(Reverse((now, _, event))) = live.events.pop() {
            if now > until {
                break;
            }
            match event {
                None => live.arrive(now),
                Some(request) => live.finish(request, now),
            }
        }
        live.run
    }
}

impl Live<'_> {
    fn schedule(&mut self, at: Time, event: Option<usize>) {
        self.scheduled += 1;
        self.events.push(Reverse((at, self.scheduled, event)));
    }

    fn arrive(&mut self, now: Time) {
        if let Load::Open(per_second) = self.world.load {
            let gap = -(1.0 - self.draw.f64()).ln() * 1e9 / per_second;
            self.schedule(Time::from_nanos(now.as_nanos() + gap as u64), None);
        }
        if self.world.eject {
            let panic =
                panicking(self.health.iter().map(Health::is_out), Ejection::default().max_ejected_share);
            for (candidate, health) in self.candidates.iter_mut().zip(&self.health) {
                candidate.up = panic || health.usable(now) != Usable::No;
                candidate.failure_rate = health.failure_rate();
            }
        }
        let pick = self.policy.pick(&self.candidates, now, &mut self.draw).expect("one is always up");
        let backend = pick.backend;
        let trial = self.world.eject && self.health[backend].dispatched(now);
        let in_flight_at_pick = self.candidates[backend].in_flight;
        self.candidates[backend].in_flight += 1;
        let (sent, probe) = (now, pick.probe);
        self.requests.push(Request { backend, sent, in_flight_at_pick, probe, trial, ok: true });
        self.queues[backend].push_back(self.requests.len() - 1);
        self.serve(backend, now);
    }

    fn serve(&mut self, backend: usize, now: Time) {
        while self.busy[backend] < self.world.backends[backend].concurrency {
            let Some(request) = self.queues[backend].pop_front() else { return };
            self.busy[backend] += 1;
            let (service_ms, ok) = (self.world.backends[backend].service)(now, &mut self.draw);
            self.requests[request].ok = ok;
            self.schedule(Time::from_nanos(now.as_nanos() + (service_ms * 1e6) as u64), Some(request));
        }
    }

    fn finish(&mut self, request: usize, now: Time) {
        let Request { backend, sent, in_flight_at_pick, probe, trial, ok } = self.requests[request];
        self.busy[backend] -= 1;
        self.candidates[backend].in_flight -= 1;
        self.serve(backend, now);
        let latency_ms = now.as_millis_f64() - sent.as_millis_f64();
        let outcome = if ok { Outcome::Success } else { Outcome::Failure };
        let head = Observation {
            backend,
            stage: Stage::Head,
            latency_ms,
            outcome,
            in_flight_at_pick,
            in_flight_now: self.candidates[backend].in_flight,
            probe,
            head_seen: false,
        };
        self.policy.observe(&self.candidates, &head, now);
        self.policy.observe(
            &self.candidates,
            &Observation { stage: Stage::End, head_seen: true, ..head },
            now,
        );
        if self.world.eject {
            let verdict = if ok { Verdict::Ok } else { Verdict::Failure };
            self.health[backend].record(verdict, trial, now, &Ejection::default(), &mut self.draw);
        }
        self.run.answers.push(Answer { at: now, backend, latency_ms, ok });
        if matches!(self.world.load, Load::Closed(_)) {
            self.schedule(now, None);
        }
    }
}

/// What real timers add. Without any, the hundred connections stay in step for ever and nothing can be learned from
/// their differences.
const JITTER_MS: f64 = 0.3;

/// A backend answering the values of a cycle in turn, as many at once as come.
pub(super) fn cycle(values: &'static [f64]) -> Backend {
    let mut next = values.iter().cycle();
    let service: Service =
        Box::new(move |_, draw| (*next.next().unwrap_or(&0.0) + draw.f64() * JITTER_MS, true));
    Backend { service, concurrency: usize::MAX, weight: 1.0 }
}

/// The original's three backends under its load of 100 connections.
pub(super) fn original(seed: u64) -> World {
    let a = cycle(&[10.0, 15.0, 20.0, 400.0, 400.0, 400.0, 10.0, 15.0, 20.0]);
    let backends = vec![a, cycle(&[200.0]), cycle(&[250.0])];
    World { backends, load: Load::Closed(100), eject: false, seed }
}

/// `backends` of speed x1 to x5, four requests at a time each, exponential service, at `load` of their capacity.
pub(super) fn uneven(backends: usize, load: f64, seed: u64) -> World {
    let speed = move |i: usize| 1.0 + 4.0 * i as f64 / (backends - 1) as f64;
    let base_ms = 50.0;
    let concurrency = 4;
    let backend = |i: usize| {
        let service: Service = Box::new(move |_, draw| (-(1.0 - draw.f64()).ln() * base_ms / speed(i), true));
        Backend { service, concurrency, weight: 1.0 }
    };
    let capacity: f64 = (0..backends).map(|i| speed(i) * concurrency as f64 * 1e3 / base_ms).sum();
    let backends = (0..backends).map(backend).collect();
    World { backends, load: Load::Open(load * capacity), eject: true, seed }
}
