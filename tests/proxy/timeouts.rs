//! Everybody who is too slow.

use std::time::{Duration, Instant};

use super::support::{End, Gate, Origin, ProxyUnderTest};

const SHORT: Duration = Duration::from_millis(200);

#[test]
fn a_slow_head_is_a_408() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| config.timeouts.request_head = SHORT);
    let mut client = proxy.client();
    let begun = Instant::now();
    let stream = client.stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        let mut stream = stream;
        std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: h\r\nA: ").unwrap();
        while begun.elapsed() < super::support::DEADLINE
            && std::io::Write::write_all(&mut stream, b"x").is_ok()
        {
            std::thread::sleep(Duration::from_millis(10)); // the drip itself
        }
    });
    let answer = client.response();
    assert!(begun.elapsed() >= SHORT);
    assert_eq!((answer.status, answer.field("Connection")), (408, Some("close")));
    assert_eq!(client.read_to_end().1, End::Closed);
    drop(client);
    dripping.join().unwrap();
    assert!(origin.seen().is_empty());
    let (_, rows) = proxy.stop();
    assert_eq!(rows[0].get("status_code"), "408");
}

#[test]
fn an_idle_client_is_closed_without_a_word() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| config.timeouts.client_idle = SHORT);
    let mut fresh = proxy.client();
    let mut used = proxy.client();
    assert_eq!(used.get("/").status, 200);
    assert_eq!(fresh.read_to_end(), (vec![], End::Closed));
    assert_eq!(used.read_to_end(), (vec![], End::Closed));
    assert_eq!(proxy.stop().1.len(), 1);
}

#[test]
fn a_request_body_that_stops_is_a_408() {
    let origin = Origin::start(|conn| {
        conn.head();
        conn.is_closed();
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| config.timeouts.request_body = SHORT);
    let mut client = proxy.client();
    let answer = client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc").response();
    assert_eq!((answer.status, answer.field("Connection")), (408, Some("close")));
}

#[test]
fn a_request_body_that_drips_is_a_408() {
    let origin = Origin::start(|conn| {
        let head = conn.head().unwrap();
        conn.body(&head);
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.timeouts.request_body = Duration::from_millis(400);
        config.timeouts.request_body_rate = 1_000_000;
    });
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    let begun = Instant::now();
    client.stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    while client.seen.is_empty() && begun.elapsed() < super::support::DEADLINE {
        client.send("x");
        let mut piece = [0; 1024];
        if let Ok(count) = std::io::Read::read(&mut client.stream, &mut piece) {
            client.seen.extend_from_slice(&piece[..count]);
        }
    }
    assert_eq!(client.response().status, 408);
}

#[test]
fn an_answer_that_stops_is_cut() {
    let gate = std::sync::Arc::new(Gate::default());
    let over = gate.clone();
    let origin = Origin::start(move |conn| {
        conn.request();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        over.wait();
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| config.timeouts.response_body = SHORT);
    let mut client = proxy.client();
    let (seen, _) = client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").read_to_end();
    assert!(seen.ends_with(b"\r\n\r\nhello"));
    gate.open();
    assert_eq!(proxy.stop().1[0].get("reason"), "response_stalled");
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let origin = Origin::start(|conn| {
        conn.request();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = vec![b'x'; 1024 * 1024];
        while conn.write(&piece) {}
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| config.timeouts.client_write = SHORT);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    super::support::wait_for("the client to be cut", || {
        proxy.figures().is_some_and(|figures| {
            figures.counters.clients_active == 0 && figures.counters.clients_accepted == 1
        })
    });
    let (_, rows) = proxy.stop();
    assert_eq!(rows[0].get("reason"), "client_stalled");
    // What it has not taken by now it never will: the kernel is not to keep it.
    assert_eq!(client.read_to_end().1, End::Reset);
}

#[test]
fn a_tunnel_that_carries_nothing_is_closed() {
    let origin = Origin::start(|conn| {
        conn.request();
        conn.write("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        conn.is_closed();
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| config.timeouts.tunnel_idle = SHORT);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(client.response().status, 101);
    client.read_to_end();
    assert_eq!(proxy.stop().1[0].get("reason"), "tunnel_idle");
}

#[test]
fn a_long_transfer_outlives_the_connect_timeout() {
    let origin = Origin::start(|conn| {
        conn.request();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        let piece = vec![b'x'; 1_000_000];
        (0..100).all(|_| conn.write(&piece));
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.timeouts.connect = Duration::from_millis(20);
    });
    let mut client = proxy.client();
    assert_eq!(client.get("/").body.len(), 100_000_000);
}
