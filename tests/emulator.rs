//! The emulated backend over real sockets.
#![allow(clippy::unwrap_used)] // a test that fails says where

#[path = "support/client.rs"]
mod support;

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use support::{Client, config, start};

#[test]
fn each_backend_runs_its_cycle() {
    let cycles: [(&str, &[u64]); 4] = [
        ("A", &[10, 15, 20, 400, 400, 400, 10, 15, 20, 10, 15]),
        ("B", &[200, 200]),
        ("C", &[250, 250]),
        ("Z", &[10, 15, 20]),
    ];
    let threads = cycles.map(|(id, cycle)| {
        thread::spawn(move || {
            let backend = start(&config(id));
            let mut client = Client::connect(backend.address);
            for millis in cycle {
                let begun = Instant::now();
                let answer = client.get("/any/path?q");
                assert!(begun.elapsed() >= Duration::from_millis(*millis), "{id} {millis}");
                assert_eq!(answer.status, 200);
                assert_eq!(answer.text(), format!("Hello from {id} \u{2013} simulated {millis}ms"));
                assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
                assert!(answer.field("date").is_some_and(|date| date.ends_with(" GMT") && date.len() == 29));
            }
            backend.stop().unwrap();
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_hundred_requests_wait_side_by_side() {
    let backend = start(&config("B"));
    let begun = Instant::now();
    let mut clients: Vec<Client> = (0..100).map(|_| Client::connect(backend.address)).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: b\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer().text(), "Hello from B \u{2013} simulated 200ms");
    }
    let elapsed = begun.elapsed();
    // One after the other they would take twenty seconds.
    assert!(elapsed >= Duration::from_millis(200) && elapsed < Duration::from_secs(15), "{elapsed:?}");
    backend.stop().unwrap();
}

#[test]
fn limited_concurrency_serves_in_order() {
    let mut config = config("A");
    config.latency = Some("cycle:60ms,1ms,2ms,3ms,4ms".parse().unwrap());
    config.concurrency = Some(1);
    let backend = start(&config);
    let begun = Instant::now();
    let (told, done) = std::sync::mpsc::channel();
    let mut threads = Vec::new();
    let mut first = Client::connect(backend.address);
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // The interim answer shows that a request is in; only then comes the next.
    for place in 1..5 {
        let mut client = Client::connect(backend.address);
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.answer().status, 100);
        client.send("x");
        let told = told.clone();
        threads.push(thread::spawn(move || {
            let text = client.answer().text();
            told.send((place, text)).unwrap();
        }));
    }
    assert_eq!(first.answer().text(), "Hello from A \u{2013} simulated 60ms");
    for place in 1..5 {
        // Services end a millisecond apart, which a busy machine may blur for the readers; what each was given
        // shows the order of service.
        let (who, text) = done.recv().unwrap();
        assert_eq!(text, format!("Hello from A \u{2013} simulated {who}ms"), "the {place}th to be told");
    }
    assert!(begun.elapsed() >= Duration::from_millis(60 + 1 + 2 + 3 + 4));
    for thread in threads {
        thread.join().unwrap();
    }
    backend.stop().unwrap();
}

#[test]
fn echo_returns_eight_mib_byte_for_byte() {
    let backend = start(&support::fast());
    let body: Vec<u8> =
        (0..8 * 1024 * 1024u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for chunk in [0, 1, 777, 65_536] {
        let size = if chunk == 1 { 20_000 } else { body.len() };
        let body = &body[..size];
        let mut client = Client::connect(backend.address);
        let mut sender = client.sender();
        let answer = thread::scope(|scope| {
            scope.spawn(move || {
                if chunk == 0 {
                    write!(sender, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
                        .unwrap();
                    sender.write_all(body).unwrap();
                } else {
                    write!(sender, "PUT /echo?x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                        .unwrap();
                    let mut sender = std::io::BufWriter::with_capacity(50_000, sender);
                    for piece in body.chunks(chunk) {
                        write!(sender, "{:x}\r\n", piece.len()).unwrap();
                        sender.write_all(piece).unwrap();
                        sender.write_all(b"\r\n").unwrap();
                    }
                    sender.write_all(b"0\r\n\r\n").unwrap();
                    sender.flush().unwrap();
                }
            });
            client.answer()
        });
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("transfer-encoding"), (chunk != 0).then_some("chunked"));
        assert!(answer.body == body, "chunks of {chunk}");
        assert_eq!(client.get("/").status, 200, "the connection goes on");
    }
    backend.stop().unwrap();
}

#[test]
fn echo_of_nothing_is_empty() {
    let backend = start(&support::fast());
    let mut client = Client::connect(backend.address);
    for request in [
        "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        client.send(request);
        let answer = client.answer();
        assert_eq!((answer.status, answer.body.len()), (200, 0));
    }
    backend.stop().unwrap();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut delayed = config("A");
    delayed.latency = Some("cycle:20ms,0ms,0ms,1ms,0ms".parse().unwrap());
    for config in [delayed, support::fast()] {
        let backend = start(&config);
        let mut client = Client::connect(backend.address);
        let mut requests = String::new();
        for place in 0..200 {
            match place % 4 {
                0 => requests.push_str("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                1 => requests.push_str(&format!(
                    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{place:03}"
                )),
                2 => requests.push_str("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
                _ => requests.push_str(
                    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\nA: b\r\n\r\n",
                ),
            }
        }
        client.send(&requests);
        for place in 0..200 {
            let answer = if place % 4 == 2 { client.answer_to_head() } else { client.answer() };
            assert_eq!(answer.status, 200, "{place}");
            match place % 4 {
                1 => assert_eq!(answer.text(), format!("{place:03}")),
                2 => assert!(answer.body.is_empty()),
                _ => assert!(answer.text().starts_with("Hello from A")),
            }
        }
        backend.stop().unwrap();
    }
}

#[test]
fn head_has_the_fields_of_get_and_no_content() {
    let backend = start(&config("B"));
    let mut client = Client::connect(backend.address);
    client.send("HEAD / HTTP/1.1\r\nHost: b\r\n\r\n");
    let answer = client.answer_to_head();
    let length = "Hello from B \u{2013} simulated 200ms".len().to_string();
    assert_eq!(answer.field("content-length"), Some(length.as_str()));
    assert_eq!(client.get("/").text().len().to_string(), length);
    backend.stop().unwrap();
}

#[test]
fn the_expectation_is_met_before_the_body() {
    let backend = start(&support::fast());
    for path in ["/", "/echo"] {
        let mut client = Client::connect(backend.address);
        client.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        ));
        assert_eq!(client.answer().status, 100);
        client.send("body");
        let answer = client.answer();
        assert_eq!(answer.status, 200);
        assert!(path == "/" || answer.body == b"body");
        client.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody"
        ));
        assert_eq!(client.answer().status, 200, "the body came along: no interim answer");
    }
    backend.stop().unwrap();
}

