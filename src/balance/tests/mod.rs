//! Tests of all policies together.

mod battery;
mod elastic;
mod exact;
mod explain;
mod golden;
mod shadow;
mod shapes;
mod sim;

use super::{Candidate, Observation, Outcome, Stage};
use crate::clock::Time;

const UP: Candidate =
    Candidate { in_flight: 0, up: true, weight: 1.0, failure_rate: 0.0, joined: Time::ZERO };

fn candidates(backends: usize) -> Vec<Candidate> {
    vec![UP; backends]
}

fn ended(backend: usize, latency_ms: f64, outcome: Outcome) -> Observation {
    Observation {
        backend,
        stage: Stage::End,
        latency_ms,
        outcome,
        in_flight_at_pick: 0,
        in_flight_now: 0,
        probe: false,
        head_seen: false,
    }
}
