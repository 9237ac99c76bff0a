//! The figures that made `elastic` the default, in virtual time: orders and ratios, with some room.

use super::sim::{self, Backend, Load, Run, Service, World};
use crate::balance::{Options, Routing};
use crate::clock::Time;

const TAIL: Options = Options { tail: true, average: crate::balance::Average::Ewma };

fn original(routing: Routing, options: Options) -> Run {
    sim::original(3).run(&mut routing.build(3, options), Time::from_millis(40_000))
}

fn uneven(routing: Routing, load: f64) -> Run {
    let run =
        sim::uneven(10, load, 5).run(&mut routing.build(10, Options::default()), Time::from_millis(10_000));
    run.after(Time::from_millis(2_000))
}

#[test]
fn on_the_originals_scenario_elastic_wins_and_the_repaired_average_beats_round_robin() {
    let round_robin = original(Routing::RoundRobin, Options::default());
    assert!((round_robin.mean() - 197.8).abs() < 1.5, "{}", round_robin.mean());
    let ratio = |routing| {
        original(routing, Options::default()).answers.len() as f64 / round_robin.answers.len() as f64
    };
    let (elastic, least_time) = (ratio(Routing::Elastic), ratio(Routing::LeastTime));
    assert!(elastic >= 1.30, "elastic {elastic}");
    assert!(least_time >= 1.10, "least-time {least_time}");
    assert!(ratio(Routing::LeastConnections) < least_time && least_time < elastic);
    assert!(ratio(Routing::AdaptiveEwma) < 1.0, "the original's own mode loses throughput");
}

#[test]
fn the_tail_objective_halves_p95_at_no_lower_throughput_than_the_originals_average() {
    let tail = original(Routing::Elastic, TAIL);
    let round_robin = original(Routing::RoundRobin, Options::default());
    assert!(tail.percentile(0.95) <= 0.55 * round_robin.percentile(0.95), "{}", tail.percentile(0.95));
    assert!(tail.answers.len() >= original(Routing::AdaptiveEwma, Options::default()).answers.len());
}

#[test]
fn on_uneven_queues_elastic_is_ahead_of_the_field() {
    let (half, high) = (uneven(Routing::Elastic, 0.5).mean(), uneven(Routing::Elastic, 0.85).mean());
    for routing in [Routing::LeastConnections, Routing::PeakEwma, Routing::TwoChoices] {
        let (half_other, high_other) = (uneven(routing, 0.5).mean(), uneven(routing, 0.85).mean());
        assert!(half <= 0.85 * half_other, "50 %: {half} against {routing} {half_other}");
        assert!(high <= 0.97 * high_other, "85 %: {high} against {routing} {high_other}");
    }
}

/// Five backends of 10 ms, the first of them `first`, four at a time each, at 300 requests a second.
fn five(first: Service) -> World {
    let usual = || -> Service { Box::new(|_, draw| (8.0 + 4.0 * draw.f64(), true)) };
    let services = std::iter::once(first).chain((1..5).map(|_| usual()));
    let backends = services.map(|service| Backend { service, concurrency: 4, weight: 1.0 }).collect();
    World { backends, load: Load::Open(600.0), eject: true, seed: 11 }
}

#[test]
fn a_backend_failing_fast_gets_next_to_nothing() {
    for routing in [Routing::Elastic, Routing::LeastTime, Routing::PeakEwma, Routing::LeastConnections] {
        let world = five(Box::new(|_, _| (0.5, false)));
        let run = world.run(&mut routing.build(5, Options::default()), Time::from_millis(20_000));
        assert!(run.errors() <= 0.001, "{routing}: {}", run.errors());
    }
}

#[test]
fn a_slowed_backend_loses_its_traffic_within_a_second_and_gets_it_back_within_five() {
    let (slow, well) = (Time::from_millis(10_000), Time::from_millis(20_000));
    let world = five(Box::new(move |now, draw| {
        let factor = if now >= slow && now < well { 10.0 } else { 1.0 };
        ((8.0 + 4.0 * draw.f64()) * factor, true)
    }));
    let run = world.run(&mut Routing::Elastic.build(5, Options::default()), Time::from_millis(32_000));
    let share = |from, to| run.share_sent(0, Time::from_millis(from), Time::from_millis(to));
    let before = share(5_000, 10_000);
    assert!(before > 0.15, "fair share before: {before}");
    assert!(share(11_000, 20_000) < 0.05, "while slow: {}", share(11_000, 20_000));
    assert!(share(25_000, 30_000) >= 0.8 * before, "after: {} of {before}", share(25_000, 30_000));
}

#[test]
fn a_backend_that_was_ejected_is_tried_and_taken_back() {
    for routing in [Routing::Elastic, Routing::LeastTime, Routing::PeakEwma, Routing::LeastConnections] {
        let healed = Time::from_millis(4_000);
        let world = five(Box::new(move |now, draw| (8.0 + 4.0 * draw.f64(), now >= healed)));
        let run = world.run(&mut routing.build(5, Options::default()), Time::from_millis(15_000));
        // Out for 1, 2 and 4 s at the most by then, and a second or two to be believed.
        let share = run.share_sent(0, Time::from_millis(10_000), Time::from_millis(14_000));
        assert!(share > 0.16, "{routing}: {share}");
    }
}

/// Equals in all but weight, twice the one and once the other: the share of the first by routing, over 8 seeds.
fn share_of_twice_the_weight(routing: Routing, options: Options, load: Load) -> f64 {
    let share = |seed: u64| {
        let usual = || -> Service { Box::new(|_, draw| (-(1.0 - draw.f64()).ln() * 10.0, true)) };
        let backends = [2.0, 1.0].map(|weight| Backend { service: usual(), concurrency: usize::MAX, weight });
        let world = World { backends: backends.into(), load, eject: true, seed };
        let run = world.run(&mut routing.build(2, options), Time::from_millis(12_000));
        let counts = run.after(Time::from_millis(2_000)).counts();
        counts[0] as f64 / (counts[0] + counts[1]) as f64
    };
    (1..=8).map(share).sum::<f64>() / 8.0
}

#[test]
fn with_equal_latencies_shares_are_near_the_weights() {
    for (name, load) in [("200/s", Load::Open(200.0)), ("32 clients", Load::Closed(32))] {
        for routing in Routing::ALL.into_iter().filter(|routing| !routing.is_exact()) {
            let variants = if routing == Routing::Elastic {
                vec![Options::default(), TAIL]
            } else {
                vec![Options::default()]
            };
            for options in variants {
                let share = share_of_twice_the_weight(routing, options, load);
                println!("{routing} {options:?}, {name}: {share:.3}");
                assert!((0.55..0.8).contains(&share), "{routing} {options:?}, {name}: {share}");
            }
        }
    }
    // One client asks an idle pool: where averages decide, noise does.
    for routing in [Routing::Random, Routing::LeastConnections, Routing::TwoChoices, Routing::Elastic] {
        let share = share_of_twice_the_weight(routing, Options::default(), Load::Closed(1));
        assert!((0.55..0.8).contains(&share), "{routing}, one client: {share}");
    }
}
