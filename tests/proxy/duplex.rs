//! Both directions at once: tunnels, and bodies answered while they are sent.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::support::{
    Client, DEADLINE, End, Gate, Origin, OriginConn, Patient, ProxyUnderTest, message, wait_for,
};

const SWITCH: &str = "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

fn tunnel(proxy: &ProxyUnderTest) -> Client {
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(client.response().status, 101);
    client
}

#[test]
fn a_tunnel_carries_much_both_ways_and_passes_half_closes_on() {
    const TOTAL: usize = 16 * 1024 * 1024;
    let origin = Origin::start(|conn: &mut OriginConn| {
        conn.request();
        conn.write(SWITCH);
        let mut stream = Patient::new(conn.stream.try_clone().unwrap());
        let mut piece = vec![0; 64 * 1024];
        loop {
            match stream.read(&mut piece).unwrap() {
                0 => break,
                count => assert!(conn.write(&piece[..count])),
            }
        }
        conn.write("the end"); // after the client's half-close
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = tunnel(&proxy);
    let mut sending = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let piece: Vec<u8> = (0..=255u8).cycle().take(65_521).collect();
        let mut left = TOTAL;
        while left > 0 {
            let count = left.min(piece.len());
            sending.write_all(&piece[..count]).unwrap();
            left -= count;
        }
        sending.shutdown(Shutdown::Write).unwrap();
    });
    let (seen, end) = client.read_to_end();
    sender.join().unwrap();
    assert_eq!((seen.len(), end), (TOTAL + 7, End::Closed));
    assert!(seen.ends_with(b"the end"));
    assert!(
        seen[..TOTAL].chunks(65_521).all(|piece| piece.iter().enumerate().all(|(n, byte)| *byte == n as u8))
    );
    drop(client);
    assert_eq!(proxy.stop().1[0].get("reason"), "ok");
}

#[test]
fn what_a_client_says_last_in_a_tunnel_reaches_an_origin_that_reads_it_late() {
    const TOTAL: usize = 512 * 1024; // more than a receive window, less than the kernel takes
    let gate = Arc::new(Gate::default());
    let (tell, told) = mpsc::channel();
    let (tell, opened) = (std::sync::Mutex::new(tell), gate.clone());
    let origin = Origin::start(move |conn| {
        conn.request();
        conn.write(SWITCH);
        conn.finish();
        opened.wait();
        tell.lock().unwrap().send(conn.take(TOTAL).map(|bytes| bytes.len())).unwrap();
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = tunnel(&proxy);
    client.send(vec![b'x'; TOTAL]).finish();
    assert_eq!(client.read_to_end().1, End::Closed, "both ways have ended");
    gate.open();
    assert_eq!(told.recv().unwrap(), Some(TOTAL));
}

#[test]
fn a_tunnel_whose_client_breaks_is_closed_at_the_origin_too() {
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::start(move |conn| {
        conn.request();
        conn.write(SWITCH);
        tell.lock().unwrap().send(conn.is_closed()).unwrap();
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    tunnel(&proxy).reset();
    assert!(told.recv().unwrap());
}

#[test]
fn a_tunnel_whose_origin_breaks_is_closed_at_the_client_too() {
    let origin = Origin::start(|conn| {
        conn.request();
        conn.write(SWITCH);
        conn.take(1);
        conn.reset();
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = tunnel(&proxy);
    client.send("x");
    client.read_to_end();
}

#[test]
fn a_body_is_answered_while_it_is_sent() {
    let origin = Origin::start(|conn: &mut OriginConn| {
        conn.head();
        conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..20 {
            let chunk = conn.take(6).unwrap();
            conn.write(&chunk);
        }
        let last = conn.take(5).unwrap();
        conn.write(&last);
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(client.read_until(|seen| message::head_len(seen).is_some()));
    for n in 0..20 {
        let chunk = format!("1\r\n{}\r\n", n % 10);
        let before = client.seen.len();
        client.send(&chunk);
        assert!(client.read_until(|seen| seen.len() == before + 6), "no echo of chunk {n}");
        assert!(client.seen.ends_with(chunk.as_bytes()));
    }
    let answer = client.send("0\r\n\r\n").response();
    assert_eq!(answer.body, b"01234567890123456789");
    // The backend said nothing of closing, so both directions end, and the connection serves the next request.
    assert_eq!(answer.field("Connection"), None);
    assert_eq!(client.end, None);
}

#[test]
fn a_large_post_on_a_connection_that_died_gets_its_502() {
    let origin = Origin::start(|conn| {
        conn.head();
        conn.reset();
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    for _ in 0..10 {
        let mut client = proxy.client();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
        client.send(vec![b'x'; 3_000_000]);
        assert_eq!(client.response().status, 502);
    }
    assert_eq!(origin.lines().iter().filter(|line| line.starts_with("POST")).count(), 10);
}

#[test]
fn a_client_that_leaves_during_a_long_answer_ends_it_at_the_origin() {
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::start(move |conn| {
        conn.request();
        conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while conn.write("5\r\nhello\r\n") {}
        tell.lock().unwrap().send(()).unwrap();
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.read_until(|seen| seen.len() > 1000));
    drop(client);
    told.recv_timeout(DEADLINE).expect("the origin can stop");
    let rows = proxy.stop().1;
    assert_eq!(rows[0].get("reason"), "client_gone");
}

#[test]
fn an_empty_line_and_then_nothing_is_an_idle_client() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| {
        config.timeouts.request_head = Duration::from_millis(100);
    });
    let mut client = proxy.client();
    client.send("\r\n");
    assert_eq!(client.read_to_end(), (vec![], End::Closed), "no answer to a request that was never begun");
    wait_for("nobody", || origin.connections() == 0);
    assert!(proxy.stop().1.is_empty());
}
