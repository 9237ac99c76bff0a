//! Origins that give each connection a worker for as long as it lasts: an idle one in the pool keeps a waiting one out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate::config::{ROUTING_DEFAULT, ejects_by_default};

use crate::clients::{Ask, Asker, Tally};
use crate::origin::Origin;
use crate::support::{ProxyUnderTest, wait_for};

const WORKERS: usize = 5;
const CLIENTS: usize = 100;
const EACH: usize = 3;

#[test]
fn a_burst_is_answered_whole_by_a_few_workers_that_idle_connections_would_hold() {
    let origin = Origin::with_workers(WORKERS, |conn| {
        while let Some(request) = conn.request() {
            std::thread::sleep(Duration::from_millis(1));
            conn.answer(&request);
        }
    });
    burst(&origin);
}

#[test]
fn a_burst_is_answered_whole_by_a_few_workers_that_wait_on_idle_connections_in_turn() {
    // The dozens of connections that the burst leaves idle would hold them for longer than the upstream time-out.
    let origin = Origin::with_workers_in_turn(WORKERS, Duration::from_secs(4), |conn, request| {
        std::thread::sleep(Duration::from_millis(1));
        conn.answer(request);
    });
    burst(&origin);
}

#[test]
fn requests_that_take_long_do_not_cost_the_others_their_connections() {
    const POLLS: usize = 4;
    const REQUESTS: usize = 60;
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let origin = Origin::start(move |conn| {
        while let Some(request) = conn.request() {
            if request.path.starts_with("/poll") {
                wait_for("the end of the poll", || over.load(Ordering::SeqCst));
            }
            conn.answer(&request);
        }
    });
    // Looked at after a second, and every half second.
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.timeouts.upstream = Duration::from_secs(30);
    });
    std::thread::scope(|scope| {
        for poll in 0..POLLS {
            let (to, diary) = (proxy.address, origin.diary.clone());
            scope.spawn(move || {
                let mut asker = Asker::new(format!("poll {poll}"), to, diary);
                asker.ask(&Ask::new("GET", &format!("/poll/{poll}"))).unwrap();
            });
        }
        wait_for("the polls", || origin.accepted() == POLLS);
        let mut asker = Asker::new("other".to_owned(), proxy.address, origin.diary.clone());
        for request in 0..REQUESTS {
            asker.ask(&Ask::new("GET", &format!("/{request}"))).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
        is_over.store(true, Ordering::SeqCst);
    });
    // In three seconds and a half: one for the first request, and a few for each of two tries.
    let dials = origin.accepted() - POLLS;
    println!("{dials} dials for {REQUESTS} requests beside {POLLS} that wait");
    assert!((1..=12).contains(&dials), "{dials} dials for {REQUESTS} requests");
}

/// All ask at once, and each again as soon as it has its answer.
fn burst(origin: &Origin) {
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.routing = ROUTING_DEFAULT;
        config.ejection = ejects_by_default(ROUTING_DEFAULT);
    });
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (tally, to, diary) = (&tally, proxy.address, origin.diary.clone());
            scope.spawn(move || {
                let mut asker = Asker::new(client.to_string(), to, diary);
                for round in 0..EACH {
                    let outcome = asker.ask(&Ask::new("GET", &format!("/{client}/{round}")));
                    tally.lock().unwrap().note(outcome);
                }
            });
        }
    });
    let kind = format!("{} requests of {CLIENTS} clients to {WORKERS} workers", CLIENTS * EACH);
    tally.into_inner().unwrap().check(&kind, &origin.diary);
}
