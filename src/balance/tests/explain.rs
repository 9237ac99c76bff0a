//! What is kept of decisions, and what is said of them.

use super::{UP, candidates, ended};
use crate::balance::explain::words::{Labels, compact, field_value, sentence};
use crate::balance::explain::{About, CANDIDATES_KEPT, DECISIONS_KEPT, Decision, Ended, Explainer};
use crate::balance::{AnyPolicy, Candidate, Outcome, Pick, Policy, Reason, Routing, Variant};
use crate::clock::Time;

fn about(pick: Pick, policy: &AnyPolicy) -> About<'static> {
    About {
        policy: Variant::from(policy.routing()),
        pick,
        attempt: 1,
        trial: false,
        panic: false,
        method: b"GET",
        path: b"/some/path",
    }
}

fn urls(backends: usize) -> Labels {
    let urls: Vec<String> = (0..backends).map(|index| format!("http://127.0.0.1:{}", 8081 + index)).collect();
    Labels::new(&urls)
}

/// A decision of `routing` over `pool`, whose backends have answered in `measured` ms.
fn decided(
    routing: Routing,
    pool: &[Candidate],
    measured: &[f64],
    change: impl Fn(&mut About<'_>),
) -> Decision {
    let mut policy = routing.build(pool.len(), Default::default());
    for (backend, latency_ms) in measured.iter().enumerate() {
        policy.observe(pool, &ended(backend, *latency_ms, Outcome::Success), Time::ZERO);
    }
    let mut explainer = Explainer::new(true, pool.len());
    let now = Time::from_millis(10);
    explainer.consider(&policy, pool, 0b100, now);
    let pick = policy.pick(pool, now, &mut fastrand::Rng::with_seed(1)).unwrap();
    let mut about = about(pick, &policy);
    change(&mut about);
    explainer.note(&about, now);
    *explainer.last().unwrap()
}

#[test]
fn the_ring_keeps_the_last_and_their_ends() {
    let mut explainer = Explainer::new(true, 3);
    let policy = Routing::LeastConnections.build(3, Default::default());
    assert_eq!((explainer.last(), explainer.newest_first().count()), (None, 0));
    let note = |explainer: &mut Explainer| {
        explainer.consider(&policy, &candidates(3), 0, Time::ZERO);
        explainer.note(&about(Pick::new(1, Reason::Best), &policy), Time::ZERO)
    };
    let total = DECISIONS_KEPT as u64 + 50;
    for seq in 1..=total {
        assert!(explainer.wants());
        assert_eq!(note(&mut explainer), seq);
        let kept: Vec<u64> = explainer.newest_first().map(|decision| decision.seq).collect();
        let oldest = seq.saturating_sub(DECISIONS_KEPT as u64 - 1).max(1);
        assert_eq!(kept, (oldest..=seq).rev().collect::<Vec<_>>());
    }
    let ended = Ended { status: 200, latency_ms: Some(1.5), reason: "ok" };
    assert!(explainer.take_changed() && !explainer.take_changed());
    explainer.end(50, ended); // overwritten long ago
    explainer.end(0, ended);
    explainer.end(total + 1, ended);
    assert!(!explainer.take_changed());
    explainer.end(total - 3, ended);
    assert!(explainer.take_changed());
    let at: Vec<u64> =
        explainer.newest_first().filter(|one| one.ended.is_some()).map(|one| one.seq).collect();
    assert_eq!(at, [total - 3]);
    explainer.restart(true, 3);
    assert_eq!((explainer.last(), explainer.newest_first().count()), (None, 0));
    explainer.end(total - 3, ended);
    for seq in total + 1..total + 3 {
        assert_eq!(note(&mut explainer), seq, "numbers go on");
        assert_eq!(explainer.last().map(|last| last.seq), Some(seq));
    }
    explainer.end(total + 1, ended);
    assert!(explainer.newest_first().last().unwrap().ended.is_some());
}

#[test]
fn off_it_keeps_one_when_asked() {
    let mut explainer = Explainer::new(false, 2);
    let policy = Routing::Random.build(2, Default::default());
    for seq in 1..=3 {
        assert!(explainer.wants());
        explainer.consider(&policy, &candidates(2), 0, Time::ZERO);
        assert_eq!(explainer.note(&about(Pick::new(0, Reason::Drawn), &policy), Time::ZERO), seq);
        assert!(!explainer.wants() && !explainer.is_on());
        assert_eq!(explainer.newest_first().map(|one| one.seq).collect::<Vec<_>>(), [seq]);
        explainer.want_one();
    }
}

#[test]
fn a_wide_pool_is_cut_to_the_chosen_and_the_best() {
    let mut pool = candidates(40);
    for (index, candidate) in pool.iter_mut().enumerate() {
        candidate.in_flight = 100 - index as u32;
    }
    pool[39].up = false;
    let policy = Routing::LeastConnections.build(40, Default::default());
    let mut explainer = Explainer::new(true, 40);
    explainer.consider(&policy, &pool, 0, Time::ZERO);
    explainer.note(&about(Pick::new(0, Reason::Best), &policy), Time::ZERO);
    let decision = explainer.last().unwrap();
    let kept: Vec<u32> = decision.candidates().iter().map(|candidate| candidate.backend).collect();
    assert_eq!(kept, std::iter::once(0).chain(24..39).collect::<Vec<u32>>());
    assert_eq!((kept.len(), decision.cut), (CANDIDATES_KEPT, 24));
    assert_eq!(decision.chosen().unwrap().in_flight, 100);
    let mut text = String::new();
    compact(decision, &urls(40), &mut text);
    assert!(text.len() < 256 && text.contains(" +24 n=100"), "{text}");
    assert!(sentence(decision, &urls(40)).contains("and 36 more"), "{}", sentence(decision, &urls(40)));
}

#[test]
fn sentences_say_who_and_why() {
    let busy = |in_flight| Candidate { in_flight, ..UP };
    let pool = [busy(3), busy(6), busy(9)];
    let say = |decision: &Decision| sentence(decision, &urls(3));
    let usual = decided(Routing::LeastConnections, &pool, &[], |_| {});
    assert_eq!(say(&usual), "Chose 127.0.0.1:8081: score 3.0 beat 6.0 (8082) and 9.0 (8083); 3 in flight.");
    let tie = decided(Routing::LeastConnections, &[busy(3), busy(3), busy(9)], &[], |_| {});
    assert!(say(&tie).starts_with("Chose 127.0.0.1:8081: score 3.0 against 3.0 (8082) and"), "{}", say(&tie));
    for (change, begin) in [
        (
            (|about| about.trial = true) as fn(&mut About<'_>),
            "Tried 127.0.0.1:8081, whose time out is over: ",
        ),
        (|about| about.attempt = 2, "Attempt 2 went to 127.0.0.1:8081: "),
        (|about| about.panic = true, "Chose 127.0.0.1:8081, ignoring who is out because most are: "),
        (|about| about.pick = Pick::new(2, Reason::Probe), "Probed 127.0.0.1:8083, not asked for a while: "),
        (|about| about.pick = Pick::new(1, Reason::Young), "Gave 127.0.0.1:8082, which joined lately"),
    ] {
        let told = say(&decided(Routing::LeastConnections, &pool, &[], change));
        assert!(told.starts_with(begin), "{told}");
    }
    let probe =
        decided(Routing::LeastConnections, &pool, &[], |about| about.pick = Pick::new(2, Reason::Probe));
    assert!(
        say(&probe).ends_with(": score 9.0, others 3.0 (8081) and 6.0 (8082); 9 in flight."),
        "{}",
        say(&probe)
    );
    let only = decided(
        Routing::Elastic,
        &[UP, Candidate { up: false, ..UP }, Candidate { up: false, ..UP }],
        &[],
        |_| {},
    );
    assert_eq!(
        (only.reason, say(&only).as_str()),
        (Reason::Only, "Only 127.0.0.1:8081 could be chosen: score 1.0; 0 in flight.")
    );
    let first = decided(Routing::LeastTime, &pool, &[1.0], |_| {});
    assert_eq!(first.reason, Reason::Best);
    let fresh = decided(Routing::LeastTime, &[UP; 3], &[], |_| {});
    assert_eq!(
        (fresh.reason, say(&fresh).as_str()),
        (Reason::Unmeasured, "Asked 127.0.0.1:8081, of which nothing is known yet; 0 in flight.")
    );
    let drawn = decided(Routing::Random, &[UP; 3], &[], |_| {});
    assert!(say(&drawn).starts_with("Drew 127.0.0.1:808"), "{}", say(&drawn));
    let two = decided(Routing::TwoChoices, &pool, &[], |_| {});
    assert!(say(&two).contains("the better of a few drawn at random: score "), "{}", say(&two));
}

#[test]
fn the_originals_modes_speak_as_the_original() {
    let say = |routing, measured: &[f64]| sentence(&decided(routing, &[UP; 3], measured, |_| {}), &urls(3));
    assert_eq!(say(Routing::RoundRobin, &[]), "[RR] Chosen: http://127.0.0.1:8081");
    assert_eq!(say(Routing::AdaptiveSma, &[]), "[SMA] Probing unmeasured: http://127.0.0.1:8081");
    assert_eq!(
        say(Routing::AdaptiveEwma, &[405.0, 212.0, 283.0]),
        "[EWMA] EWMAs: 8081=405.0ms, 8082=212.0ms, 8083=283.0ms [EWMA] Chosen: http://127.0.0.1:8082"
    );
}

#[test]
fn scores_are_those_the_choice_was_made_by() {
    // Whatever picking changes (elastic's scan, a sinking peak) must not have happened yet.
    for routing in [Routing::Elastic, Routing::LeastTime, Routing::LeastConnections] {
        let mut policy = routing.build(3, Default::default());
        let mut explainer = Explainer::new(true, 3);
        let mut draw = fastrand::Rng::with_seed(4);
        for step in 0..2_000u64 {
            let now = Time::from_millis(step * 7);
            let pool: Vec<Candidate> = (0..3).map(|_| Candidate { in_flight: draw.u32(..9), ..UP }).collect();
            explainer.consider(&policy, &pool, 0, now);
            let pick = policy.pick(&pool, now, &mut draw).unwrap();
            explainer.note(&about(pick, &policy), now);
            let decision = explainer.last().unwrap();
            if pick.reason == Reason::Best {
                let own = decision.chosen().unwrap().score;
                let least =
                    decision.candidates().iter().filter_map(|one| one.score).fold(f64::INFINITY, f64::min);
                assert!(own.is_none_or(|own| own <= least), "{routing} {step}: {decision:?}");
            }
            let latency_ms = 10.0 * (pick.backend + 1) as f64 + draw.f64();
            policy.observe(&pool, &ended(pick.backend, latency_ms, Outcome::Success), now);
        }
        assert!(
            routing == Routing::LeastConnections
                || explainer.last().unwrap().candidates().iter().any(|one| one.estimate_ms.is_some())
        );
    }
}

#[test]
fn lines_for_log_and_field_are_compact_and_clean() {
    let pool = [Candidate { in_flight: 2, ..UP }, Candidate { up: false, ..UP }, UP];
    let decision = decided(Routing::LeastConnections, &pool, &[], |about| about.attempt = 2);
    let mut text = String::from("ok; ");
    compact(&decision, &urls(3), &mut text);
    assert_eq!(text, "ok; least-connections fallback 8081=2.0 8082=down 8083=tried n=0 attempt=2");
    text.clear();
    field_value(&decision, &urls(3), &mut text);
    assert_eq!(
        text,
        "policy=least-connections reason=fallback backend=127.0.0.1:8083 attempt=2; candidate=127.0.0.1:8081 n=2 \
         score=2.0; candidate=127.0.0.1:8082 n=0 score=0.0 up=0; candidate=127.0.0.1:8083 n=0 score=0.0 tried=1"
    );
    let elastic = decided(Routing::Elastic, &pool, &[12.0, 13.0, 14.0], |_| {});
    text.clear();
    field_value(&elastic, &urls(3), &mut text);
    assert!(text.contains(" gamma=") && text.contains(" ms="), "{text}");
    // No name of a backend ends a line or a word.
    let odd = Labels::new(&[
        "http://a\r\nX: y:1".to_owned(),
        "http://\u{e9};,:1".to_owned(),
        "http://c:1".to_owned(),
    ]);
    for write in [compact, field_value] {
        text.clear();
        write(&elastic, &odd, &mut text);
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{text:?}");
        assert!(!text.contains(',') && !text.contains('"'), "{text:?}");
    }
    assert!(text.contains("c:1"), "ports that do not differ are no names: {text}");
}
