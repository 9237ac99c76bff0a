//! Requests that may not be sent twice, at the moment when a backend closes the connection they would go out on.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clients::{Ask, Asker, Tally, plain};
use crate::origin::{Conn, Origin, page};
use crate::support::pace::undisturbed;
use crate::support::{ProxyUnderTest, wait_for};

/// Requests at one limit.
const LANES: u32 = 36;
/// The first comes so much before the limit, and each of the others so much later.
const EARLY: Duration = Duration::from_millis(2);
const STEP: Duration = Duration::from_micros(200);

fn rests(limit: Duration, says: &'static str) -> impl Fn(&mut Conn) + Send + Sync {
    move |conn| {
        conn.idle_limit(limit);
        while let Some(request) = conn.request() {
            let answer = page("200 OK", &request.path, &request.path);
            let at = answer.find("X-For").unwrap();
            conn.write([&answer[..at], says, &answer[at..]].concat());
        }
    }
}

/// In front of each of so many origins a POST comes around the time when it closes, [`STEP`] after the one of the lane
/// before; `lessons` connections were left to be closed before that.
fn posts_at_the_limit(kind: &str, limit: Duration, says: &'static str, lessons: usize) {
    let tally = Mutex::new((Tally::default(), None));
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            let tally = &tally;
            scope.spawn(move || {
                let origin = Origin::start(rests(limit, says));
                let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
                let mut asker = Asker::new(lane.to_string(), proxy.address, origin.diary.clone());
                for lesson in 1..=lessons {
                    asker.ask(&plain(&format!("/{lane}/lesson/{lesson}"), 0)).unwrap();
                    // Closed by whichever of the two.
                    wait_for("the end of an idle connection", || origin.open() == 0);
                }
                asker.ask(&plain(&format!("/{lane}/before"), 0)).unwrap();
                std::thread::sleep(limit - EARLY + STEP * lane);
                let outcome = asker.ask(&Ask::new("POST", &format!("/{lane}/after")).with("a=1"));
                let mut both = tally.lock().unwrap();
                if outcome.is_err() {
                    both.1 = Some(origin.diary.clone());
                }
                both.0.note(outcome);
            });
        }
    });
    let (tally, diary) = tally.into_inner().unwrap();
    tally.check(kind, &diary.unwrap_or_else(crate::diary::Diary::new));
}

#[test]
fn posts_at_an_idle_limit_of_a_second_are_not_lost() {
    posts_at_the_limit("a POST at an idle limit of 1 s", Duration::from_secs(1), "", 0);
}

#[test]
fn posts_at_an_idle_limit_of_a_third_of_a_second_are_not_lost() {
    // Learned by closes after about the same time each: where the machine makes that differ there is nothing to learn.
    undisturbed(Duration::from_millis(20), || {
        posts_at_the_limit("a POST at an idle limit of 300 ms", Duration::from_millis(300), "", 5);
    });
}

#[test]
fn posts_at_an_idle_limit_that_is_announced_are_not_lost() {
    let says = "Keep-Alive: timeout=1\r\n";
    posts_at_the_limit("a POST at an idle limit of 1 s that is announced", Duration::from_secs(1), says, 0);
}

#[test]
fn a_connection_is_closed_before_the_time_its_backend_has_announced() {
    undisturbed(Duration::from_millis(20), connections_are_closed_first);
}

fn connections_are_closed_first() {
    let origin = Origin::start(rests(Duration::from_secs(1), "Keep-Alive: timeout=1\r\n"));
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut clients: Vec<_> = (0..10).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    wait_for("the end of all connections", || origin.open() == 0);
    let late = origin.counts.closed_when_idle.load(Ordering::SeqCst);
    println!("Keep-Alive: timeout=1: {late} of {} connections kept for longer", origin.accepted());
    assert_eq!(late, 0);
}
