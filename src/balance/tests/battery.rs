//! One battery for all policies: what every one of them must hold, whatever it has seen.

use super::{UP, candidates, ended};
use crate::balance::{AnyPolicy, Average, Candidate, Observation, Options, Outcome, Policy, Routing, Stage};
use crate::clock::Time;

fn all(backends: usize) -> impl Iterator<Item = AnyPolicy> {
    let variants = [Options::default(), Options { tail: true, average: Average::Sma }];
    Routing::ALL.into_iter().flat_map(move |routing| variants.map(|options| routing.build(backends, options)))
}

/// A stormy history: random candidates, picks, answers of every kind, clocks going back.
fn storm(policy: &mut AnyPolicy, backends: usize, seed: u64, steps: usize) -> Vec<Option<usize>> {
    let mut world = fastrand::Rng::with_seed(seed);
    let mut draw = fastrand::Rng::with_seed(seed + 1);
    let mut pool = candidates(backends);
    let mut now = Time::from_millis(1);
    let mut picks = Vec::new();
    for _ in 0..steps {
        now = Time::from_nanos(
            (now.as_nanos() + world.u64(..200_000_000)).saturating_sub(world.u64(..20_000_000)),
        );
        for candidate in &mut pool {
            *candidate = Candidate {
                in_flight: if world.bool() { world.u32(..5) } else { world.u32(..2000) },
                up: world.u8(..4) > 0,
                weight: [1.0, 0.01, 3.0][world.usize(..3)],
                failure_rate: [0.0, 0.3, 1.0][world.usize(..3)],
                joined: [Time::ZERO, now, Time::from_millis(5)][world.usize(..3)],
            };
        }
        let pick = policy.pick(&pool, now, &mut draw);
        assert_eq!(pick.is_some(), pool.iter().any(|candidate| candidate.up), "{}", policy.routing());
        if let Some(pick) = pick {
            assert!(pool[pick.backend].up, "{} picked one that is down", policy.routing());
        }
        picks.push(pick.map(|pick| pick.backend));
        let seen = Observation {
            stage: if world.bool() { Stage::Head } else { Stage::End },
            latency_ms: [0.0, -1.0, 1e-9, 5.0, 1e12, f64::NAN, f64::INFINITY][world.usize(..7)],
            in_flight_at_pick: world.u32(..),
            in_flight_now: world.u32(..50),
            probe: world.bool(),
            head_seen: world.bool(),
            ..ended(
                world.usize(..backends + 1),
                0.0,
                [Outcome::Success, Outcome::Failure, Outcome::Abandoned][world.usize(..3)],
            )
        };
        let before =
            (!policy.hears(seen.stage, seen.head_seen) && backends < 4).then(|| format!("{policy:?}"));
        policy.observe(&pool, &seen, now);
        if let Some(before) = before {
            assert_eq!(before, format!("{policy:?}"), "{} said it would not hear {seen:?}", policy.routing());
        }
    }
    picks
}

#[test]
fn only_what_is_up_always_something_and_the_same_again() {
    for backends in [1, 2, 3, 10, 64, 65, 200] {
        for (mut policy, mut again) in all(backends).zip(all(backends)) {
            let picks = storm(&mut policy, backends, backends as u64, 300);
            let repeated = storm(&mut again, backends, backends as u64, 300);
            assert_eq!(picks, repeated, "{} of {backends}", policy.routing());
        }
    }
}

#[test]
fn none_when_none_is_up_or_there_is_none() {
    let mut draw = fastrand::Rng::with_seed(0);
    for mut policy in all(3) {
        assert_eq!(policy.pick(&[Candidate { up: false, ..UP }; 3], Time::ZERO, &mut draw), None);
        assert_eq!(policy.pick(&[], Time::ZERO, &mut draw), None);
        assert!(policy.score(7, &candidates(3), Time::ZERO).is_none());
    }
}

#[test]
fn one_backend_gets_everything() {
    let mut draw = fastrand::Rng::with_seed(0);
    for mut policy in all(1) {
        for millis in 0..100 {
            let pick = policy.pick(&[UP], Time::from_millis(millis), &mut draw);
            assert_eq!(pick.map(|pick| pick.backend), Some(0), "{}", policy.routing());
        }
    }
}

