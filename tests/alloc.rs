//! In the steady state a request costs no heap allocation: not on the reactor, not on the log's thread.
//!
//! Alone in its binary, because the allocator belongs to the whole process. Threads of the test itself say so and are
//! not counted; all others are the proxy's. The counts shown twice a second are not a request's and are allowed for.

#![allow(unsafe_code)] // a global allocator cannot be written without; it hands everything on to the system's
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic is a verdict

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidegate::balance::Routing;
use tidegate::config::{BackendConfig, ProxyConfig, UpstreamMode};
use tidegate::run::start_proxy;

/// Allocations by threads of the proxy.
static COUNTED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that is ending has no locals left, and is none that serves requests.
    if IS_OURS.try_with(Cell::get) == Ok(false) {
        COUNTED.fetch_add(1, Ordering::Relaxed);
    }
}

const CLIENTS: usize = 4;
const REQUESTS_EACH: u64 = 2_000;
/// What showing the counts, twice a second, may allocate each time.
const PER_SHOWING: u64 = 100;
const SHOWN_EVERY: Duration = Duration::from_millis(500);

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: o\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\n01234567890123456789";
const REQUEST: &[u8] =
    b"GET /some/path?a=b HTTP/1.1\r\nHost: localhost:9090\r\nUser-Agent: alloc\r\nAccept: */*\r\n\r\n";

/// An origin that serves a few connections at a time with threads that are there from the start.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for _ in 0..2 * CLIENTS {
        let listener = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            IS_OURS.set(true);
            loop {
                let (mut conn, _) = listener.accept().unwrap();
                let mut bytes = [0u8; 4096];
                // One request a read: the proxy sends each head in one piece, and waits for its answer.
                while matches!(conn.read(&mut bytes), Ok(count) if count > 0)
                    && conn.write_all(ANSWER).is_ok()
                {}
            }
        });
    }
    address
}

fn drive(proxy: SocketAddr, requests: u64) {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            std::thread::spawn(move || {
                IS_OURS.set(true);
                let mut conn = TcpStream::connect(proxy).unwrap();
                let mut bytes = [0u8; 4096];
                for _ in 0..requests {
                    conn.write_all(REQUEST).unwrap();
                    let mut len = 0;
                    while !bytes[..len].ends_with(b"01234567890123456789") {
                        let count = conn.read(&mut bytes[len..]).unwrap();
                        assert!(count > 0, "the proxy closed on us");
                        len += count;
                    }
                    assert!(bytes.starts_with(b"HTTP/1.1 200 "), "{}", bytes[..len].escape_ascii());
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
}

fn allocations_in(upstream: UpstreamMode, routing: Routing) {
    let directory = tempfile::tempdir().unwrap();
    let config = ProxyConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        backends: (0..3).map(|_| BackendConfig::at(origin())).collect(),
        upstream,
        routing,
        log: Some(directory.path().join("rows.csv")),
        admin: None,
        ..ProxyConfig::default()
    };
    let proxy = start_proxy(config, || {}).unwrap_or_else(|failure| panic!("{failure}"));
    drive(proxy.address, 500); // free lists, slabs and batches fill
    let (before, started) = (COUNTED.load(Ordering::Relaxed), Instant::now());
    drive(proxy.address, REQUESTS_EACH);
    let counted = COUNTED.load(Ordering::Relaxed) - before;
    let showings = started.elapsed().div_duration_f64(SHOWN_EVERY) as u64 + 1;
    let requests = CLIENTS as u64 * REQUESTS_EACH;
    println!("{upstream:?} {routing}: {counted} allocations for {requests} requests, {showings} showings");
    // The clients that come and go between the two drives cost a few of their own.
    assert!(counted <= showings * PER_SHOWING + 10 * CLIENTS as u64, "{counted} in {requests} requests");
    assert!(counted * 4 < requests, "the showings hide what the requests cost");
    proxy.stop().unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_request_allocates_nothing() {
    IS_OURS.set(true);
    for routing in [Routing::Elastic, Routing::AdaptiveEwma] {
        allocations_in(UpstreamMode::Persistent, routing);
        allocations_in(UpstreamMode::NonPersistent, routing);
    }
}
