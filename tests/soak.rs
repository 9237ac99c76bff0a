//! A minute of everything at once: twenty kinds of traffic, every body verified, and nothing left behind.
//!
//! `SOAK_SECONDS=60 cargo test --test soak -- --ignored --nocapture`
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is a failed test
#![allow(unreachable_pub, missing_docs)]

#[allow(unused_imports)] // no origin of the usual kind here
mod support;

#[path = "support/child.rs"]
mod child;
#[path = "soak/origin.rs"]
mod origin;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use child::Process;
use origin::pattern;
use support::{Client, End, message, wait_for};

/// Threads of each kind.
const EACH: usize = 2;
const LARGE: usize = 1024 * 1024;

/// One exchange of some kind, on a connection that may be new or kept, with a number of its own.
type Kind = fn(&mut Option<Client>, SocketAddr, usize);

const KINDS: &[(&str, Kind)] = &[
    ("small", |client, to, id| get(client, to, "length", id, id % 3000)),
    ("large", |client, to, id| get(client, to, "length", id, LARGE + id % 1000)),
    ("chunks", |client, to, id| get(client, to, "chunks", id, id % 20_000)),
    ("large chunks", |client, to, id| get(client, to, "chunks", id, LARGE)),
    ("to the close", |client, to, id| get(client, to, "close", id, id % 50_000)),
    ("a close announced", |client, to, id| get(client, to, "last", id, 500)),
    ("interim", |client, to, id| get(client, to, "interim", id, 1000)),
    ("empty", |client, to, id| get(client, to, "length", id, 0)),
    ("HEAD", head),
    ("204", no_content),
    ("POST", |client, to, id| send(client, to, "POST", id, id % 5000)),
    ("large PUT", |client, to, id| send(client, to, "PUT", id, 300_000 + id % 1000)),
    ("POST in chunks", post_chunks),
    ("expecting 100", expecting),
    ("pipelined", pipelined),
    ("a connection each", connection_each),
    ("HTTP/1.0", http10),
    ("slow reader", slow_reader),
    ("vanishing", vanishing),
    ("tunnel", tunnel),
    ("bad request", bad_request),
    ("half-closed", half_closed),
];

#[test]
#[ignore = "a minute"]
fn soak() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let origins = [(); 3].map(|()| origin::start().to_string());
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log.csv");
    let mut words = vec!["--log", log.to_str().unwrap(), "--admin", "none", "--upstream-idle-timeout", "1s"];
    origins.iter().for_each(|origin| words.extend(["--backend", origin]));
    let mut proxy = Process::start(&words);
    let bare = proxy.descriptors();
    traffic(proxy.address, Duration::from_secs(seconds).mul_f64(0.2));
    settled(&proxy, bare);
    let (memory, cpu) = (proxy.resident_kib(), proxy.cpu());
    let begun = Instant::now();
    let counts = traffic(proxy.address, Duration::from_secs(seconds));
    let took = begun.elapsed();
    settled(&proxy, bare);
    let after = proxy.resident_kib();
    println!("{counts:#?}");
    println!(
        "{} exchanges in {took:?}, 0 mismatches, {:?} of CPU; memory {memory} KiB before, {after} KiB after; \
         descriptors {bare} before and after",
        counts.values().sum::<usize>(),
        proxy.cpu() - cpu
    );
    assert!(counts.values().all(|count| *count > 0), "{counts:?}");
    assert!(after < memory + memory / 5 + 2048, "{memory} KiB before, {after} KiB after");
    proxy.signal(rustix::process::Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
}

/// All kinds at once for so long; how many exchanges of each.
fn traffic(to: SocketAddr, time: Duration) -> BTreeMap<&'static str, usize> {
    let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = KINDS
        .iter()
        .flat_map(|kind| [kind; EACH])
        .map(|(name, exchange)| {
            let (stop, next) = (stop.clone(), next.clone());
            let thread = std::thread::spawn(move || {
                let (mut client, mut count) = (None, 0);
                while !stop.load(Ordering::Relaxed) {
                    exchange(&mut client, to, next.fetch_add(1, Ordering::Relaxed));
                    count += 1;
                }
                count
            });
            (*name, thread)
        })
        .collect();
    std::thread::sleep(time); // the length of the run is what was asked for
    stop.store(true, Ordering::Relaxed);
    let mut counts = BTreeMap::new();
    for (name, thread) in threads {
        *counts.entry(name).or_default() += thread.join().unwrap_or_else(|_| panic!("{name} failed"));
    }
    counts
}

/// Waits until nothing is open that was not at the start.
fn settled(proxy: &Process, descriptors: usize) {
    wait_for("connections to be closed", || proxy.descriptors() <= descriptors);
}

fn kept(client: &mut Option<Client>, to: SocketAddr) -> &mut Client {
    client.get_or_insert_with(|| Client::connect(to))
}

fn verify(response: &message::Response, id: usize, len: usize) {
    assert_eq!(response.status, 200);
    assert_eq!(response.body.len(), len, "{id}");
    assert!(response.body == pattern(id, len), "{id}: another body of the same length");
}

