//! A stop that loses nothing.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::support::{End, Gate, Origin, ProxyUnderTest, wait_for};

/// Answers when the gate is opened.
fn gated() -> (Origin, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let opened = gate.clone();
    let origin = Origin::start(move |conn| {
        while conn.request().is_some() {
            opened.wait();
            conn.answer("done");
        }
    });
    (origin, gate)
}

#[test]
fn what_is_under_way_is_finished_and_nothing_new_begun() {
    let (origin, gate) = gated();
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut busy = proxy.client();
    let mut idle = proxy.client();
    busy.send("GET /busy HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the request", || origin.seen().len() == 1);
    proxy.drain();
    assert_eq!(idle.read_to_end(), (vec![], End::Closed), "an idle client is let go");
    wait_for("the listener to close", || TcpStream::connect(proxy.address).is_err());
    gate.open();
    let answer = busy.response();
    assert_eq!((answer.body.as_slice(), answer.field("Connection")), (&b"done"[..], Some("close")));
    assert_eq!(busy.read_to_end(), (vec![], End::Closed));
    let rows = proxy.stop().1;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].get("path"), rows[0].get("status_code")), ("/busy".into(), "200".into()));
}

#[test]
fn a_large_answer_under_way_is_finished() {
    let gate = Arc::new(Gate::default());
    let opened = gate.clone();
    let origin = Origin::start(move |conn| {
        conn.request();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        conn.write(vec![b'x'; 500_000]);
        opened.wait();
        conn.write(vec![b'x'; 500_000]);
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.read_until(|seen| seen.len() > 400_000));
    proxy.drain();
    wait_for("the listener to close", || TcpStream::connect(proxy.address).is_err());
    gate.open();
    assert_eq!(client.response().body.len(), 1_000_000);
    assert_eq!(client.read_to_end(), (vec![], End::Closed));
}

#[test]
fn a_drain_ends_at_its_timeout() {
    let (origin, gate) = gated();
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| {
        config.drain_timeout = Duration::from_millis(200);
    });
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the request", || origin.seen().len() == 1);
    let begun = Instant::now();
    proxy.drain();
    client.read_to_end();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    gate.open();
    let rows = proxy.stop().1;
    assert_eq!(
        (rows.len(), rows[0].get("reason")),
        (1, "shutdown".into()),
        "not the end of any other patience"
    );
}

#[test]
fn a_second_order_stops_at_once() {
    let (origin, gate) = gated();
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the request", || origin.seen().len() == 1);
    proxy.drain();
    proxy.drain();
    client.read_to_end();
    gate.open();
    assert_eq!(proxy.stop().1[0].get("reason"), "shutdown", "not the end of any other patience");
}

#[test]
fn rows_are_as_many_as_answers() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut answers = 0;
    for text in [
        "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
        "GET /4 HTTP/1.1\r\n\r\n",
        "GET /5 HTTP/1.1\r\nHost: h\r\n\r\nnonsense\r\n\r\n",
        "OPTIONS /6 HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n",
        "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let mut client = proxy.client();
        let (seen, _) = client.send(text).finish().read_to_end();
        answers += seen.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
    }
    let (figures, rows) = proxy.stop();
    assert_eq!(answers, 8);
    assert_eq!((rows.len(), figures.counters.requests), (8, 8));
    let mut statuses: Vec<String> = rows.iter().map(|row| row.get("status_code")).collect();
    statuses.sort();
    assert_eq!(statuses, ["200", "200", "200", "200", "200", "400", "400", "405"]);
}
