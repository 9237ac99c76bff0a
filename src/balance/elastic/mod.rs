//! `elastic`, the default: least time, with the in-flight exponent learned from the pool.
//!
//! A backend's score is `L * (n/w+1)^gamma`: its latency times its load, the latter to a power learned from how latency
//! across the pool reacts to concurrency (`pool.rs`). The load is its requests in flight, n, for its weight, w. A weight is
//! relative to the pool's mean and says how much a backend can take, not how good it is: so equals share the work by
//! weight, whatever gamma is. gamma 0 is lowest latency, 1 is the field's least-time, large is least-connections. What a
//! backend's own latency is worth, how far it may be pushed and when it is worth another look is `host.rs`. This file is
//! the choice and the order in which an answer teaches.
//!
//! Latency is the time to the response head. Deliberately absent: ejection and the failure rate (upstream/health.rs
//! computes both; here they are read from the [`Candidate`]).

mod host;
mod pool;

use super::{Candidate, Observation, Outcome, Pick, Policy, Reason, Stage, millis_between, remap};
use crate::clock::Time;
use host::Host;
use pool::Pool;

/// Above this many backends, a pick looks at a random few instead of all.
const SCAN_MAX: usize = 64;
/// How many it looks at then.
const SAMPLED: usize = 8;
/// Latencies this close to the least count as equal, so that noise does not decide.
const NEAR_LEAST: f64 = 1.15;
/// At most one pick in this many is a probe of a backend not chosen for long.
const PROBE_SPACING: u32 = 64;
/// A backend that joined later is fed one pick in this many fair shares while young.
const WARM_UP_SHARE: f64 = 10.0;
/// ... as long as it has fewer than this many in flight.
const WARM_UP_IN_FLIGHT: u32 = 4;
/// A failure rate below this changes a score by less than 0.02 %: not worth a logarithm.
const FAILURE_RATE_SEEN: f64 = 1e-4;
/// The failure rate counts up to here.
const FAILURE_RATE_MAX: f64 = 0.99;

/// State of the policy: one `Host` per backend and one `Pool`.
#[derive(Clone, Debug)]
pub struct Elastic {
    hosts: Vec<Host>,
    pool: Pool,
    /// Least latency of a measured backend in the last scan, and its logarithm; 0 before there is one.
    least_ms: f64,
    ln_least: f64,
    /// Where the next scan starts, and which backend the next pick considers for a probe.
    scan_from: usize,
    /// Where weights differ: the same as a point between 0 and 1.
    turn: f64,
    probe_cursor: usize,
    picks_since_probe: u32,
    /// The mean of all weights and the largest, as of the last lap of the probes.
    mean_weight: f64,
    most_weight: f64,
    /// Backends that nobody was ever sent to.
    unasked: usize,
    /// `ln(n)` by n, so that a pick takes no logarithm.
    ln: Box<[f64]>,
    tail: bool,
}

impl Elastic {
    /// Nothing measured yet. With `tail`, a backend's latency is its mean plus its standard deviation.
    pub fn new(backends: usize, tail: bool) -> Elastic {
        Elastic {
            hosts: vec![Host::new(); backends],
            pool: Pool::new(tail),
            least_ms: 0.0,
            ln_least: 0.0,
            scan_from: 0,
            turn: 0.0,
            probe_cursor: 0,
            mean_weight: 1.0,
            most_weight: 1.0,
            picks_since_probe: 0,
            unasked: backends,
            ln: (0..512).map(|n| f64::from(n).ln()).collect(),
            tail,
        }
    }

    /// The learned exponent of the in-flight count, 0.1..=2 (from 0 in tail mode); 1 before anything is known.
    pub const fn gamma(&self) -> f64 {
        self.pool.gamma
    }

    /// The latency estimate of `backend` in milliseconds, `None` while unmeasured.
    pub fn latency_ms(&self, backend: usize) -> Option<f64> {
        self.hosts.get(backend).map(|host| host.latency_ms).filter(|latency| *latency > 0.0)
    }

    fn ln_of(&self, n: u32) -> f64 {
        self.ln.get(n as usize).copied().unwrap_or_else(|| f64::from(n).ln())
    }