fn get(client: &mut Option<Client>, to: SocketAddr, how: &str, id: usize, len: usize) {
    let client = kept(client, to);
    let mut response = client.get(&format!("/{how}/{id}/{len}"));
    while response.status == 103 {
        response = client.response();
    }
    verify(&response, id, len);
}

fn head(client: &mut Option<Client>, to: SocketAddr, id: usize) {
    let client = kept(client, to);
    client.send(format!("HEAD /length/{id}/1234 HTTP/1.1\r\nHost: h\r\n\r\n"));
    let response = client.response_to("HEAD");
    assert_eq!((response.status, response.field("Content-Length")), (200, Some("1234")));
}

fn no_content(client: &mut Option<Client>, to: SocketAddr, id: usize) {
    let response = kept(client, to).get(&format!("/none/{id}/0"));
    assert_eq!((response.status, response.body.len()), (204, 0));
}

fn send(client: &mut Option<Client>, to: SocketAddr, method: &str, id: usize, len: usize) {
    let client = kept(client, to);
    client.send(format!("{method} /echo/{id}/{len} HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n"));
    let response = client.send(pattern(id, len)).response();
    verify(&response, id, len);
}

fn post_chunks(client: &mut Option<Client>, to: SocketAddr, id: usize) {
    let (client, len) = (kept(client, to), 1 + id % 9000);
    client.send(format!("POST /echo/{id}/{len} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for piece in pattern(id, len).chunks(1 + id % 777) {
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        client.send(chunk).send("\r\n");
    }
    let response = client.send("0\r\n\r\n").response();
    verify(&response, id, len);
}

fn expecting(client: &mut Option<Client>, to: SocketAddr, id: usize) {
    let client = kept(client, to);
    client.send(format!(
        "POST /echo/{id}/2000 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n"
    ));
    assert_eq!(client.response().status, 100);
    let response = client.send(pattern(id, 2000)).response();
    verify(&response, id, 2000);
}

fn pipelined(client: &mut Option<Client>, to: SocketAddr, id: usize) {
    let client = kept(client, to);
    let requests: String = (0..10)
        .map(|place| format!("GET /length/{}/{} HTTP/1.1\r\nHost: h\r\n\r\n", id + place, 100 * place))
        .collect();
    client.send(requests);
    for place in 0..10 {
        let response = client.response();
        verify(&response, id + place, 100 * place);
    }
}

fn connection_each(_: &mut Option<Client>, to: SocketAddr, id: usize) {
    let mut client = Client::connect(to);
    client.send(format!("GET /length/{id}/700 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    verify(&client.response(), id, 700);
    assert_eq!(client.read_to_end(), (Vec::new(), End::Closed));
}

fn http10(_: &mut Option<Client>, to: SocketAddr, id: usize) {
    let mut client = Client::connect(to);
    client.send(format!("GET /chunks/{id}/7000 HTTP/1.0\r\n\r\n"));
    let (seen, end) = client.read_to_end();
    let (response, len) = message::Response::parse(&seen, "GET", end == End::Closed).unwrap();
    assert_eq!(len, seen.len());
    verify(&response, id, 7000);
}

fn slow_reader(client: &mut Option<Client>, to: SocketAddr, id: usize) {
    let client = kept(client, to);
    client.send(format!("GET /length/{id}/{LARGE} HTTP/1.1\r\nHost: h\r\n\r\n"));
    for part in 1..=8 {
        assert!(client.read_until(|seen| seen.len() >= part * LARGE / 8));
        std::thread::sleep(Duration::from_millis(10)); // slowness is the point
    }
    verify(&client.response(), id, LARGE);
}

fn vanishing(_: &mut Option<Client>, to: SocketAddr, id: usize) {
    let mut client = Client::connect(to);
    client.send(format!("GET /length/{id}/{LARGE} HTTP/1.1\r\nHost: h\r\n\r\n"));
    if !id.is_multiple_of(3) {
        client.read_until(|seen| seen.len() > id % 50_000);
    }
    if id.is_multiple_of(2) {
        client.reset();
    }
}

fn tunnel(_: &mut Option<Client>, to: SocketAddr, id: usize) {
    let mut client = Client::connect(to);
    client.send(format!(
        "GET /tunnel/{id}/0 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
    ));
    assert_eq!(client.response().status, 101);
    for round in 0..5 {
        let sent = pattern(id + round, 3000);
        client.send(&sent);
        assert!(client.read_until(|seen| seen.len() >= sent.len()));
        assert!(std::mem::take(&mut client.seen) == sent, "{id}: the tunnel changed a byte");
    }
    assert_eq!(client.finish().read_to_end(), (Vec::new(), End::Closed));
}

fn bad_request(_: &mut Option<Client>, to: SocketAddr, id: usize) {
    let mut client = Client::connect(to);
    client.send(format!(
        "GET /length/{id}/9 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
    ));
    assert_eq!(client.response().status, 400);
    assert_eq!(client.read_to_end().1, End::Closed);
}

fn half_closed(_: &mut Option<Client>, to: SocketAddr, id: usize) {
    let mut client = Client::connect(to);
    client.send(format!("GET /chunks/{id}/3000 HTTP/1.1\r\nHost: h\r\n\r\n")).finish();
    verify(&client.response(), id, 3000);
    assert_eq!(client.read_to_end(), (Vec::new(), End::Closed));
}
