//! What a policy costs per request: one pick and both observations. Prints, asserts nothing:
//! `cargo test --release --test balance_price -- --ignored --nocapture`.

use std::collections::VecDeque;
use std::time::Instant;

use tidegate::balance::{Candidate, Observation, Options, Outcome, Policy, Routing, Stage};
use tidegate::clock::Time;

const UP: Candidate =
    Candidate { in_flight: 0, up: true, weight: 1.0, failure_rate: 0.0, joined: Time::ZERO };

#[test]
#[ignore = "prints the price per request; run with --release"]
fn price_per_request() {
    for (routing, backends) in [
        (Routing::Elastic, 3),
        (Routing::Elastic, 10),
        (Routing::Elastic, 64),
        (Routing::Elastic, 200),
        (Routing::LeastTime, 3),
        (Routing::RoundRobin, 3),
    ] {
        let mut policy = routing.build(backends, Options::default());
        let mut pool = vec![UP; backends];
        let mut draw = fastrand::Rng::with_seed(1);
        let mut sent = VecDeque::new();
        let requests = 2_000_000u64;
        let started = Instant::now();
        for i in 0..requests {
            let now = Time::from_micros(i * 20);
            let pick = policy.pick(&pool, now, &mut draw).unwrap();
            sent.push_back((pick, pool[pick.backend].in_flight, now));
            pool[pick.backend].in_flight += 1;
            if sent.len() > 4 * backends {
                let (pick, in_flight_at_pick, at) = sent.pop_front().unwrap();
                let candidate = &mut pool[pick.backend];
                candidate.in_flight -= 1;
                let head = Observation {
                    backend: pick.backend,
                    latency_ms: now.since(at).as_secs_f64() * 1e3,
                    outcome: Outcome::Success,
                    stage: Stage::Head,
                    in_flight_at_pick,
                    in_flight_now: candidate.in_flight,
                    probe: pick.probe,
                    head_seen: false,
                };
                policy.observe(&pool, &head, now);
                policy.observe(&pool, &Observation { stage: Stage::End, head_seen: true, ..head }, now);
            }
        }
        println!(
            "{routing}, {backends} backends: {:.0} ns",
            started.elapsed().as_nanos() as f64 / requests as f64
        );
    }
}
