//! Which backend gets the next request: pure policies behind two verbs.
//!
//! A policy keeps its own state per backend, in a plain vector by backend index, and is told everything else: the
//! time, the random draws, how many requests are in flight, who is up. It allocates when it is built and never again.
//! Deliberately absent: sockets, clocks, retries, and any writing of in-flight counts (upstream/ owns those).

pub mod elastic;
pub mod ewma;
pub mod explain;
pub mod least_connections;
pub mod least_time;
pub mod original;
pub mod p2c;
pub mod peak_ewma;
pub mod random;
pub mod round_robin;
pub mod routing;
pub mod shadow;
pub mod sma;
#[cfg(test)]
mod tests;
pub mod variant;

pub use original::OriginalAverages;
pub use routing::{AnyPolicy, Average, Options, Routing, UnknownRouting};
pub use variant::{Objective, Variant};

use crate::clock::Time;

/// The two verbs of every policy, and what display and reload need.
///
/// A caller keeps one policy per event loop and calls `pick` once per dispatch: a pick *is* a dispatch as far as the
/// policy's memory goes. `candidates` always lists every backend in configured order, the same length as the policy
/// was built (or last rebuilt) for; indices beyond it are ignored rather than a panic.
pub trait Policy {
    /// The backend for the next request, or `None` when no candidate is up.
    fn pick(&mut self, candidates: &[Candidate], now: Time, draw: &mut fastrand::Rng) -> Option<Pick>;

    /// Learns from one answer. Every dispatched request is observed once at [`Stage::End`], and once before that at
    /// [`Stage::Head`] if its final response head arrived.
    fn observe(&mut self, candidates: &[Candidate], seen: &Observation, now: Time);

    /// What the policy ranks `backend` by, lower is better, in its own unit; `None` when it has no such number.
    fn score(&self, backend: usize, candidates: &[Candidate], now: Time) -> Option<f64>;

    /// What the policy expects a request to `backend` to take, in milliseconds; `None` while it does not know, or never
    /// asks.
    fn estimate_ms(&self, _backend: usize) -> Option<f64> {
        None
    }

    /// Adopts a new backend list: new index `i` takes over the state of old index `keep[i]`, or starts afresh.
    fn rebuild(&mut self, keep: &[Option<usize>]);
}

/// Moves per-backend state to a new list of backends; the shared half of every [`Policy::rebuild`].
pub(crate) fn remap<T: Clone>(states: &mut Vec<T>, keep: &[Option<usize>], fresh: impl Fn() -> T) {
    *states =
        keep.iter().map(|old| old.and_then(|i| states.get(i).cloned()).unwrap_or_else(&fresh)).collect();
}

/// Milliseconds from `earlier` to `later`; a clock read out of order counts as no time at all.
pub(crate) fn millis_between(earlier: Time, later: Time) -> f64 {
    later.as_nanos().saturating_sub(earlier.as_nanos()) as f64 * 1e-6
}

/// The first candidate that is up with the least `score`; scores that are not numbers never win over one that is.
pub(crate) fn least(candidates: &[Candidate], score: impl Fn(usize, &Candidate) -> f64) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| candidate.up) {
        let score = score(index, candidate);
        if best.is_none_or(|(_, least)| score < least || least.is_nan()) {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

/// What a policy may know about one backend at the moment of a pick, in configured order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Requests dispatched to it and not yet finished.
    pub in_flight: u32,
    /// Whether it may be picked now (not ejected, not draining, not already tried for this request).
    pub up: bool,
    /// Relative capacity, 1.0 unless configured; finite and > 0.
    pub weight: f64,
    /// Decayed share of failures among its answers, 0..=1 (routing.md's F).
    pub failure_rate: f64,
    /// When it joined the pool; [`Time::ZERO`] for those present at start.
    pub joined: Time,
}

/// A pick. `probe` comes back in the [`Observation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Index of the backend.
    pub backend: usize,
    /// Whether it was chosen to learn, not because it scored best.
    pub probe: bool,
    /// Why it was chosen, as far as the policy knows.
    pub reason: Reason,
}

impl Pick {
    /// A pick that says by its reason whether it is a probe.
    pub const fn new(backend: usize, reason: Reason) -> Pick {
        let probe = matches!(reason, Reason::Probe | Reason::Young | Reason::Unmeasured);
        Pick { backend, probe, reason }
    }
}

/// Why a backend was chosen. A policy gives one of the first six; the others are known to its caller only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It ranked best of all.
    Best,
    /// It was not asked for a while, and what is known of it is old.
    Probe,
    /// It joined lately and is given enough requests to show what it can do.
    Young,
    /// It was its turn.
    RoundRobin,
    /// Nothing is known of it.
    Unmeasured,
    /// By lot, or as the best of a few drawn.
    Drawn,
    /// An earlier attempt failed elsewhere.
    Fallback,
    /// So many backends are out that all are used.
    Panic,
    /// It was out, its time is over, and this request tries it.
    Trial,
    /// No other could be chosen.
    Only,
}

impl Reason {
    /// One word, for logs and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Best => "best",
            Reason::Probe => "probe",
            Reason::Young => "young",
            Reason::RoundRobin => "round-robin",
            Reason::Unmeasured => "unmeasured",
            Reason::Drawn => "drawn",
            Reason::Fallback => "fallback",
            Reason::Panic => "panic",
            Reason::Trial => "trial",
            Reason::Only => "only",
        }
    }
}

/// Where in the exchange an observation was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The final response head is here; the request is still in flight.
    Head,
    /// The exchange is over, well or badly; it is no longer in flight.
    End,
}

/// How the request went, as far as `stage` can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer that counts as good.
    Success,
    /// Connect error, reset or close before the head, time-out, malformed answer, a 5xx that counts as failure, or a
    /// 429: whatever should not teach a policy that the backend is fast.
    Failure,
    /// The client went away first: nobody's failure. Also says "not a sample" of a 101 at [`Stage::Head`].
    Abandoned,
}

/// One thing learned about one backend.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Index of the backend.
    pub backend: usize,
    /// Which end of the answer this is.
    pub stage: Stage,
    /// From just before the request was sent (connecting included) to `stage`, in milliseconds.
    pub latency_ms: f64,
    /// How it went.
    pub outcome: Outcome,
    /// Requests in flight on the backend when this one was picked, itself excluded.
    pub in_flight_at_pick: u32,
    /// The same now, itself excluded.
    pub in_flight_now: u32,
    /// Whether the pick was a probe.
    pub probe: bool,
    /// At [`Stage::End`]: whether a [`Stage::Head`] observation of the same request went before. Tells a client that
    /// gave up waiting (its patience is a sample) from one that closed a stream it was reading (it is not).
    pub head_seen: bool,
}
