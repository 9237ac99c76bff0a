//! What tidegate and its tokio variant must both do, asked of the two binaries in the same words.
//!
//! Real sockets on loopback, ports from the kernel; origins are threads of this test with a script each.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers are not #[test] functions

#[path = "../../../tests/support/pace.rs"]
mod pace;
mod support;

use std::time::{Duration, Instant};

use pace::undisturbed;
use support::{Binary, Client, Origin, Proxy, each_binary};

#[test]
fn get_passes_with_the_fields_a_proxy_owes() {
    each_binary(|binary| {
        let origin = Origin::start(|request| {
            assert!(request.head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{}", request.head);
            for (name, value) in [("host", "example.org"), ("via", "1.1 tidegate"), ("x-one", "1")] {
                assert_eq!(request.field(name).as_deref(), Some(value), "{}", request.head);
            }
            assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
            assert_eq!(request.field("x-hop"), None);
            assert_eq!(request.field("keep-alive"), None);
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Two: 2\r\nConnection: x-back\r\nX-Back: 1\r\n\r\nhello"
                .into()
        });
        let proxy = Proxy::start(binary, &[&origin], &[]);
        let mut client = Client::connect(&proxy);
        client.send(
            "GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nX-One: 1\r\nX-Hop: 1\r\nConnection: x-hop, keep-alive\r\n\
             Keep-Alive: timeout=5\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
        );
        let answer = client.answer(true);
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"hello"[..]));
        assert_eq!(answer.field("x-two").as_deref(), Some("2"));
        assert_eq!(answer.field("via").as_deref(), Some("1.1 tidegate"));
        assert_eq!(answer.field("x-back"), None);
        assert!(answer.field("date").is_some());
    });
}

#[test]
fn bodies_pass_both_ways_by_length_and_by_chunks() {
    each_binary(|binary| {
        let origin = Origin::start(|request| {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            match request.field("transfer-encoding") {
                None => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
                Some(_) => {
                    format!(
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                        body.len()
                    )
                }
            }
        });
        let proxy = Proxy::start(binary, &[&origin], &[]);
        let mut client = Client::connect(&proxy);
        let large = "tide".repeat(100_000);
        client.send(&format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{large}", large.len()));
        let answer = client.answer(true);
        assert_eq!((answer.status, answer.body.len()), (200, large.len()));
        assert!(answer.body == large.as_bytes());
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
        let answer = client.answer(true);
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"abcdefg"[..]));
        assert_eq!(answer.field("transfer-encoding").as_deref(), Some("chunked"));
    });
}

#[test]
fn head_has_a_length_and_no_body() {
    each_binary(|binary| {
        let origin = Origin::start(|_| "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n".into());
        let proxy = Proxy::start(binary, &[&origin], &[]);
        let mut client = Client::connect(&proxy);
        for _ in 0..3 {
            client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
            let answer = client.answer(false);
            assert_eq!((answer.status, answer.field("content-length").as_deref()), (200, Some("99")));
        }
    });
}

#[test]
fn both_sides_are_kept_and_pipelined_requests_are_answered_in_order() {
    each_binary(|binary| {
        let origin = Origin::start(|request| {
            let target = request.head.split(' ').nth(1).unwrap_or_default().to_owned();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len())
        });
        let proxy = Proxy::start(binary, &[&origin], &[]);
        let mut client = Client::connect(&proxy);
        client.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.answer(true).body, b"/1");
        assert_eq!(client.answer(true).body, b"/2");
        client.send("GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(client.answer(true).body, b"/3");
        assert!(client.is_closed());
        assert_eq!(origin.connections(), 1);
    });
}

#[test]
fn an_old_client_gets_a_body_that_ends_with_the_connection() {
    each_binary(|binary| {
        let origin = Origin::start(|_| {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n".into()
        });
        let proxy = Proxy::start(binary, &[&origin], &[]);
        let mut client = Client::connect(&proxy);
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert!(client.rest().ends_with(b"\r\n\r\nhi"));
    });
}

#[test]
fn non_persistent_dials_for_each_request_and_may_close_the_client_too() {
    each_binary(|binary| {
        let origin = Origin::start(|request| {
            assert_eq!(request.field("connection").as_deref(), Some("close"));
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".into()
        });
        let proxy = Proxy::start(binary, &[&origin], &["--upstream", "non-persistent"]);
        let mut client = Client::connect(&proxy);
        for _ in 0..3 {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(client.answer(true).status, 200);
        }
        assert_eq!(origin.connections(), 3);

        let flags = ["--upstream", "non-persistent", "--client-keepalive", "off"];
        let proxy = Proxy::start(binary, &[&origin], &flags);
        let mut client = Client::connect(&proxy);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = client.answer(true);
        assert_eq!(answer.field("connection").as_deref(), Some("close"));
        assert!(client.is_closed());
    });
}

