//! Upgrades with content, where it matters when what comes; and what the log says of a bad 101.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use super::support::{Gate, Origin, ProxyUnderTest, wait_for};

const ASK: &str =
    "POST /exec HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 10\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

#[test]
fn a_101_waits_for_the_end_of_the_content() {
    let sent = Arc::new(Gate::default());
    let switched = sent.clone();
    let origin = Origin::start(move |conn| {
        let head = conn.head().unwrap();
        conn.write(format!("{SWITCH}early "));
        switched.open();
        conn.body(&head);
        let said = conn.take(5).unwrap();
        conn.write(&said);
        conn.close();
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send(ASK);
    sent.wait();
    for piece in ["0123", "45678"] {
        client.send(piece);
        client.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(client.stream.read(&mut [0]).is_err(), "answered before the content's end");
    }
    client.send("9hello");
    let (seen, _) = client.read_to_end();
    client.finish();
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.starts_with("HTTP/1.1 101 UPGRADED\r\n") && seen.ends_with("\r\n\r\nearly hello"), "{seen}");
    let reached = String::from_utf8(origin.seen()[0].bytes.clone()).unwrap();
    assert!(reached.ends_with("\r\n\r\n0123456789hello"), "{reached}");
    let rows = proxy.stop().1;
    assert_eq!((rows[0].get("status_code"), rows[0].get("reason")), ("101".into(), "ok".into()));
}

#[test]
fn content_that_does_not_come_after_a_101_is_a_408() {
    let origin = Origin::start(|conn| {
        conn.head();
        conn.write(SWITCH);
        conn.is_closed();
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.timeouts.request_body = Duration::from_millis(200);
    });
    assert_eq!(proxy.client().send(format!("{ASK}0123")).response().status, 408);
}

/// Its connection is closed, and every reason says what it is.
#[test]
fn a_bad_101_is_a_502_that_says_what_is_wrong() {
    let upgrade = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".to_owned();
    let plain = "GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned();
    let lacks = "101 without Upgrade, or Connection that names it";
    let unasked = "101 without being asked";
    for (request, fields, reason) in [
        (upgrade.clone(), "", lacks),
        (upgrade.clone(), "Connection: upgrade\r\n", lacks),
        (upgrade.clone(), "Upgrade: tcp\r\n", lacks),
        (upgrade.clone(), "Connection: close\r\nUpgrade: tcp\r\n", lacks),
        (format!("{ASK}0123456789"), "Upgrade: tcp\r\n", lacks),
        (upgrade.clone(), "Connection: upgrade\r\nUpgrade: other\r\n", unasked),
        (upgrade, "Connection: upgrade\r\nUpgrade: h2c\r\n", unasked),
        (plain.clone(), "Connection: upgrade\r\nUpgrade: tcp\r\n", unasked),
        (plain, "", unasked),
    ] {
        let origin = Origin::start(move |conn| {
            conn.request();
            conn.write(format!("HTTP/1.1 101 S\r\n{fields}\r\n"));
            conn.is_closed();
        });
        let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
        let answer = proxy.client().send(&request).response();
        assert_eq!(answer.status, 502);
        assert_eq!(answer.body, format!("502 Bad Gateway: {reason}\n").into_bytes());
        assert_eq!(proxy.stop().1[0].get("reason"), reason);
    }
}

#[test]
fn a_101_to_content_that_is_not_taken_is_a_502() {
    let origin = Origin::start(|conn| {
        conn.head();
        conn.write(SWITCH);
        conn.reset();
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let length = 64 * 1024 * 1024;
    let mut client = proxy.client();
    client.send(ASK.replace("Content-Length: 10", &format!("Content-Length: {length}")));
    wait_for("the head at the origin", || !origin.seen().is_empty());
    client.send(vec![b'x'; length]);
    assert_eq!(client.response().status, 502);
    drop(client);
    let rows = proxy.stop().1;
    assert_eq!(rows[0].get("status_code"), "502");
}