#[test]
fn failures_follow_the_seed() {
    let run = |seed, fail_rate| -> Vec<(u16, String)> {
        let mut config = config("A");
        config.latency = Some("uniform:min=0ms,max=0.2ms".parse().unwrap());
        (config.seed, config.fail_rate) = (Some(seed), fail_rate);
        let backend = start(&config);
        let mut client = Client::connect(backend.address);
        let answers =
            (0..200).map(|_| client.get("/")).map(|answer| (answer.status, answer.text())).collect();
        backend.stop().unwrap();
        answers
    };
    let (first, again, other) = (run(7, 0.3), run(7, 0.3), run(8, 0.3));
    assert_eq!(first, again);
    assert_ne!(first, other);
    let failed = first.iter().filter(|(status, _)| *status == 500).count();
    assert!((30..=90).contains(&failed), "{failed}");
    assert!(first.iter().all(|(status, text)| (*status == 500) == text.starts_with("Failure from A")));
    let millis = |(_, text): &(u16, String)| text.rsplit(' ').next().map(str::to_owned);
    assert!(
        first.iter().map(millis).eq(run(7, 0.0).iter().map(millis)),
        "latencies do not depend on failures"
    );
    assert!(run(7, 1.0).iter().all(|(status, _)| *status == 500));
}

#[test]
fn bad_requests_get_400_and_the_end() {
    let backend = start(&support::fast());
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}nonsense", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ] {
        let mut client = Client::connect(backend.address);
        client.send(request);
        let answer = client.answer();
        assert_eq!(answer.status, status, "{request:?}");
        assert_eq!(answer.field("connection"), Some("close"));
        assert!(client.is_at_end());
    }
    // What came before a bad request is answered first.
    let mut client = Client::connect(backend.address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((client.answer().status, client.answer().status), (200, 400));
    assert!(client.is_at_end());
    backend.stop().unwrap();
}

#[test]
fn content_has_the_length_asked_for() {
    for length in [0u64, 1, 200, 4096, 4097, 3_000_001] {
        let mut config = support::fast();
        config.body_bytes = Some(length);
        let backend = start(&config);
        let mut client = Client::connect(backend.address);
        for _ in 0..2 {
            let answer = client.get("/");
            assert_eq!(answer.field("content-length"), Some(length.to_string().as_str()));
            assert_eq!(answer.body.len() as u64, length);
            let right = answer.body.iter().enumerate();
            assert!(
                right.into_iter().all(|(at, byte)| *byte == tidegate::serve::pattern::byte_at(at as u64))
            );
        }
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer_to_head().field("content-length"), Some(length.to_string().as_str()));
        backend.stop().unwrap();
    }
}

#[test]
fn connections_persist_as_the_version_says() {
    let backend = start(&support::fast());
    let mut client = Client::connect(backend.address);
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.answer().field("connection"), Some("keep-alive"));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().field("connection"), Some("close"));
    assert!(client.is_at_end());
    let mut client = Client::connect(backend.address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().field("connection"), Some("close"));
    assert!(client.is_at_end());
    // Half-closed clients are answered all the same.
    let mut client = Client::connect(backend.address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.finish();
    assert_eq!(client.answer().status, 200);
    assert!(client.is_at_end());
    backend.stop().unwrap();
}

#[test]
fn a_drain_lets_answers_finish() {
    let backend = start(&config("B"));
    let (mut busy, mut idle) = (Client::connect(backend.address), Client::connect(backend.address));
    busy.send("POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(busy.answer().status, 100);
    busy.send("x");
    backend.control.drain_or_stop();
    assert!(idle.is_at_end());
    assert_eq!(busy.answer().text(), "Hello from B \u{2013} simulated 200ms");
    assert!(busy.is_at_end());
    backend.join().unwrap();
}

#[test]
fn an_address_in_use_is_refused_at_the_start() {
    let backend = start(&support::fast());
    let mut config = support::fast();
    config.listen = backend.address;
    assert_eq!(tidegate::emulator::start(&config).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    backend.stop().unwrap();
}
