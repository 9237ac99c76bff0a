//! What the reference trace does not reach: streams, failures, newcomers, clients that leave, large pools.

use super::{UP, candidates, ended};
use crate::balance::elastic::Elastic;
use crate::balance::{Candidate, Observation, Outcome, Policy, Stage};
use crate::clock::Time;

fn measured(latencies: &[f64]) -> Elastic {
    let mut policy = Elastic::new(latencies.len(), false);
    for _ in 0..50 {
        for (backend, latency_ms) in latencies.iter().enumerate() {
            let seen = ended(backend, *latency_ms, Outcome::Success);
            policy.observe(&candidates(latencies.len()), &seen, Time::ZERO);
        }
    }
    policy
}

/// One client that waits for each answer learns of every backend at once, not when its probe is due.
#[test]
fn each_backend_is_asked_once_whoever_seems_best() {
    for latencies in [[200.0, 250.0, 10.0], [10.0, 200.0, 250.0], [1.0, 1000.0, 30.0]] {
        let mut policy = Elastic::new(3, false);
        let (pool, mut draw) = (candidates(3), fastrand::Rng::with_seed(0));
        let mut asked = [0; 3];
        let mut now = Time::from_millis(1);
        for _ in 0..50 {
            let pick = policy.pick(&pool, now, &mut draw).unwrap();
            asked[pick.backend] += 1;
            if asked.iter().sum::<u32>() == 3 {
                assert_eq!(asked, [1; 3], "{latencies:?}");
            }
            now = now.plus(std::time::Duration::from_micros((latencies[pick.backend] * 1000.0) as u64));
            policy.observe(&pool, &ended(pick.backend, latencies[pick.backend], Outcome::Success), now);
        }
        let best = (0..3).min_by(|a, b| latencies[*a].total_cmp(&latencies[*b])).unwrap();
        assert!(asked[best] > 25, "{latencies:?}: {asked:?}");
    }
}

#[test]
fn an_open_stream_is_not_a_stall() {
    let mut policy = measured(&[10.0, 50.0]);
    let mut pool = candidates(2);
    let mut draw = fastrand::Rng::with_seed(0);
    assert_eq!(policy.pick(&pool, Time::ZERO, &mut draw).map(|pick| pick.backend), Some(0));
    pool[0].in_flight = 1;
    let later = Time::from_millis(500);
    let silent = policy.score(0, &pool, later).unwrap();
    assert!(silent > 400.0, "no head for half a second: {silent}");
    let head = Observation { stage: Stage::Head, ..ended(0, 10.0, Outcome::Success) };
    policy.observe(&pool, &head, Time::from_millis(10));
    let streaming = policy.score(0, &pool, later).unwrap();
    assert!(streaming < 40.0, "the head came long ago: {streaming}");
}

#[test]
fn leaving_early_teaches_nothing_and_leaving_late_does() {
    let mut policy = measured(&[10.0, 10.0]);
    let latency = |policy: &Elastic| policy.latency_ms(0).unwrap();
    for (latency_ms, head_seen, stage, learned) in [
        (5.0, false, Stage::End, false),
        (60.0, true, Stage::End, false),
        (60.0, false, Stage::Head, false),
        (60.0, false, Stage::End, true),
    ] {
        let before = latency(&policy);
        let seen = Observation { stage, head_seen, ..ended(0, latency_ms, Outcome::Abandoned) };
        policy.observe(&candidates(2), &seen, Time::ZERO);
        assert_eq!(latency(&policy) > before, learned, "{latency_ms} {head_seen} {stage:?}");
    }
    let before = latency(&policy);
    policy.observe(&candidates(2), &ended(0, 0.1, Outcome::Failure), Time::ZERO);
    assert_eq!(latency(&policy), before, "a failure is never a sample");
}

#[test]
fn failures_weigh_as_an_inverse_square() {
    let policy = measured(&[10.0, 10.0]);
    let score = |failure_rate| policy.score(0, &[Candidate { failure_rate, ..UP }, UP], Time::ZERO).unwrap();
    assert!((score(0.3) / score(0.0) - 1.0 / 0.49).abs() < 1e-9);
    assert!((score(0.9) / score(0.0) - 100.0).abs() < 1e-6);
    assert!((score(1.0) / score(0.99) - 1.0).abs() < 1e-9);
}

#[test]
fn a_newcomer_ramps_up_and_keeps_a_tenth_of_a_fair_share() {
    let joined = Time::from_millis(1_000);
    let mut policy = measured(&[10.0, 10.0, 10.0]);
    policy.rebuild(&[Some(0), Some(1), Some(2), None]);
    let mut pool = candidates(4);
    pool[3] = Candidate { joined, in_flight: 3, ..UP };
    let score = |at| policy.score(3, &pool, Time::from_millis(at)).unwrap();
    assert!((score(1_000) / score(20_000) - 10.0).abs() < 1e-9);
    assert!((score(6_000) / score(20_000) - 2.0).abs() < 1e-9);
    // It answers badly, so that only its quota brings it work: one in forty here.
    let mut draw = fastrand::Rng::with_seed(0);
    let mut picks = 0;
    for millis in 2_000..16_000 {
        let now = Time::from_millis(millis);
        let pick = policy.pick(&pool, now, &mut draw).unwrap();
        // The pool's request rate is known after a few of its time constants.
        picks += u32::from(pick.backend == 3 && millis >= 12_000);
        let latency_ms = if pick.backend == 3 { 500.0 } else { 10.0 };
        let seen = Observation { probe: pick.probe, ..ended(pick.backend, latency_ms, Outcome::Success) };
        policy.observe(&pool, &seen, now);
    }
    assert!((60..=140).contains(&picks), "{picks} of the last 4000");
}

#[test]
fn a_large_pool_is_sampled_and_still_prefers_the_fast() {
    let latencies: Vec<f64> = (0..200).map(|i| if i % 2 == 0 { 5.0 } else { 50.0 }).collect();
    let mut policy = measured(&latencies);
    let mut draw = fastrand::Rng::with_seed(3);
    let slow = (0..2_000)
        .filter(|_| policy.pick(&candidates(200), Time::from_millis(1), &mut draw).unwrap().backend % 2 == 1)
        .count();
    assert!(slow < 40, "{slow}");
}
