//! Shadows beside a live policy, in the virtual world's manner but by hand.

use super::UP;
use crate::balance::shadow::{Agreement, ShadowCounts, Shadows};
use crate::balance::{Candidate, Observation, Outcome, Pick, Policy, Reason, Routing, Stage, Variant};
use crate::clock::Time;

/// 3000 requests by `live` over three backends of 10, 20 and 30 ms, four in flight at a time; one backend is down for a
/// while. Returns what the shadows came to and the live picks per backend.
fn watch(live: Variant, shadows: &mut Shadows, requests: u64) -> (Vec<ShadowCounts>, [u64; 3]) {
    let mut policy = live.build(3);
    let mut draw = fastrand::Rng::with_seed(3);
    let mut pool = [UP; 3];
    let mut picks = [0; 3];
    let mut flying: Vec<(Time, Pick, Agreement, u32)> = Vec::new();
    for step in 0..requests {
        let now = Time::from_micros(step * 5_000);
        pool[1].up = !(1_000..1_500).contains(&step);
        flying.sort_by_key(|(due, ..)| *due);
        while flying.first().is_some_and(|(due, ..)| *due <= now) {
            let (_, pick, agreement, in_flight_at_pick) = flying.remove(0);
            pool[pick.backend].in_flight -= 1;
            let head = Observation {
                backend: pick.backend,
                stage: Stage::Head,
                latency_ms: 10.0 * (pick.backend + 1) as f64,
                outcome: Outcome::Success,
                in_flight_at_pick,
                in_flight_now: pool[pick.backend].in_flight,
                probe: pick.probe,
                head_seen: false,
            };
            for seen in [head, Observation { stage: Stage::End, head_seen: true, ..head }] {
                policy.observe(&pool, &seen, now);
                shadows.observe(&pool, &seen, agreement, now);
            }
        }
        let pick = policy.pick(&pool, now, &mut draw).unwrap();
        let agreement = shadows.pick(&pool, now, pick);
        picks[pick.backend] += 1;
        let due = now.plus(std::time::Duration::from_millis(10 * (pick.backend as u64 + 1)));
        flying.push((due, pick, agreement, pool[pick.backend].in_flight));
        pool[pick.backend].in_flight += 1;
    }
    (shadows.counts().collect(), picks)
}

fn named(names: &[&str]) -> Vec<Variant> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn a_shadow_of_the_policy_in_force_agrees_always() {
    for name in Variant::NAMES {
        let variant: Variant = name.parse().unwrap();
        if matches!(variant.routing, Routing::Random | Routing::TwoChoices | Routing::PeakEwma) {
            continue; // these draw, each from a generator of its own
        }
        let (counts, _) = watch(variant, &mut Shadows::new(&[variant], 3, 9), 3_000);
        assert_eq!((counts[0].decisions, counts[0].agreed), (3_000, 3_000), "{name}");
        let figures = counts[0].figures();
        assert_eq!((figures.agreed_share, figures.mean_ms_agreed), (1.0, figures.mean_ms_all), "{name}");
    }
}

#[test]
fn round_robin_agrees_with_others_by_chance() {
    let variants = named(&["round-robin", "random", "elastic", "elastic:tail"]);
    let (counts, picks) = watch(Routing::Elastic.into(), &mut Shadows::new(&variants, 3, 9), 3_000);
    assert!(picks[0] > 2_000, "{picks:?}");
    assert_eq!(counts[2].agreed, 3_000);
    for chance in &counts[..2] {
        let share = chance.figures().agreed_share;
        assert!((0.2..0.5).contains(&share), "{} {share}", chance.variant);
    }
    let live_mean = counts[2].figures().mean_ms_all.unwrap();
    assert!(counts.iter().all(|one| one.figures().mean_ms_all == Some(live_mean)));
    assert!((10.0..20.0).contains(&live_mean), "{live_mean}");
}

#[test]
fn the_same_seed_is_the_same_history_and_none_costs_nothing() {
    let variants = named(&["random", "p2c", "peak-ewma"]);
    let run = || watch(Routing::RoundRobin.into(), &mut Shadows::new(&variants, 3, 5), 500).0;
    assert_eq!(run(), run());
    assert!(Shadows::new(&[], 3, 5).is_empty());
    assert_eq!(Shadows::new(&vec![Variant::default(); 99], 3, 5).counts().count(), 16);
}

#[test]
fn clients_that_left_are_no_latency() {
    let mut shadows = Shadows::new(&named(&["round-robin"]), 3, 1);
    let agreement = shadows.pick(&[UP; 3], Time::ZERO, Pick::new(0, Reason::RoundRobin));
    let seen = super::ended(0, 50.0, Outcome::Abandoned);
    shadows.observe(&[UP; 3], &seen, agreement, Time::ZERO);
    let [counts] = shadows.counts().collect::<Vec<_>>()[..] else { panic!("one shadow") };
    assert_eq!((counts.decisions, counts.agreed, counts.answered), (1, 1, 0));
    assert_eq!(counts.figures().mean_ms_all, None);
}

#[test]
fn a_reload_keeps_those_that_stay_and_old_agreements_do_not_count_for_others() {
    let mut shadows = Shadows::new(&named(&["round-robin", "least-connections"]), 3, 1);
    let old = shadows.pick(&[UP; 3], Time::ZERO, Pick::new(0, Reason::Best));
    let keep = [Some(0), Some(1), Some(2), None];
    shadows.adopt(&named(&["least-connections", "p2c"]), &keep, 2);
    let pool = [UP; 4];
    shadows.observe(&pool, &super::ended(0, 50.0, Outcome::Success), old, Time::ZERO);
    let counts: Vec<ShadowCounts> = shadows.counts().collect();
    let told: Vec<(&str, u64, u64, u64)> = counts
        .iter()
        .map(|one| (one.variant.name(), one.decisions, one.answered, one.answered_agreed))
        .collect();
    assert_eq!(told, [("least-connections", 1, 1, 0), ("p2c", 0, 1, 0)]);
    assert!(shadows.pick(&pool, Time::ZERO, Pick::new(3, Reason::Best)) != old);
    shadows.adopt(&[], &keep, 2);
    assert!(shadows.is_empty());
    let down = [Candidate { up: false, ..UP }; 4];
    assert_ne!(shadows.pick(&down, Time::ZERO, Pick::new(0, Reason::Best)), old);
}