    /// A backend that is idle and was never asked: without it, one client that asks again and again would know of two
    /// backends only, for as long as an unknown one looks no better than the mean of those.
    #[cold]
    fn first_asked(&mut self, candidates: &[Candidate]) -> Option<Pick> {
        let backends = candidates.len().min(self.hosts.len());
        let first = if self.scan_from + 1 < backends { self.scan_from + 1 } else { 0 };
        let backend = (first..backends).chain(0..first).find(|index| {
            !self.hosts[*index].asked && candidates[*index].up && candidates[*index].in_flight == 0
        })?;
        self.scan_from = first;
        Some(Pick { backend, probe: false, reason: Reason::Unmeasured })
    }

    /// The logarithm of the score: sums instead of products, most of them cached.
    fn ln_score(&self, host: &Host, candidate: &Candidate, now: Time) -> f64 {
        let (base, ln_n) = self.ln_base(host, candidate);
        self.ln_full(base, ln_n, host, candidate, now)
    }

    /// What latency and load make of the score; and the logarithm of the load, the next request included.
    #[inline(always)]
    fn ln_base(&self, host: &Host, candidate: &Candidate) -> (f64, f64) {
        let ln_latency = if host.latency_ms == 0.0 {
            self.ln_unmeasured()
        } else if host.latency_ms <= NEAR_LEAST * self.least_ms {
            self.ln_least
        } else {
            host.ln_latency
        };
        let ln_n = if candidate.weight == self.mean_weight {
            self.ln_of(candidate.in_flight.saturating_add(1))
        } else {
            self.ln_weighted(candidate)
        };
        (ln_latency + self.pool.gamma * ln_n, ln_n)
    }

    /// Out of line, or the compiler takes the logarithm before each scan, which seldom needs it.
    #[cold]
    #[inline(never)]
    fn ln_unmeasured(&self) -> f64 {
        self.pool.mean_ms.ln()
    }

    /// The logarithm of the load where weights differ. Idle ones are alike, whatever they weigh: the turn decides.
    #[cold]
    fn ln_weighted(&self, candidate: &Candidate) -> f64 {
        (f64::from(candidate.in_flight) * self.mean_weight / candidate.weight).ln_1p()
    }

    /// ... and the rest of it: all that can only raise the score.
    #[inline(always)]
    fn ln_full(&self, base: f64, ln_n: f64, host: &Host, candidate: &Candidate, now: Time) -> f64 {
        let mut score = base;
        let load = f64::from(candidate.in_flight) + 1.0;
        if load > host.limit {
            score += 2.0 * (ln_n - host.limit.ln());
        }
        let silence_ns = now.as_nanos().saturating_sub(host.last_answer.as_nanos());
        if silence_ns > host.patience_ns && host.waiting(candidate) > 0 {
            score = score.max((silence_ns as f64 * 1e-6).ln());
        }
        if candidate.failure_rate > FAILURE_RATE_SEEN {
            score -= 2.0 * (1.0 - candidate.failure_rate.min(FAILURE_RATE_MAX)).ln();
        }
        if candidate.joined > Time::ZERO {
            score -= host::ln_ramp(candidate, now);
        }
        score
    }

    /// The backend whose turn it is to be considered for a probe, if it wants one.
    fn probe(&mut self, candidates: &[Candidate], now: Time) -> Option<Pick> {
        self.probe_cursor += 1;
        if self.probe_cursor >= candidates.len() {
            self.probe_cursor = 0;
            self.weigh(candidates);
        }
        let backend = self.probe_cursor;
        let (host, candidate) = (self.hosts.get(backend)?, candidates.get(backend)?);
        if !candidate.up {
            return None;
        }
        let unused_ms = || millis_between(host.last_pick.max(candidate.joined), now);
        if host.is_young(candidate, now)
            && candidate.in_flight < WARM_UP_IN_FLIGHT
            && unused_ms() >= WARM_UP_SHARE * candidates.len() as f64 * self.pool.ms_per_request()
        {
            return Some(Pick::new(backend, Reason::Young));
        }
        if self.picks_since_probe >= PROBE_SPACING
            && host.waiting(candidate) == 0
            && unused_ms() >= host.probe_after_ms
        {
            self.picks_since_probe = 0;
            return Some(Pick::new(backend, Reason::Probe));
        }
        None
    }

