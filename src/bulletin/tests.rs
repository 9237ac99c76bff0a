//! Nothing is torn, nothing is heard twice, and what is lost is counted; moves of one backend exclude each other.

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;
use crate::balance::{Observation, Outcome, Stage};
use crate::clock::Time;
use crate::upstream::health::Verdict;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn pair(backends: u16) -> [Member; 2] {
    let mut both = members(2);
    both.iter_mut().for_each(|member| member.enrol((0..backends).map(address)));
    both.try_into().unwrap()
}

/// An entry whose every word tells its number, so that a mixture of two would show.
fn seen(number: u32) -> News {
    News::Seen(Observation {
        backend: usize::MAX,
        stage: Stage::End,
        latency_ms: f64::from(number) / 1e6,
        outcome: Outcome::Success,
        in_flight_at_pick: number & 0xffff,
        in_flight_now: number >> 16,
        probe: number.is_multiple_of(2),
        head_seen: number.is_multiple_of(3),
    })
}

fn number_of(entry: &Entry) -> u32 {
    let News::Seen(observation) = entry.news else { panic!("a verdict nobody gave") };
    let number = entry.at.as_nanos() as u32;
    assert_eq!(entry.news, seen(number), "torn");
    assert!(observation.latency_ms >= 0.0);
    number
}

fn news() -> impl Strategy<Value = News> {
    let outcome = prop_oneof![Just(Outcome::Success), Just(Outcome::Failure), Just(Outcome::Abandoned)];
    let stage = prop_oneof![Just(Stage::Head), Just(Stage::End)];
    let observation =
        (stage, 0u64..1 << 40, outcome, 0u32..0x1_0000, 0u32..0x1_0000, any::<bool>(), any::<bool>());
    let seen = observation.prop_map(|(stage, nanos, outcome, at_pick, now, probe, head_seen)| {
        News::Seen(Observation {
            backend: usize::MAX,
            stage,
            latency_ms: nanos as f64 / 1e6,
            outcome,
            in_flight_at_pick: at_pick,
            in_flight_now: now,
            probe,
            head_seen,
        })
    });
    let verdict =
        prop_oneof![Just(Verdict::Ok), Just(Verdict::Failure), Just(Verdict::Soft), Just(Verdict::Abandoned)];
    prop_oneof![seen, verdict.prop_map(News::Judged)]
}

fn place() -> impl Strategy<Value = Place> {
    let micros = prop_oneof![0u64..1 << 40, Just(u64::MAX / 1_000)];
    prop_oneof![
        Just(Place::In),
        micros.clone().prop_map(|at| Place::Out(Time::from_micros(at))),
        micros.prop_map(|at| Place::Trial(Time::from_micros(at)))
    ]
}

/// What one of two workers does next.
#[derive(Clone, Debug)]
enum Step {
    Post(usize, u16, News),
    Hear(usize),
    Move(usize, u16, Standing),
    Look(usize, u16),
    Tell(usize, u16, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (who, which) = (0usize..2, 0u16..3);
    let standing = (place(), 0u32..11).prop_map(|(place, strikes)| Standing { place, strikes });
    let step = prop_oneof![
        (who.clone(), which.clone(), news()).prop_map(|(who, which, news)| Step::Post(who, which, news)),
        who.clone().prop_map(Step::Hear),
        (who.clone(), which.clone(), standing).prop_map(|(who, which, to)| Step::Move(who, which, to)),
        (who.clone(), which.clone()).prop_map(|(who, which)| Step::Look(who, which)),
        (who, which, 0u32..9).prop_map(|(who, which, count)| Step::Tell(who, which, count)),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn a_standing_survives_its_word(place in place(), strikes in 0u32..64) {
        let standing = Standing { place, strikes };
        prop_assert_eq!(Standing::unpack(standing.pack()), standing);
    }

    #[test]
    fn any_word_is_some_standing(word in any::<u64>()) {
        let _ = Standing::unpack(word);
    }

    /// Whatever the order of things: each hears what the other said, once and in order; a move counts only for whoever
    /// knew where the backend stood, so that all agree after a look.
    #[test]
    fn two_workers_in_any_order(steps in steps()) {
        let mut both = pair(3);
        let (mut said, mut heard) = ([vec![], vec![]], [vec![], vec![]]);
        let (mut truth, mut believed) = ([Standing::default(); 3], [[Standing::default(); 3]; 2]);
        let mut told = [[0; 3]; 2];
        for (at, step) in steps.into_iter().enumerate() {
            let at = Time::from_nanos(at as u64);
            match step {
                Step::Post(who, which, news) => {
                    both[who].post(usize::from(which), news, at);
                    said[1 - who].push((usize::from(which), news, at));
                }
                Step::Hear(who) => {
                    both[who].hear(|which, entry| heard[who].push((which, entry.news, entry.at)));
                    prop_assert_eq!(&heard[who], &said[who]);
                }
                Step::Move(who, which, to) => {
                    let which = usize::from(which);
                    let moved = both[who].agree(which, to);
                    prop_assert_eq!(moved.is_ok(), believed[who][which] == truth[which]);
                    match moved {
                        Ok(()) => (truth[which], believed[who][which]) = (to, to),
                        Err(instead) => believed[who][which] = instead,
                    }
                    prop_assert_eq!(believed[who][which], truth[which]);
                }
                Step::Look(who, which) => {
                    let which = usize::from(which);
                    let changed = both[who].changed(which);
                    prop_assert_eq!(changed.is_some(), believed[who][which] != truth[which]);
                    believed[who][which] = changed.unwrap_or(believed[who][which]);
                    prop_assert_eq!(believed[who][which], truth[which]);
                }
                Step::Tell(who, which, count) => {
                    let which = usize::from(which);
                    both[who].tell_in_flight(which, count);
                    told[who][which] = count;
                    prop_assert_eq!(both[1 - who].in_flight_elsewhere(which), count);
                    prop_assert_eq!(both[who].in_flight_elsewhere(which), told[1 - who][which]);
                }
            }
        }
        prop_assert_eq!((both[0].lost(), both[1].lost()), (0, 0));
    }

    #[test]
    fn who_is_late_has_the_newest_and_a_count_of_the_rest(lag in 0usize..3 * CAPACITY) {
        let mut both = pair(1);
        (0..lag as u32).for_each(|number| both[0].post(0, seen(number), Time::from_nanos(u64::from(number))));
        let mut numbers = vec![];
        both[1].hear(|_, entry| numbers.push(number_of(&entry) as usize));
        let whole = if lag < CAPACITY { lag } else { CAPACITY - 1 };
        prop_assert!(numbers.into_iter().eq(lag - whole..lag));
        prop_assert_eq!(both[1].lost(), (lag - whole) as u64);
    }
}

#[test]
fn two_threads_tear_nothing_and_account_for_all() {
    const ENTRIES: u32 = 2_000_000;
    let [writer, mut reader] = pair(1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..ENTRIES {
                writer.post(0, seen(number), Time::from_nanos(u64::from(number)));
            }
            done.store(true, Ordering::Release);
        });
        let (mut heard, mut next) = (0u64, 0);
        loop {
            let is_last = done.load(Ordering::Acquire);
            reader.hear(|_, entry| {
                let number = number_of(&entry);
                assert!(number >= next, "{number} after {next}");
                (next, heard) = (number + 1, heard + 1);
            });
            if is_last {
                break;
            }
        }
        assert_eq!(heard + reader.lost(), u64::from(ENTRIES));
        assert_eq!(next, ENTRIES, "the last one is heard");
    });
}

