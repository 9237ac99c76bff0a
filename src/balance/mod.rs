//! Which backend gets the next request: pure policies behind two verbs.
//!
//! A policy keeps its own state per backend, in a plain vector by backend index, and is told everything else: the
//! time, the random draws, how many requests are in flight, who is up. It allocates when it is built and never again.
//! Deliberately absent: sockets, clocks, retries, and any writing of in-flight counts (upstream/ owns those).

use crate::clock::Time;

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
    /// Connect error, reset or close before the head, time-out, malformed answer, or a 5xx that counts as failure.
    Failure,
    /// The client went away first: nobody's failure.
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
}
