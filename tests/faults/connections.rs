//! Connections that break, on either side and at any point.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::load::ask;
use crate::support::{Client, End, Gate, Origin, OriginConn, ProxyUnderTest, message, wait_for};

/// What an origin does in the middle of its answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    Reset,
    Fin,
    Hang,
}

const HALVES: &[(&str, &str)] = &[
    ("by length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nSECRET-HALF"),
    ("in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nSECRE\r\n20\r\nT-HALF"),
    ("between chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nSECRET-HALF\r\n"),
    ("to the close", "HTTP/1.1 200 OK\r\n\r\nSECRET-HALF"),
];

#[test]
fn an_answer_cut_by_reset_fin_or_hang_is_never_taken_for_whole_and_leaks_into_no_other() {
    for (how, half) in HALVES {
        for cut in [Cut::Reset, Cut::Fin, Cut::Hang] {
            for version in ["1.1", "1.0"] {
                if (*how, cut) == ("to the close", Cut::Fin) {
                    continue; // that is how such an answer ends
                }
                cut_answer(how, half, cut, version);
            }
        }
    }
}

fn cut_answer(how: &str, half: &'static str, cut: Cut, version: &str) {
    let origin = Origin::start(move |conn: &mut OriginConn| {
        while let Some(request) = conn.request() {
            if !request.starts_with(b"GET /cut") {
                conn.answer("whole");
                continue;
            }
            conn.write(half);
            match cut {
                Cut::Reset => conn.reset(),
                Cut::Fin => {}
                Cut::Hang => assert!(conn.is_closed(), "the proxy let it hang"),
            }
            return;
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.timeouts.response_body = Duration::from_millis(100);
    });
    let mut client = proxy.client();
    client.send(format!("GET /cut HTTP/{version}\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"));
    let (seen, end) = client.read_to_end();
    let text = String::from_utf8_lossy(&seen);
    let complete = match message::Response::parse(&seen, "GET", end == End::Closed) {
        Some((response, _)) => response.status == 200, // our own 502 may be whole
        None => false,
    };
    assert!(!complete, "{how} {cut:?} {version}: {end:?} after {text:?}");
    let next = proxy.client().get("/next");
    assert_eq!((next.status, next.body.as_slice()), (200, &b"whole"[..]), "{how} {cut:?} {version}");
}

/// Answers `lives` requests on each connection and dies on reading the next one.
fn dying(lives: usize, reset: bool) -> impl Fn(&mut OriginConn) + Send + Sync {
    move |conn| {
        for _ in 0..lives {
            let Some(request) = conn.request() else { return };
            let path = String::from_utf8_lossy(&request).split(' ').nth(1).unwrap_or("").to_owned();
            let head_only = request.starts_with(b"HEAD ");
            let body = if head_only { "" } else { path.as_str() };
            conn.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", path.len()));
        }
        conn.request();
        if reset {
            conn.reset();
        }
    }
}

#[test]
fn a_pooled_connection_that_dies_as_it_is_used_fails_nothing_idempotent_and_repeats_nothing_else() {
    for reset in [true, false] {
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
            let origin = Origin::start(dying(1, reset));
            let proxy = ProxyUnderTest::start(&[origin.address], |config| config.ejection = true);
            let mut client = None;
            for id in 0..50 {
                let told = ask(&mut client, proxy.address, method, id);
                assert_eq!(told.status, 200, "{method} {id}, reset: {reset}");
            }
        }
        for method in ["POST", "PATCH"] {
            let origin = Origin::start(dying(1, reset));
            let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
            let mut client = None;
            for id in 0..50 {
                let told = ask(&mut client, proxy.address, method, id);
                assert!(matches!(told.status, 200 | 502), "{method} {id}: {}", told.status);
            }
            let mut lines = origin.lines();
            let all = lines.len();
            lines.sort();
            lines.dedup();
            assert_eq!((lines.len(), all), (50, 50), "{method}: sent twice, or not at all");
        }
    }
}

