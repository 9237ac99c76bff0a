//! Which connection a request goes out on, and what happens when it has died in the pool.

use std::time::Duration;

use tidegate::config::UpstreamMode;

use super::support::message::field;
use super::support::{Client, End, Origin, OriginConn, ProxyUnderTest, wait_for};

fn connections(origin: &Origin) -> Vec<usize> {
    origin.seen().iter().map(|arrival| arrival.connection).collect()
}

#[test]
fn one_upstream_connection_serves_request_after_request() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = proxy.client();
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.get(path).body, path.as_bytes());
    }
    assert_eq!(proxy.client().get("/4").body, b"/4");
    assert_eq!(connections(&origin), [0; 4]);
    drop(client);
    let (figures, rows) = proxy.stop();
    let reused: Vec<String> = rows.iter().map(|row| row.get("reused")).collect();
    assert_eq!(reused, ["0", "1", "1", "1"]);
    assert_eq!(figures.counters.clients_accepted, 2);
}

#[test]
fn clients_at_once_need_connections_each() {
    let origin = Origin::start(|conn| {
        while conn.request().is_some() {
            conn.answer("ok");
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut clients: Vec<_> = (0..5).map(|_| proxy.client()).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.response().status, 200);
        }
    }
    assert!(origin.connections() <= 5, "{} connections", origin.connections());
}

#[test]
fn non_persistent_mode_dials_afresh_and_says_so() {
    let origin = Origin::echo_path();
    let proxy =
        ProxyUnderTest::start(&[origin.address], |config| config.upstream = UpstreamMode::NonPersistent);
    let mut client = proxy.client();
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.get(path).body, path.as_bytes());
    }
    assert_eq!(connections(&origin), [0, 1, 2]);
    assert!(origin.seen().iter().all(|arrival| field(&arrival.bytes, "Connection") == Some("close")));
}

#[test]
fn non_persistent_connections_are_closed_by_the_proxy() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::start(move |conn| {
        conn.request();
        conn.answer("ok"); // and does not close
        tell.lock().unwrap().send(conn.is_closed()).unwrap();
    });
    let proxy =
        ProxyUnderTest::start(&[origin.address], |config| config.upstream = UpstreamMode::NonPersistent);
    assert_eq!(proxy.client().get("/").status, 200);
    assert!(told.recv().unwrap());
}

#[test]
fn client_connections_can_be_switched_off() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::start(&[origin.address], |config| config.client_keepalive = false);
    for path in ["/1", "/2"] {
        let mut client = proxy.client();
        assert_eq!(client.get(path).field("Connection"), Some("close"));
        assert_eq!(client.read_to_end(), (vec![], End::Closed));
    }
    assert_eq!(connections(&origin), [0, 0], "which says nothing of the other side");
}

/// Its first connection takes one request, and dies with the next on it.
fn dies_on_its_second_request() -> Origin {
    Origin::start(|conn: &mut OriginConn| {
        if conn.index == 0 {
            conn.request();
            conn.answer("first");
            conn.request();
            return;
        }
        while conn.request().is_some() {
            conn.answer("fresh");
        }
    })
}

#[test]
fn a_get_on_a_connection_that_died_is_sent_again() {
    let origin = dies_on_its_second_request();
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = proxy.client();
    assert_eq!(client.get("/1").body, b"first");
    assert_eq!(client.get("/2").body, b"fresh");
    assert_eq!(connections(&origin), [0, 0, 1]);
    assert_eq!(origin.lines()[1..], ["GET /2 HTTP/1.1", "GET /2 HTTP/1.1"]);
    drop(client);
    let (_, rows) = proxy.stop();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[1].get("status_code"), rows[1].get("attempts")), ("200".to_owned(), "2".to_owned()));
}

#[test]
fn a_put_with_its_body_is_sent_again_whole() {
    let origin = dies_on_its_second_request();
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.get("/1");
    let answer = client.send("PUT /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").response();
    assert_eq!(answer.body, b"fresh");
    let seen = origin.seen();
    assert_eq!(seen[1].bytes, seen[2].bytes);
    assert!(seen[2].bytes.ends_with(b"\r\n\r\nhello"));
}

#[test]
fn a_post_on_a_connection_that_died_is_never_sent_again() {
    let origin = dies_on_its_second_request();
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.get("/1");
    let answer = client.send("POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").response();
    assert_eq!(answer.status, 502);
    assert_eq!(connections(&origin), [0, 0]);
    drop(client);
    let (_, rows) = proxy.stop();
    assert_eq!(rows[1].get("reason"), "upstream_closed");
}

#[test]
fn a_post_behind_an_unannounced_close_goes_by_a_connection_that_has_proven_itself() {
    let origin = Origin::start(|conn| {
        conn.request();
        conn.answer("the only one");
        conn.request();
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.get("/1");
    client.get("/2"); // on the first connection in vain, and then on a second one
    let answer = client.send("POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").response();
    assert_eq!((answer.status, answer.body), (200, b"the only one".to_vec()));
    assert_eq!(connections(&origin), [0, 0, 1, 2]);
}

#[test]
fn a_connection_that_dies_in_the_pool_is_not_used() {
    let origin = Origin::start(|conn| {
        conn.request();
        conn.answer(&conn.index.to_string());
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    for index in 0..20 {
        // Even a POST goes through, unless the close is still on its way: nothing was sent on the dead one.
        assert_eq!(client.get("/").body, index.to_string().as_bytes());
    }
}

#[test]
fn an_idle_upstream_connection_is_closed_in_time() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::start(move |conn| {
        conn.request();
        conn.answer("ok");
        tell.lock().unwrap().send(conn.is_closed()).unwrap();
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.timeouts.upstream_idle = Duration::from_millis(100);
    });
    let mut client = proxy.client();
    assert_eq!(client.get("/").status, 200);
    assert!(told.recv().unwrap());
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("a second connection", || origin.connections() == 2);
}

#[test]
fn request_ids_are_made_where_there_are_none_and_are_all_different() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::start(&[origin.address], |config| config.request_id = true);
    let mut client = proxy.client();
    for _ in 0..20 {
        client.get("/");
    }
    let mut ids: Vec<String> = origin
        .seen()
        .iter()
        .map(|arrival| field(&arrival.bytes, "X-Request-Id").unwrap().to_owned())
        .collect();
    assert!(
        ids.iter().all(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())),
        "{ids:?}"
    );
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[test]
fn a_client_by_ipv6_is_named_in_brackets() {
    let origin = Origin::echo_path();
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return; // a machine without IPv6
    }
    let proxy = ProxyUnderTest::start(&[origin.address], |config| config.listen = "[::1]:0".parse().unwrap());
    assert_eq!(proxy.client().get("/").status, 200);
    let seen = origin.seen();
    assert_eq!(field(&seen[0].bytes, "X-Forwarded-For"), Some("::1"));
    assert_eq!(field(&seen[0].bytes, "Forwarded"), Some("for=\"[::1]\";proto=http;host=\"h\""));
}

#[test]
fn a_client_of_ipv4_is_one_for_a_listener_of_ipv6_too() {
    if std::net::TcpListener::bind("[::]:0").is_err() {
        return; // no IPv6 here
    }
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| {
        config.listen = "[::]:0".parse().unwrap();
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let mut client = Client::connect(([127, 0, 0, 1], proxy.address.port()).into());
    client.send("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(field(&origin.seen()[0].bytes, "X-Forwarded-For"), Some("192.0.2.1, 127.0.0.1"));
    assert!(proxy.stop().1[0].get("client").starts_with("127.0.0.1:"));
}