    /// Weights change by order and by reload; once a lap is soon enough.
    fn weigh(&mut self, candidates: &[Candidate]) {
        let weights = || candidates.iter().map(|candidate| candidate.weight);
        self.most_weight = weights().fold(0.0, f64::max);
        let are_alike = weights().all(|weight| weight == self.most_weight);
        let mean = weights().sum::<f64>() / candidates.len() as f64;
        self.mean_weight = if are_alike { self.most_weight } else { mean }; // exactly
    }

    /// The next scan starts one further, so that ties rotate; where weights differ, so often at each as it weighs.
    #[inline(always)]
    fn next_turn(&mut self, candidates: &[Candidate]) {
        if self.most_weight > self.mean_weight {
            self.next_turn_by_weight(candidates);
        } else {
            self.scan_from = if self.scan_from + 1 < candidates.len() { self.scan_from + 1 } else { 0 };
        }
    }

    /// Turns are points on a circle around which the backends stand, each as wide as it weighs. Steps of the golden section
    /// meet each in proportion, and never in bursts.
    #[cold]
    fn next_turn_by_weight(&mut self, candidates: &[Candidate]) {
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        self.turn = (self.turn + GOLDEN).fract();
        let mut left = self.turn * self.mean_weight * candidates.len() as f64;
        for (index, candidate) in candidates.iter().enumerate() {
            self.scan_from = index;
            left -= candidate.weight;
            if left < 0.0 {
                return;
            }
        }
    }

    /// Least score of all.
    fn scan_all(&mut self, candidates: &[Candidate], now: Time) -> Option<usize> {
        let backends = candidates.len().min(self.hosts.len());
        self.next_turn(&candidates[..backends]);
        let (hosts, candidates) = (&self.hosts[..backends], &candidates[..backends]);
        let mut best = None;
        let mut best_score = f64::INFINITY;
        let mut least: Option<&Host> = None;
        let mut next = self.scan_from;
        for _ in 0..backends {
            let index = next;
            next = if index + 1 < backends { index + 1 } else { 0 };
            let (host, candidate) = (&hosts[index], &candidates[index]);
            if !candidate.up {
                continue;
            }
            if host.latency_ms > 0.0 && least.is_none_or(|least| host.latency_ms < least.latency_ms) {
                least = Some(host);
            }
            let (base, ln_n) = self.ln_base(host, candidate);
            if base >= best_score && best.is_some() {
                continue; // what is left to add could only raise it
            }
            let score = self.ln_full(base, ln_n, host, candidate, now);
            if score < best_score || best.is_none() {
                (best, best_score) = (Some(index), score);
            }
        }
        if let Some(host) = least {
            (self.least_ms, self.ln_least) = (host.latency_ms, host.ln_latency);
        }
        best
    }

    /// By lot, the heavier the likelier: eight tries, so that one very heavy backend does not make it long.
    fn draw_one(&self, candidates: &[Candidate], backends: usize, draw: &mut fastrand::Rng) -> usize {
        let mut index = draw.usize(..backends);
        if self.most_weight > self.mean_weight {
            for _ in 0..8 {
                if draw.f64() * self.most_weight <= candidates[index].weight {
                    break;
                }
                index = draw.usize(..backends);
            }
        }
        index
    }

    /// Least score of a few drawn at random; all of them when none of those is up.
    fn scan_some(&mut self, candidates: &[Candidate], now: Time, draw: &mut fastrand::Rng) -> Option<usize> {
        let backends = candidates.len().min(self.hosts.len());
        let mut best = None;
        let mut best_score = f64::INFINITY;
        let mut least = f64::INFINITY;
        for _ in 0..SAMPLED {
            let index = self.draw_one(candidates, backends, draw);
            let (host, candidate) = (&self.hosts[index], &candidates[index]);
            if candidate.up {
                let score = self.ln_score(host, candidate, now);
                if score < best_score || best.is_none() {
                    (best, best_score) = (Some(index), score);
                }
                if host.latency_ms > 0.0 {
                    least = least.min(host.latency_ms);
                }
            }
        }
        if best.is_none() {
            return self.scan_all(candidates, now);
        }
        if least.is_finite() {
            // A sample's least is seldom the pool's: sink to it at once, rise slowly.
            let risen = self.least_ms + (least - self.least_ms) / 64.0;
            self.least_ms = if self.least_ms == 0.0 { least } else { least.min(risen) };
            self.ln_least = self.least_ms.ln();
        }
        best
    }