#[test]
fn a_post_that_finds_its_pooled_connection_closed_goes_out_on_a_fresh_one() {
    let noticed = Arc::new(AtomicUsize::new(0));
    let count = noticed.clone();
    let origin = Origin::start(move |conn| {
        conn.request();
        conn.answer("once");
        conn.finish();
        if conn.is_closed() {
            count.fetch_add(1, Ordering::SeqCst); // the proxy has taken it from its pool
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = None;
    for id in 0..30 {
        assert_eq!(ask(&mut client, proxy.address, "POST", id).status, 200, "{id}");
        wait_for("the proxy to notice", || noticed.load(Ordering::SeqCst) > id);
    }
}

#[test]
fn an_unasked_answer_on_a_pooled_connection_reaches_nobody() {
    let noticed = Arc::new(AtomicUsize::new(0));
    let count = noticed.clone();
    let origin = Origin::start(move |conn| {
        conn.request();
        conn.answer("asked");
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunasked");
        if conn.is_closed() {
            count.fetch_add(1, Ordering::SeqCst); // the proxy has taken it from its pool
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = None;
    for id in 0..50 {
        let told = ask(&mut client, proxy.address, "GET", id);
        // 502 when both came at once: then the first cannot be trusted either.
        assert!(
            (told.status, told.body.as_slice()) == (200, b"asked") || told.status == 502,
            "{id}: {told:?}"
        );
        wait_for("the proxy to notice", || noticed.load(Ordering::SeqCst) > id);
    }
}

#[test]
fn a_client_that_vanishes_costs_the_backend_its_connection_and_no_reputation() {
    let closed = Arc::new(AtomicUsize::new(0));
    let count = closed.clone();
    let origin = Origin::start(move |conn| {
        while let Some(request) = conn.request() {
            if request.starts_with(b"GET /ok") {
                conn.answer("fine");
                continue;
            }
            if request.starts_with(b"GET /half") {
                conn.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
            }
            if conn.is_closed() {
                count.fetch_add(1, Ordering::SeqCst);
            }
            return;
        }
    });
    // With one failure the backend would be out.
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| {
        config.ejection = true;
        config.ejector.failures = 1;
        config.ejector.share_max = 100;
    });
    let mut gone = 0;
    for (path, body) in [("/none", ""), ("/half", ""), ("/body", "Content-Length: 10\r\n")] {
        for _ in 0..5 {
            let before = origin.seen().len();
            let mut client = proxy.client();
            let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{body}\r\n");
            if path == "/body" {
                // Its head need not be sent on; but it is read in one piece with a request that is answered.
                client.send(format!("GET /ok HTTP/1.1\r\nHost: h\r\n\r\n{request}"));
                assert_eq!(client.response().status, 200);
                client.reset();
                continue;
            }
            client.send(request);
            if path == "/half" {
                client.read_until(|seen| seen.ends_with(b"half"));
            } else {
                wait_for("the request to arrive", || origin.seen().len() > before);
            }
            client.reset();
            gone += 1;
        }
    }
    wait_for("the connections to be closed", || closed.load(Ordering::SeqCst) >= gone);
    assert_eq!(proxy.client().get("/ok").status, 200);
    let (_, rows) = proxy.stop();
    let counts = |reason: &str| rows.iter().filter(|row| row.get("reason") == reason).count();
    assert_eq!((counts("client_gone"), counts("ok")), (15, 6));
}

#[test]
fn a_client_that_has_said_all_and_finished_gets_its_answer() {
    let gate = Arc::new(Gate::default());
    let origin = Origin::held(&gate);
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").finish();
    wait_for("the request to arrive", || !origin.seen().is_empty());
    gate.open();
    assert_eq!(client.response().body, b"late");
}

#[test]
fn pipelined_requests_over_slow_and_fast_backends_are_answered_in_order() {
    let script = |pause: u64| {
        move |conn: &mut OriginConn| {
            while let Some(request) = conn.request() {
                let path = String::from_utf8_lossy(&request).split(' ').nth(1).unwrap().to_owned();
                std::thread::sleep(Duration::from_millis(pause));
                conn.answer(&path);
            }
        }
    };
    let origins = [Origin::start(script(15)), Origin::start(script(0)), Origin::start(script(3))];
    let addresses = origins.each_ref().map(|origin| origin.address);
    let proxy = ProxyUnderTest::start(&addresses, |_| {});
    let mut clients: Vec<Client> = (0..10).map(|_| proxy.client()).collect();
    for (place, client) in clients.iter_mut().enumerate() {
        let requests: String = (0..30)
            .map(|id| match id % 3 {
                0 => format!("POST /{place}/{id} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"),
                _ => format!("GET /{place}/{id} HTTP/1.1\r\nHost: h\r\n\r\n"),
            })
            .collect();
        client.send(requests);
    }
    let begun = Instant::now();
    for (place, client) in clients.iter_mut().enumerate() {
        for id in 0..30 {
            let answer = client.response();
            assert_eq!(String::from_utf8_lossy(&answer.body), format!("/{place}/{id}"));
        }
    }
    println!("300 pipelined requests in {:?}", begun.elapsed());
    for origin in &origins {
        assert!(!origin.seen().is_empty());
    }
}
