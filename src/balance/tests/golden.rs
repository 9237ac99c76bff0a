//! The reference behaviour of `elastic`: a recorded run of picks and completions.
//!
//! The picks must be the same, one by one. L and gamma are compared to 1e-6: the trace gives its own inputs (times
//! and latencies) to the nanosecond only, and its first L already differs from its first latency by 4e-7.

use crate::balance::elastic::Elastic;
use crate::balance::{Candidate, Observation, Outcome, Policy, Stage};
use crate::clock::Time;

const TRACE: &str = include_str!("../../../tests/data/golden-trace.csv");

#[test]
fn elastic_follows_the_golden_trace() {
    let mut policy = Elastic::new(3, false);
    let mut draw = fastrand::Rng::with_seed(1);
    let fresh = Candidate { in_flight: 0, up: true, weight: 1.0, failure_rate: 0.0, joined: Time::ZERO };
    let mut candidates = [fresh; 3];
    // Which picks were probes, by host and in-flight count at dispatch and time.
    let mut probed = 0;
    let mut probes: Vec<(usize, u64)> = Vec::new();
    for (line, row) in TRACE.lines().enumerate().skip(1) {
        let field: Vec<&str> = row.split(',').collect();
        let at = Time::from_nanos((field[1].parse::<f64>().unwrap() * 1e6).round() as u64);
        let host: usize = field[2].parse().unwrap();
        let in_flight: u32 = field[3].parse().unwrap();
        let expected: f64 = field[6].parse().unwrap();
        let got = if field[0] == "pick" {
            let pick = policy.pick(&candidates, at, &mut draw).unwrap();
            assert_eq!(
                (pick.backend, candidates[host].in_flight),
                (host, in_flight),
                "line {}: {row}",
                line + 1
            );
            candidates[host].in_flight += 1;
            if pick.probe {
                probes.push((host, at.as_nanos() / 1000));
            }
            policy.gamma()
        } else {
            candidates[host].in_flight -= 1;
            let latency_ms: f64 = field[4].parse().unwrap();
            let sent = ((at.as_millis_f64() - latency_ms) * 1000.0).round() as u64;
            let probe = probes.iter().position(|(h, t)| *h == host && t.abs_diff(sent) <= 1);
            if let Some(i) = probe {
                probes.remove(i);
                probed += 1;
            }
            let seen = Observation {
                backend: host,
                stage: Stage::End,
                latency_ms,
                outcome: if field[5] == "1" { Outcome::Success } else { Outcome::Failure },
                in_flight_at_pick: in_flight,
                in_flight_now: candidates[host].in_flight,
                probe: probe.is_some(),
                head_seen: false,
            };
            policy.observe(&candidates, &seen, at);
            policy.latency_ms(host).unwrap_or(0.0)
        };
        assert!((got - expected).abs() < 1e-6, "line {}: {row}: got {got}", line + 1);
    }
    assert_eq!(probes.len() + probed, 1, "the trace holds one probe");
}