    fn learn(&mut self, candidates: &[Candidate], seen: &Observation, latency_ms: f64, now: Time) {
        let Some(host) = self.hosts.get_mut(seen.backend) else { return };
        self.unasked -= usize::from(!std::mem::replace(&mut host.asked, true)); // another worker's request
        // A young backend's extra picks are for its own sake, not checks of a forgotten one.
        let is_young =
            |host: &Host| candidates.get(seen.backend).is_some_and(|candidate| host.is_young(candidate, now));
        let stale = seen.probe && !is_young(host);
        let concurrency = (f64::from(seen.in_flight_at_pick) + f64::from(seen.in_flight_now)) / 2.0 + 1.0;
        if let Some((load, latency)) = host.relative(concurrency, latency_ms) {
            self.pool.learn_elasticity(load, latency, now);
        }
        self.pool.record(latency_ms, now);
        host.record(latency_ms, concurrency, stale, self.tail, &self.pool, now);
    }
}

impl Policy for Elastic {
    fn pick(&mut self, candidates: &[Candidate], now: Time, draw: &mut fastrand::Rng) -> Option<Pick> {
        let backends = candidates.len().min(self.hosts.len());
        self.picks_since_probe = self.picks_since_probe.saturating_add(1);
        let pick = if backends <= 1 {
            candidates.first().filter(|only| only.up).map(|_| Pick::new(0, Reason::Only))
        } else if let Some(pick) = self.probe(candidates, now) {
            Some(pick)
        } else if self.unasked > 0
            && let Some(pick) = self.first_asked(candidates)
        {
            Some(pick)
        } else if backends <= SCAN_MAX {
            self.scan_all(candidates, now).map(|backend| Pick::new(backend, Reason::Best))
        } else {
            self.scan_some(candidates, now, draw).map(|backend| Pick::new(backend, Reason::Drawn))
        }?;
        if let Some(host) = self.hosts.get_mut(pick.backend) {
            self.unasked -= usize::from(!std::mem::replace(&mut host.asked, true));
            host.dispatched(&candidates[pick.backend], now);
        }
        Some(pick)
    }

    fn observe(&mut self, candidates: &[Candidate], seen: &Observation, now: Time) {
        let Some(host) = self.hosts.get_mut(seen.backend) else { return };
        if seen.stage == Stage::End && seen.head_seen {
            return;
        }
        host.answered(now);
        let sample = match seen.outcome {
            Outcome::Success => true,
            Outcome::Failure => false,
            // The client waited this long and left: news only if that is longer than expected.
            Outcome::Abandoned => {
                seen.stage == Stage::End && host.latency_ms > 0.0 && seen.latency_ms > host.latency_ms
            }
        };
        if sample && seen.latency_ms.is_finite() {
            self.learn(candidates, seen, seen.latency_ms.max(0.0), now);
        }
    }

    fn observe_elsewhere(&mut self, candidates: &[Candidate], seen: &Observation, now: Time) {
        let Some(before) = self.hosts.get(seen.backend).map(Host::own) else { return };
        self.observe(candidates, seen, now);
        if let Some(host) = self.hosts.get_mut(seen.backend) {
            host.heard(before, now);
        }
    }

    fn score(&self, backend: usize, candidates: &[Candidate], now: Time) -> Option<f64> {
        Some(self.ln_score(self.hosts.get(backend)?, candidates.get(backend)?, now).exp())
    }

    fn estimate_ms(&self, backend: usize) -> Option<f64> {
        self.latency_ms(backend)
    }

    fn rebuild(&mut self, keep: &[Option<usize>]) {
        remap(&mut self.hosts, keep, Host::new);
        self.unasked = self.hosts.iter().filter(|host| !host.asked).count();
    }
}