#[test]
fn of_many_that_claim_a_trial_at_once_one_has_it() {
    let mut all = members(4);
    all.iter_mut().for_each(|member| member.enrol([address(1)].into_iter()));
    for round in 1..=50 {
        let until = Time::from_micros(round);
        let out = Standing { place: Place::Out(until), strikes: 1 };
        all[0].changed(0);
        all[0].agree(0, out).unwrap();
        let trial = Standing { place: Place::Trial(until), ..out };
        all[1..].iter_mut().for_each(|member| assert_eq!(member.changed(0), Some(out)));
        let claims = std::thread::scope(|scope| {
            let claim = |member| scope.spawn(move || Member::agree(member, 0, trial));
            let threads: Vec<_> = all.iter_mut().map(claim).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1);
        assert!(claims.into_iter().all(|claim| claim.err().is_none_or(|instead| instead == trial)));
    }
}

#[test]
fn backends_are_known_by_address_whatever_their_index() {
    let mut both = members(2);
    both[0].enrol([1, 2, 3].map(address).into_iter());
    both[1].enrol([3, 1].map(address).into_iter());
    both[0].post(2, News::Judged(Verdict::Failure), Time::ZERO);
    both[0].post(1, News::Judged(Verdict::Ok), Time::ZERO); // of which the other knows nothing
    let mut heard = vec![];
    both[1].hear(|backend, entry| heard.push((backend, entry.news)));
    assert_eq!(heard, [(0, News::Judged(Verdict::Failure))]);
    both[0].tell_in_flight(0, 7);
    both[0].tell_down(0, true);
    assert_eq!((both[1].in_flight_elsewhere(1), both[1].is_down(1)), (7, true));
    // Gone from one worker: what that had in flight there is its business no more.
    both[0].enrol([2].map(address).into_iter());
    assert_eq!(both[1].in_flight_elsewhere(1), 0);
}

#[test]
fn what_all_have_forgotten_comes_back_as_new() {
    let mut both = pair(1);
    both[0].agree(0, Standing { place: Place::Out(Time::NEVER), strikes: 3 }).unwrap();
    let known = both[0].known[0].notice.id;
    both[0].enrol(std::iter::empty());
    // One still knows it: it stays what it was.
    both[0].enrol([address(0)].into_iter());
    assert_eq!(both[0].known[0].notice.id, known);
    assert_eq!(both[0].changed(0).map(|standing| standing.strikes), Some(3));
    both.iter_mut().for_each(|member| member.enrol(std::iter::empty()));
    both.iter_mut().for_each(|member| member.enrol([address(0)].into_iter()));
    assert_ne!(both[0].known[0].notice.id, known);
    assert_eq!(both[1].known[0].notice.id, both[0].known[0].notice.id);
    assert_eq!(both[0].changed(0), None);
}

#[test]
fn one_worker_says_for_all_that_there_is_no_room() {
    let both = members(2);
    let every = Duration::from_secs(10);
    assert!(both[0].says_full(Time::ZERO, every));
    assert!(!both[1].says_full(Time::from_millis(9_000), every));
    assert!(both[1].says_full(Time::from_millis(11_000), every));
    assert!(!both[0].says_full(Time::from_millis(12_000), every));
}

#[test]
fn clients_are_counted_together() {
    let both = members(2);
    both.iter().for_each(Member::client_came);
    assert_eq!(both[0].clients(), 2);
    both[1].client_left();
    assert_eq!((both[0].clients(), both[0].worker(), both[1].worker()), (1, 0, 1));
}
