//! Content where none is expected: behind the head of an answer to HEAD, or left unread by an origin that then takes it
//! for the next request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use tidegate::config::Trust;

use crate::clients::{Ask, Asker, alternate, check_all, plain};
use crate::origin::{Conn, Origin, complaint, page};
use crate::support::pace::undisturbed;
use crate::support::{DEADLINE, ProxyUnderTest};

/// Answers with a head that announces a body, and sends that so much later, unless the machine has made it `latest` by
/// then: nobody could tell it from one that never comes.
fn late_body(conn: &mut Conn, line: &str, path: &str, late: Duration, latest: Duration) -> bool {
    // Any text may be a body; an answer to another makes the worst of them.
    let round = round_of(path);
    let body =
        if round.is_multiple_of(2) { page("200 OK", path, path) } else { "<p>a page</p>\r\n".to_owned() };
    let head = page(line, path, &body);
    let begun = Instant::now();
    conn.write(&head[..head.len() - body.len()]);
    std::thread::sleep(late);
    begun.elapsed() < latest && conn.write(&body)
}

fn round_of(path: &str) -> usize {
    path.rsplit('/').next().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Where the machine keeps a thread waiting for so long, what is late may be later than a connection rests.
const STILL: Duration = Duration::from_millis(10);

/// Bodies come late where there should be none: of a HEAD, or of a 304.
fn bodies_come_late(method: &'static str, status: u16, late: Duration) {
    let origin = Origin::start(move |conn| {
        while let Some(request) = conn.request() {
            let line = if request.method == "HEAD" { "200 OK" } else { "304 Not Modified" };
            let went_on = if request.path.contains("/a/") {
                late_body(conn, line, &request.path, late, Duration::from_millis(75))
            } else {
                conn.answer(&request)
            };
            if !went_on {
                return;
            }
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let odd = |path: &str, _| Ask::new(method, path).gets(status, "");
    let tally = alternate(proxy.address, &origin.diary, 10, odd, plain);
    tally.check(&format!("a body {late:?} behind {status} to {method}"), &origin.diary);
}

#[test]
fn a_body_of_a_head_that_comes_a_millisecond_late_is_nobodys_answer() {
    undisturbed(STILL, || bodies_come_late("HEAD", 200, Duration::from_millis(1)));
}

#[test]
fn a_body_of_a_head_that_comes_thirty_milliseconds_late_is_nobodys_answer() {
    undisturbed(STILL, || bodies_come_late("HEAD", 200, Duration::from_millis(30)));
}

#[test]
fn a_body_of_a_304_that_comes_a_millisecond_late_is_nobodys_answer() {
    undisturbed(STILL, || bodies_come_late("GET", 304, Duration::from_millis(1)));
}

/// So many HEADs without a body make a backend known for that, and more.
const CLEAN: usize = 20;

#[test]
fn a_backend_that_sends_no_body_to_head_gets_its_connections_back_until_it_sends_one() {
    undisturbed(Duration::from_millis(5), bodies_begin_to_come_late);
}

fn bodies_begin_to_come_late() {
    let together = Barrier::new(CLEAN);
    let origin = Origin::start(move |conn| {
        while let Some(request) = conn.request() {
            if request.path == "/together" {
                together.wait();
            }
            let went_on = if request.method == "HEAD" && request.path != "/clean" {
                let (late, latest) = (Duration::from_millis(2), Duration::from_millis(12));
                late_body(conn, "200 OK", &request.path, late, latest)
            } else {
                let mut answer = page("200 OK", &request.path, &request.path);
                answer
                    .insert_str(answer.find("X-For").unwrap(), &format!("X-Connection: {}\r\n", conn.index));
                let body = if request.method == "HEAD" { request.path.len() } else { 0 };
                conn.write(&answer[..answer.len() - body])
            };
            if !went_on {
                return;
            }
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let ask = |method, path| {
        let mut asker = Asker::new("first".to_owned(), proxy.address, origin.diary.clone());
        asker.exchange(&Ask::new(method, path)).unwrap().field("X-Connection").unwrap().to_owned()
    };
    let begun = Instant::now();
    loop {
        let headed: Vec<String> = (0..CLEAN).map(|_| ask("HEAD", "/clean")).collect();
        std::thread::sleep(Duration::from_millis(120)); // as long as they may have to rest
        let used: Vec<String> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..CLEAN).map(|_| scope.spawn(|| ask("GET", "/together"))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        if headed.iter().any(|one| used.contains(one)) {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "no connection is used again after a HEAD");
    }
    let tally = alternate(proxy.address, &origin.diary, 10, |path, _| Ask::new("HEAD", path), plain);
    tally.check("a HEAD's body 2 ms late after twenty without", &origin.diary);
}

/// Reads heads only; what is no head gets a complaint, and the connection goes on.
fn reads_no_content(conn: &mut Conn) {
    while let Some(request) = conn.head() {
        let sent = if request.is_garbage() { conn.write(complaint()) } else { conn.answer(&request) };
        if !sent {
            return;
        }
    }
}

/// Content that is a request of its own to who takes it for one, or none, or in chunks.
fn with_content(ask: Ask, round: usize) -> Ask {
    match round % 3 {
        0 => {
            let content = format!("GET {}/content HTTP/1.1\r\nHost: o\r\n\r\n", ask.path);
            ask.with(content)
        }
        1 => ask.with("a=1&b=2"),
        _ => ask.in_a_chunk("a=1&b=2"),
    }
}

#[test]
fn content_of_a_method_without_any_is_not_left_for_the_next_client() {
    let mut stories = Vec::new();
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let origin = Origin::start(reads_no_content);
        let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
        let odd = |path: &str, round| with_content(Ask::new(method, path), round);
        let tally = alternate(proxy.address, &origin.diary, 10, odd, plain);
        stories.extend(tally.told(&format!("content of {method} left unread"), &origin.diary));
    }
    check_all(stories);
}

#[test]
fn content_of_a_post_left_unread_is_not_left_for_the_next_client_where_trust_is_strict() {
    let origin = Origin::start(reads_no_content);
    let proxy = ProxyUnderTest::start(&[origin.address], |config| config.pool_trust = Trust::Strict);
    let odd = |path: &str, round| with_content(Ask::new("POST", path), round);
    let tally = alternate(proxy.address, &origin.diary, 10, odd, plain);
    tally.check("content of POST left unread, strict", &origin.diary);
}

/// The complaint is a well-formed answer of its own. A GET that meets it is asked again on a fresh connection, and the
/// difference tells. A POST cannot be asked again: where one comes before the first GET, it gets what it gets.
#[test]
fn a_refusal_meant_for_content_left_unread_is_nobodys_answer() {
    for status in ["400 Bad Request", "405 Method Not Allowed", "501 Not Implemented"] {
        let origin = Origin::start(move |conn| {
            while let Some(request) = conn.head() {
                let refusal = page(status, "/nobody", "what?");
                let sent = if request.is_garbage() { conn.write(refusal) } else { conn.answer(&request) };
                if !sent {
                    return;
                }
            }
        });
        let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
        let methods = ["POST", "PUT", "PATCH"];
        let odd = |path: &str, round: usize| Ask::new(methods[round % 3], path).with("a=1&b=2");
        let tally = alternate(proxy.address, &origin.diary, 1, odd, plain);
        tally.check(&format!("content left unread, then answered {status}"), &origin.diary);
    }
}

#[test]
fn a_refusal_that_is_meant_as_it_comes_is_forwarded_and_teaches_nothing() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let origin = Origin::start(move |conn| {
        while let Some(request) = conn.request() {
            let is_bad = request.path.contains("bad");
            count.fetch_add(usize::from(is_bad), Ordering::SeqCst);
            let answer = if is_bad { complaint() } else { page("200 OK", &request.path, &request.path) };
            if !conn.write(answer) {
                return;
            }
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut asker = Asker::new("only".to_owned(), proxy.address, origin.diary.clone());
    let mut posts = |count: usize| {
        for _ in 0..count {
            asker.ask(&Ask::new("POST", "/post").with("a=1")).unwrap();
        }
    };
    let mut other = Asker::new("other".to_owned(), proxy.address, origin.diary.clone());
    posts(1);
    let answer = other.exchange(&Ask::new("GET", "/bad")).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (400, b"what?".as_slice()));
    assert_eq!(asked.load(Ordering::SeqCst), 2, "asked again, to be sure");
    // What must not be sent twice is not: its refusal goes on as it is.
    posts(1);
    let answer = other.exchange(&Ask::new("POST", "/bad").with("b=2")).unwrap();
    assert_eq!((answer.status, asked.load(Ordering::SeqCst)), (400, 3));
    let before = origin.accepted();
    posts(20);
    assert!(origin.accepted() <= before + 1, "connections rest behind content as before");
}

/// Where trust is learned nobody sees this coming. But an answer that begins with no status line betrays it: the GET that
/// met it is asked again elsewhere, and that backend's connections rest no more after a POST with content.
#[test]
fn content_of_a_post_left_unread_that_spoils_an_answer_is_made_up_for() {
    let origin = Origin::start(|conn| {
        while let Some(request) = conn.head() {
            if request.is_garbage() {
                conn.write("what?\r\n\r\n"); // as a server answers who speaks HTTP/0.9 to it
                return;
            }
            if !conn.answer(&request) {
                return;
            }
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let odd = |path: &str, _| Ask::new("POST", path).with("a=1&b=2");
    let tally = alternate(proxy.address, &origin.diary, 1, odd, plain);
    tally.check("content of POST left unread, answered without a status line", &origin.diary);
}
