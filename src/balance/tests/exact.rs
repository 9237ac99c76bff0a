//! The original's three modes, rule by rule, over written-out traces.

use super::{UP, candidates, ended};
use crate::balance::{
    Candidate, Observation, Options, OriginalAverages, Outcome, Pick, Policy, Reason, Routing, Stage,
};
use crate::clock::Time;

enum Step {
    /// The next pick is this backend.
    Pick(usize),
    /// This backend answers after so many milliseconds.
    Answer(usize, f64),
    /// It fails after so many milliseconds.
    Fail(usize, f64),
}
use Step::{Answer, Fail, Pick as Expect};

fn check(name: &str, routing: Routing, steps: &[Step]) {
    let mut policy = routing.build(3, Options::default());
    let mut draw = fastrand::Rng::with_seed(0);
    // Full of work and wildly weighted: neither may matter.
    let busy = [
        Candidate { in_flight: 1000, ..UP },
        Candidate { weight: 9.0, ..UP },
        Candidate { failure_rate: 0.9, in_flight: 3, ..UP },
    ];
    for (index, step) in steps.iter().enumerate() {
        match *step {
            Expect(backend) => {
                let pick = policy.pick(&busy, Time::ZERO, &mut draw);
                assert_eq!(pick.map(|pick| pick.backend), Some(backend), "{name}, step {index}");
            }
            Answer(backend, latency_ms) => {
                policy.observe(&busy, &ended(backend, latency_ms, Outcome::Success), Time::ZERO);
            }
            Fail(backend, latency_ms) => {
                policy.observe(&busy, &ended(backend, latency_ms, Outcome::Failure), Time::ZERO);
            }
        }
    }
}

#[test]
fn round_robin_goes_round() {
    check(
        "latencies are nothing to it",
        Routing::RoundRobin,
        &[
            Expect(0),
            Answer(0, 400.0),
            Expect(1),
            Fail(1, 1.0),
            Expect(2),
            Expect(0),
            Expect(1),
            Expect(2),
            Expect(0),
        ],
    );
}

#[test]
fn both_averages_probe_in_order_then_take_the_least() {
    for routing in [Routing::AdaptiveSma, Routing::AdaptiveEwma] {
        let measured = || [Answer(0, 30.0), Expect(1), Answer(1, 20.0), Expect(2), Answer(2, 25.0)];
        let then = |steps: Vec<Step>| measured().into_iter().chain(steps).collect::<Vec<_>>();
        let cases = [
            ("unmeasured first, again and again", vec![Expect(0), Expect(0), Expect(0)]),
            ("the least", then(vec![Expect(1), Expect(1)])),
            ("the next best when the least gets worse", then(vec![Answer(1, 90.0), Expect(2)])),
            ("ties to the first configured", vec![Answer(0, 7.0), Answer(1, 7.0), Answer(2, 7.0), Expect(0)]),
            ("below half a millisecond is never measured", vec![Fail(0, 0.5), Fail(0, 0.49), Expect(0)]),
            ("halves go to even: 1.5 is 2", vec![Answer(0, 2.5), Answer(1, 1.6), Answer(2, 1.5), Expect(0)]),
            ("2.5 is 2, 3.5 is 4", vec![Answer(0, 3.5), Answer(1, 2.51), Answer(2, 2.5), Expect(2)]),
            (
                "a quick refusal is the best average",
                then(vec![Fail(2, 1.0), Fail(2, 1.0), Fail(2, 1.0), Expect(2)]),
            ),
            ("a time-out is a sample", then(vec![Fail(1, 10_000.0), Expect(2)])),
            (
                "a bad average is for ever",
                then(vec![Answer(1, 900.0), Expect(2), Answer(2, 24.0), Expect(2)]),
            ),
        ];
        for (name, steps) in cases {
            check(&format!("{routing}: {name}"), routing, &steps);
        }
    }
}

