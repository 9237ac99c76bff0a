//! Origins that close a connection right after an answer without having said so, and requests that may not be sent
//! twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::clients::{Ask, Asker, Tally, alternate, plain};
use crate::origin::{Origin, page};
use crate::support::{ProxyUnderTest, wait_for};

fn post(path: &str, _round: usize) -> Ask {
    Ask::new("POST", path).with("a=1")
}

#[test]
fn posts_are_not_lost_where_each_answer_is_the_last_and_does_not_say_so() {
    let origin = Origin::start(|conn| {
        if let Some(request) = conn.request() {
            conn.write_last(page("200 OK", &request.path, &request.path));
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let tally = alternate(proxy.address, &origin.diary, 10, post, post);
    tally.check("a close with the answer, unannounced, POST", &origin.diary);
}

/// The close comes a moment after the answer, so that a request sent at once can just miss it. What a backend does every
/// time is learned from requests that may be sent again.
fn posts_after_closes(late: Duration) {
    let closed = Arc::new(AtomicUsize::new(0));
    let count = closed.clone();
    let origin = Origin::start(move |conn| {
        let Some(request) = conn.request() else { return };
        conn.answer(&request);
        if late > Duration::ZERO {
            std::thread::sleep(late);
        }
        conn.close();
        count.fetch_add(1, Ordering::SeqCst);
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut first = Asker::new("first".to_owned(), proxy.address, origin.diary.clone());
    for round in 1..=30 {
        first.ask(&plain(&format!("/first/{round}"), round)).unwrap();
        wait_for("the close", || closed.load(Ordering::SeqCst) >= round);
    }
    let tally = alternate(proxy.address, &origin.diary, 10, post, post);
    tally.check(&format!("a close {late:?} after each answer, POST"), &origin.diary);
}

#[test]
fn posts_are_not_lost_where_a_close_right_after_each_answer_was_seen_before() {
    posts_after_closes(Duration::ZERO);
}

#[test]
fn posts_are_not_lost_where_a_close_half_a_millisecond_after_each_answer_was_seen_before() {
    posts_after_closes(Duration::from_micros(500));
}

#[test]
fn posts_are_not_lost_where_a_close_three_milliseconds_after_each_answer_was_seen_before() {
    posts_after_closes(Duration::from_millis(3));
}

/// As above without a lesson beforehand: what is lost until it is learned is lost, and it is soon learned.
#[test]
fn a_close_soon_after_each_answer_is_learned_from_the_posts_it_costs() {
    let origin = Origin::start(move |conn| {
        let Some(request) = conn.request() else { return };
        conn.answer(&request);
        std::thread::sleep(Duration::from_micros(500));
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let Tally { asked, foreign, lost, .. } = alternate(proxy.address, &origin.diary, 4, post, post);
    println!("a close half a millisecond after each answer, POST, not known before: {lost} lost of {asked}");
    assert_eq!(foreign, 0);
    assert!(lost <= 20, "{lost} lost");
}

#[test]
fn a_put_of_sixty_kilobytes_on_a_connection_that_died_is_sent_again_whole() {
    let origin = Origin::start(|conn| {
        let Some(request) = conn.request() else { return };
        conn.answer(&request);
        let Some(request) = conn.head() else { return };
        if request.method != "PUT" {
            conn.body(&request);
            conn.answer(&request);
        } // else it dies with the request on it
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let put = |path: &str, _| Ask::new("PUT", path).with(vec![b'x'; 60_000]);
    let tally = alternate(proxy.address, &origin.diary, 4, put, put);
    tally.check("a PUT of 60,000 bytes on a connection that died", &origin.diary);
}