#[test]
fn a_rebuilt_policy_keeps_what_stays() {
    let mut draw = fastrand::Rng::with_seed(0);
    for mut policy in all(3) {
        for (backend, latency_ms) in [30.0, 10.0, 20.0].into_iter().enumerate() {
            for stage in [Stage::Head, Stage::End] {
                let seen =
                    Observation { stage, head_seen: true, ..ended(backend, latency_ms, Outcome::Success) };
                policy.observe(&candidates(3), &seen, Time::ZERO);
            }
        }
        let before: Vec<_> = (0..3).map(|i| policy.score(i, &candidates(3), Time::ZERO)).collect();
        policy.rebuild(&[Some(2), None, Some(0), Some(99)]);
        let after: Vec<_> = (0..4).map(|i| policy.score(i, &candidates(4), Time::ZERO)).collect();
        assert_eq!((after[0], after[2]), (before[2], before[0]), "{}", policy.routing());
        for _ in 0..20 {
            assert!(policy.pick(&candidates(4), Time::from_millis(1), &mut draw).is_some());
        }
    }
}

/// Picks per backend of an idle pool with these weights: nothing is ever in flight, nothing ever measured.
fn idle_shares<const N: usize>(routing: Routing, weights: [f64; N]) -> [f64; N] {
    let pool = weights.map(|weight| Candidate { weight, ..UP });
    let mut policy = routing.build(N, Options::default());
    let mut draw = fastrand::Rng::with_seed(42);
    let mut shares = [0.0; N];
    for _ in 0..20_000 {
        shares[policy.pick(&pool, Time::ZERO, &mut draw).unwrap().backend] += 1.0 / 20_000.0;
    }
    shares
}

#[test]
fn weights_and_chance_are_what_they_say() {
    let near = |shares: &[f64], expected: &[f64]| {
        let off = shares.iter().zip(expected).any(|(share, expected)| (share - expected).abs() > 0.015);
        assert!(!off, "{shares:?}, expected {expected:?}");
    };
    near(&idle_shares(Routing::Random, [1.0, 2.0, 5.0]), &[0.125, 0.25, 0.625]);
    near(&idle_shares(Routing::LeastConnections, [1.0, 2.0, 5.0]), &[0.125, 0.25, 0.625]);
    near(&idle_shares(Routing::RoundRobin, [1.0, 2.0, 5.0]), &[1.0 / 3.0; 3]);
    near(&idle_shares(Routing::TwoChoices, [1.0; 4]), &[0.25; 4]);
    near(&idle_shares(Routing::TwoChoices, [1.0, 2.0, 5.0]), &[0.125, 0.25, 0.625]);
    near(&idle_shares(Routing::Elastic, [1.0, 2.0, 5.0]), &[0.125, 0.25, 0.625]);
    near(&idle_shares(Routing::Elastic, [10.0, 20.0]), &[1.0 / 3.0, 2.0 / 3.0]);
    near(&idle_shares(Routing::PeakEwma, [1.0; 3]), &[1.0 / 3.0; 3]);
    near(&idle_shares(Routing::Elastic, [1.0; 3]), &[1.0 / 3.0; 3]);
}

#[test]
fn least_connections_fills_in_proportion_to_weight() {
    for routing in [Routing::LeastConnections, Routing::Elastic] {
        let mut pool = [1.0, 2.0, 3.0].map(|weight| Candidate { weight, ..UP });
        let mut policy = routing.build(3, Options::default());
        let mut draw = fastrand::Rng::with_seed(0);
        for _ in 0..60 {
            pool[policy.pick(&pool, Time::ZERO, &mut draw).unwrap().backend].in_flight += 1;
        }
        if routing == Routing::LeastConnections {
            assert_eq!(pool.map(|candidate| candidate.in_flight), [10, 20, 30]);
        } else {
            assert!(pool[0].in_flight < pool[1].in_flight && pool[1].in_flight < pool[2].in_flight);
        }
    }
}

#[test]
fn a_down_backend_leaves_its_turns_to_all_the_others_alike() {
    let pool = [UP, Candidate { up: false, ..UP }, UP];
    let mut policy = Routing::RoundRobin.build(3, Options::default());
    let mut draw = fastrand::Rng::with_seed(0);
    let picks: Vec<_> = (0..4).map(|_| policy.pick(&pool, Time::ZERO, &mut draw).unwrap().backend).collect();
    assert_eq!(picks, [0, 2, 0, 2]);
}

#[test]
fn names_are_exact_with_either_dash() {
    for routing in Routing::ALL {
        for name in [routing.to_string(), routing.name().replace('-', "_"), routing.name().replace('_', "-")]
        {
            assert_eq!(name.parse(), Ok(routing));
        }
    }
    for name in ["", "Elastic", "round robin", "rr", "adaptive_sma "] {
        assert!(name.parse::<Routing>().is_err(), "{name}");
    }
    let error = "adaptive-ewna".parse::<Routing>().unwrap_err().to_string();
    assert!(error.contains("adaptive-ewna") && error.contains("least-connections, p2c"), "{error}");
    let error = "xyzzy\n".repeat(1000).parse::<Routing>().unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
}