#[test]
fn the_moving_average_forgets_after_three_and_the_exponential_one_does_not() {
    let steps = |last| {
        [
            Answer(0, 400.0),
            Answer(1, 50.0),
            Answer(2, 60.0),
            Answer(0, 10.0),
            Answer(0, 10.0),
            Answer(0, 10.0),
            last,
        ]
    };
    check("sma", Routing::AdaptiveSma, &steps(Expect(0)));
    check("ewma", Routing::AdaptiveEwma, &steps(Expect(1)));
}

#[test]
fn averages_have_the_originals_values() {
    let mut averages = OriginalAverages::new(2);
    assert_eq!((averages.sma(0), averages.ewma(0), averages.sma(9)), (None, None, None));
    for (sample, sma, ewma) in [
        (400.4, 400.0, 400.0),
        (0.3, 400.0, 400.0),
        (10.5, 205.0, 322.0),
        (20.0, 430.0 / 3.0, 261.6),
        (30.0, 20.0, 215.28),
    ] {
        averages.record(0, sample);
        assert_eq!(averages.sma(0), Some(sma), "{sample}");
        assert!((averages.ewma(0).unwrap() - ewma).abs() < 1e-9, "{sample}");
    }
    let head = Observation { stage: Stage::Head, ..ended(1, 5.0, Outcome::Success) };
    averages.observe(&head);
    averages.observe(&ended(1, 5.0, Outcome::Abandoned));
    assert_eq!(averages.sma(1), None);
}

#[test]
fn one_hundred_connections_move_as_one_herd() {
    let shares = |routing: Routing| {
        let run = super::sim::original(1)
            .run(&mut routing.build(3, Options::default()), Time::from_millis(120_000));
        run.counts()
    };
    let sma = shares(Routing::AdaptiveSma);
    assert_eq!((sma[0], sma[2]), (100, 100));
    assert!(sma[1] > 58_000, "{sma:?}");
    let ewma = shares(Routing::AdaptiveEwma);
    assert!(ewma[0].abs_diff(100) <= 60 && ewma[2].abs_diff(100) <= 60, "{ewma:?}");
}

#[test]
fn console_lines_read_as_the_originals() {
    let urls = ["http://localhost:8081", "http://localhost:8082", "http://localhost:8083"];
    let line = |routing: Routing, measured: bool, pick: Pick| {
        let mut policy = routing.build(3, Options::default());
        for (backend, latency_ms) in [405.0, 212.0, 283.0].into_iter().enumerate().filter(|_| measured) {
            policy.observe(&[UP; 3], &ended(backend, latency_ms, Outcome::Success), Time::ZERO);
        }
        let mut text = String::new();
        policy.write_decision(&mut text, &urls, &candidates(3), pick, Time::ZERO).unwrap();
        text
    };
    let (second, probe) = (Pick::new(1, Reason::Best), Pick::new(0, Reason::Unmeasured));
    let averages = "8081=405.0ms, 8082=212.0ms, 8083=283.0ms";
    assert_eq!(
        line(Routing::AdaptiveEwma, true, second),
        format!("[EWMA] EWMAs: {averages}\n[EWMA] Chosen: http://localhost:8082\n")
    );
    assert_eq!(
        line(Routing::AdaptiveSma, true, second),
        format!("[SMA] SMAs: {averages}\n[SMA] Chosen: http://localhost:8082\n")
    );
    assert_eq!(line(Routing::AdaptiveSma, false, probe), "[SMA] Probing unmeasured: http://localhost:8081\n");
    assert_eq!(line(Routing::RoundRobin, true, second), "[RR] Chosen: http://localhost:8082\n");
    assert_eq!(
        line(Routing::LeastTime, true, second),
        "[least-time] scores: 8081=405.0, 8082=212.0, 8083=283.0\n[least-time] Chosen: http://localhost:8082\n"
    );
    assert_eq!(line(Routing::Random, true, probe), "[random] Probing: http://localhost:8081\n");
}
