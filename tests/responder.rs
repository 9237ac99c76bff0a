//! What the responder does with clients that dawdle, and with content of each kind.
#![allow(clippy::unwrap_used)] // a test that fails says where

#[path = "support/client.rs"]
mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::Client;
use tidegate::clock::Time;
use tidegate::serve::{self, Content, Handler, Reply, Request, Running, Settings};

static LARGE: [u8; 300_000] = [b's'; 300_000];

/// Shows each kind of content at a path of its own, and what it saw of the request.
struct Gallery {
    shared: Arc<[u8]>,
}

impl Handler for Gallery {
    fn request(&mut self, request: &Request<'_>, text: &mut Vec<u8>, _now: Time) -> Reply {
        let (status, content) = match request.path() {
            b"/static" => (200, Content::Static(&LARGE)),
            b"/short" => (200, Content::Static(b"short")),
            b"/shared" => (200, Content::Shared(self.shared.clone())),
            b"/nothing" => (204, Content::Text),
            b"/endless" => (200, Content::Fill(1 << 40)),
            path => {
                text.extend_from_slice(path);
                text.push(b' ');
                text.extend_from_slice(request.query());
                text.push(b' ');
                text.extend_from_slice(request.field("x-name").unwrap_or(b"-"));
                (200, Content::Text)
            }
        };
        let delay = if request.query() == b"late" { Duration::from_millis(30) } else { Duration::ZERO };
        Reply { status, fields: "".into(), content, delay }
    }
}

fn gallery(settings: Settings) -> Running {
    let gallery = Gallery { shared: (0..200_000u32).map(|at| at as u8).collect() };
    serve::start("gallery", SocketAddr::from(([127, 0, 0, 1], 0)), settings, gallery).unwrap()
}

/// Every patience is over at once, but with those who have not begun.
fn hasty() -> Settings {
    let (soon, idle) = (Duration::from_millis(40), Duration::from_secs(600));
    Settings { idle, head: soon, body: soon, write: soon, linger: soon, ..Settings::default() }
}

#[test]
fn every_kind_of_content_arrives_whole() {
    let running = gallery(Settings::default());
    let mut client = Client::connect(running.address);
    for late in ["", "?late"] {
        assert!(client.get(&format!("/static{late}")).body == LARGE);
        assert_eq!(client.get(&format!("/short{late}")).body, b"short");
        let shared = client.get(&format!("/shared{late}")).body;
        assert!(shared.len() == 200_000 && shared.iter().enumerate().all(|(at, byte)| *byte == at as u8));
        let nothing = client.get(&format!("/nothing{late}"));
        assert_eq!((nothing.status, nothing.field("content-length")), (204, None));
    }
    running.stop().unwrap();
}

#[test]
fn handlers_see_path_query_and_fields() {
    let running = gallery(Settings::default());
    let mut client = Client::connect(running.address);
    for (line, expected) in [
        ("GET /a/b?c=d?e", "/a/b c=d?e here"),
        ("GET /a", "/a  here"),
        ("GET http://host?x", "/ x here"),
        ("GET http://host", "/  here"),
        ("GET http://host/p", "/p  here"),
        ("OPTIONS *", "*  here"),
    ] {
        client.send(&format!("{line} HTTP/1.1\r\nHost: host\r\nX-NAME: here\r\n\r\n"));
        assert_eq!(client.answer().text(), expected, "{line}");
    }
    running.stop().unwrap();
}

#[test]
fn dawdlers_are_told_so_and_cut() {
    let running = gallery(hasty());
    for begun in
        ["GET / HTTP/1.1\r\nHost: a\r\n", "G", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfour"]
    {
        let mut client = Client::connect(running.address);
        client.send(begun);
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (408, Some("close")), "{begun:?}");
        assert!(client.is_at_end());
    }
    running.stop().unwrap();
}

#[test]
fn idle_clients_are_closed_without_a_word() {
    let running = gallery(Settings { idle: Duration::from_millis(40), ..Settings::default() });
    let mut fresh = Client::connect(running.address);
    assert!(fresh.is_at_end());
    // On a busy machine some are closed as idle before they have asked.
    let mut used = loop {
        let mut client = Client::connect(running.address);
        let _ = client.sender().write_all(b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n");
        if !client.is_at_end() {
            break client;
        }
    };
    assert_eq!(used.answer().status, 200);
    assert!(used.is_at_end());
    running.stop().unwrap();
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let running = gallery(hasty());
    let client = Client::connect(running.address);
    let mut sender = client.sender();
    sender.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    // Having been cut, the connection refuses what is sent on it sooner or later.
    let begun = Instant::now();
    while sender.write_all(b"x").is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    running.stop().unwrap();
}

#[test]
fn answers_to_many_pipelined_requests_arrive_though_the_client_reads_late() {
    let running = gallery(Settings::default());
    let mut client = Client::connect(running.address);
    let mut sender = client.sender();
    let count = 50_000;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let requests = "GET /short HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
            for _ in 0..count / 100 {
                sender.write_all(requests.as_bytes()).unwrap();
            }
        });
        for place in 0..count {
            assert_eq!(client.answer().body, b"short", "{place}");
        }
    });
    running.stop().unwrap();
}

#[test]
fn bodies_beyond_the_bound_are_refused() {
    let running = gallery(Settings { body_max: 1000, ..Settings::default() });
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n800\r\n{}\r\n0\r\n\r\n", "x".repeat(0x800));
    for rest in ["Content-Length: 1001\r\n\r\n", &chunked] {
        let mut client = Client::connect(running.address);
        client.send(&format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}"));
        assert_eq!(client.answer().status, 413);
        assert!(client.is_at_end());
    }
    running.stop().unwrap();
}