#[test]
fn a_backend_that_refuses_is_502_and_one_that_is_silent_504() {
    each_binary(|binary| {
        let refusing = Origin::refusing();
        let proxy = Proxy::start(binary, &[&refusing], &[]);
        let mut client = Client::connect(&proxy);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.answer(true).status, 502);
        let rows = proxy.stop();
        assert_eq!((rows.len(), rows[0]["status_code"].as_str()), (1, "502"));

        let silent = Origin::start(|_| {
            std::thread::sleep(Duration::from_secs(3));
            String::new()
        });
        let proxy = Proxy::start(binary, &[&silent], &["--upstream-timeout", "200ms"]);
        let mut client = Client::connect(&proxy);
        let before = Instant::now();
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.answer(true).status, 504);
        // The default is 10 s.
        assert!(before.elapsed() >= Duration::from_millis(190) && before.elapsed() < Duration::from_secs(9));
        let rows = proxy.stop();
        assert_eq!((rows.len(), rows[0]["status_code"].as_str()), (1, "504"));
    });
}

#[test]
fn a_pooled_connection_that_the_backend_closed_costs_no_request() {
    each_binary(|binary| {
        let origin =
            Origin::start(|_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into()).closing_after(1);
        let proxy = Proxy::start(binary, &[&origin], &[]);
        let mut client = Client::connect(&proxy);
        for served in 1..=20 {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(client.answer(true).status, 200);
            // A request that crosses the close is another matter: only tidegate sends it again (tests/faults).
            origin.await_closed(served);
        }
    });
}

#[test]
fn every_answer_has_its_row_and_round_robin_its_turns() {
    each_binary(|binary| {
        let answer = |_: &support::Request| "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_owned();
        let origins = [Origin::start(answer), Origin::start(answer), Origin::start(answer)];
        let backends: Vec<&Origin> = origins.iter().collect();
        let proxy = Proxy::start(binary, &backends, &["--routing", "round-robin"]);
        let mut client = Client::connect(&proxy);
        for n in 0..9 {
            client.send(&format!("GET /n?{n} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert_eq!(client.answer(true).body, b"abc");
        }
        let rows = proxy.stop();
        assert_eq!(rows.len(), 9);
        for (n, row) in rows.iter().enumerate() {
            assert_eq!(row["backend_url"], origins[n % 3].url());
            assert_eq!((row["status_code"].as_str(), row["routing_mode"].as_str()), ("200", "round-robin"));
            assert_eq!((row["method"].as_str(), row["path"].as_str()), ("GET", format!("/n?{n}").as_str()));
            assert_eq!((row["attempts"].as_str(), row["reason"].as_str()), ("1", "ok"));
            assert_eq!(row["reused"], if n < 3 { "0" } else { "1" });
            assert!(row["latency_ms"].parse::<f64>().unwrap() > 0.0);
        }
    });
}

#[test]
fn the_adaptive_modes_probe_each_backend_and_settle_on_the_best() {
    for routing in ["adaptive_sma", "adaptive_ewma"] {
        // Which one is the best is measured: a machine that stands still makes it another.
        undisturbed(Duration::from_millis(25), || each_binary(|binary| settles_on_the_best(binary, routing)));
    }
}

fn settles_on_the_best(binary: Binary, routing: &str) {
    let delayed = |millis| {
        Origin::start(move |_| {
            std::thread::sleep(Duration::from_millis(millis));
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into()
        })
    };
    let origins = [delayed(100), delayed(5), delayed(100)];
    let backends: Vec<&Origin> = origins.iter().collect();
    let proxy = Proxy::start(binary, &backends, &["--routing", routing]);
    let mut client = Client::connect(&proxy);
    for _ in 0..10 {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.answer(true).status, 200);
    }
    let rows = proxy.stop();
    let chosen: Vec<String> = rows.iter().map(|row| row["backend_url"].clone()).collect();
    let took: Vec<&str> = rows.iter().map(|row| row["latency_ms"].as_str()).collect();
    let expected: Vec<String> = [0, 1, 2, 1, 1, 1, 1, 1, 1, 1].iter().map(|i| origins[*i].url()).collect();
    assert_eq!(chosen, expected, "{routing}: {took:?} ms");
}
