//! What the parts of a request cost: `cargo bench --bench hot_path`, or `-- policy` for some of it.
//!
//! Nothing here is asserted: bench-scripts/instructions.sh counts the whole, to the instruction.

#![allow(clippy::unwrap_used)] // a panic is a broken benchmark

use std::net::{IpAddr, Ipv4Addr};

use divan::{Bencher, black_box, counter::BytesCount};
use tidegate::balance::{Candidate, Observation, Options, Outcome, Policy, Routing, Stage};
use tidegate::clock::Time;
use tidegate::http1::chunked::{Piece, Scanner};
use tidegate::http1::request::RequestHead;
use tidegate::http1::response::ResponseHead;
use tidegate::http1::rewrite::{self, ForwardedFields, RequestContext, ResponseContext};
use tidegate::http1::{Framing, Limits, Method, Sender, Version};
use tidegate::record::row::{Facts, Names, Row, RowEncoder};

fn main() {
    divan::main();
}

const SMALL: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost:9090\r\n\r\n";
const BROWSER: &[u8] = b"GET /index.html?query=value HTTP/1.1\r\nHost: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\
    Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: text/plain\r\nContent-Length: 200\r\nConnection: keep-alive\r\n\r\n";

/// The head and another that differs from it in its first field line, so that nothing can be taken over from the last.
fn pair(bytes: &[u8], line: &str, other: &str) -> [Vec<u8>; 2] {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains(line));
    [bytes.to_vec(), text.replacen(line, other, 1).into_bytes()]
}

/// The same head again and again, or one whose field lines are all to be read anew.
#[divan::bench(args = ["small again", "small another", "browser again", "browser another"])]
fn request_head(bencher: Bencher<'_, '_>, which: &str) {
    let bytes = if which.starts_with("small") { SMALL } else { BROWSER };
    let mut heads = pair(bytes, "\r\nHost: ", "\r\nHost: x");
    if which.ends_with("again") {
        heads[1] = heads[0].clone();
    }
    let how = RequestContext {
        client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 33)),
        trusted: false,
        keep_alive: true,
        forwarded: ForwardedFields::All,
        x_real_ip: false,
        via: true,
        pseudonym: "tidegate",
        request_id: None,
    };
    let (mut head, mut out) = (RequestHead::default(), Vec::new());
    bencher.counter(BytesCount::of_slice(bytes)).bench_local(|| {
        out.clear();
        heads.swap(0, 1);
        let bytes = &heads[0];
        head.parse(black_box(bytes), &Limits::default()).unwrap();
        rewrite::request(&head, bytes, &how, &mut out);
        out.len()
    });
}

#[divan::bench(args = ["again", "another"])]
fn response_head(bencher: Bencher<'_, '_>, which: &str) {
    let mut heads = pair(ANSWER, "\r\nServer: nginx", "\r\nServer: other");
    if which == "again" {
        heads[1] = heads[0].clone();
    }
    let how = ResponseContext {
        client: Version::Http11,
        keep_alive: true,
        framing: Framing::Length(200),
        via: true,
        pseudonym: "tidegate",
        date: b"Sun, 06 Nov 1994 08:49:37 GMT",
        upgrade: false,
    };
    let (mut head, mut out) = (ResponseHead::default(), Vec::new());
    bencher.counter(BytesCount::of_slice(ANSWER)).bench_local(|| {
        out.clear();
        heads.swap(0, 1);
        let bytes = &heads[0];
        head.parse(black_box(bytes), Method::Get, &Limits::default()).unwrap();
        rewrite::response(&head, bytes, &how, &mut out);
        out.len()
    });
}

/// 64 KiB in chunks of this size.
#[divan::bench(args = [16, 1024, 16_384])]
fn chunk_scan(bencher: Bencher<'_, '_>, size: usize) {
    let mut body = Vec::new();
    for _ in 0..65_536 / size {
        body.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        body.resize(body.len() + size, b'x');
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| {
        let (mut scanner, mut rest) = (Scanner::new(Sender::Backend), black_box(&body[..]));
        while let Ok(Piece::Framing { len, .. } | Piece::Data(len) | Piece::Last(len)) = scanner.next(rest) {
            rest = &rest[len..];
        }
        rest.len()
    });
}

/// One pick and both observations. Of 64 backends `elastic` looks at all, of more at a few.
#[divan::bench(args = Routing::ALL, consts = [3, 64, 200])]
fn policy<const BACKENDS: usize>(bencher: Bencher<'_, '_>, routing: Routing) {
    let up = Candidate { in_flight: 0, up: true, weight: 1.0, failure_rate: 0.0, joined: Time::ZERO };
    let (mut policy, mut pool) = (routing.build(BACKENDS, Options::default()), [up; BACKENDS]);
    let (mut draw, mut micros) = (fastrand::Rng::with_seed(1), 0);
    bencher.bench_local(|| {
        micros += 20;
        let now = Time::from_micros(micros);
        let pick = policy.pick(&pool, now, &mut draw).unwrap();
        let in_flight = pool[pick.backend].in_flight;
        let head = Observation {
            backend: pick.backend,
            latency_ms: 1.0 + pick.backend as f64 * 0.1,
            outcome: Outcome::Success,
            stage: Stage::Head,
            in_flight_at_pick: in_flight,
            in_flight_now: in_flight,
            probe: pick.probe,
            head_seen: false,
        };
        policy.observe(&pool, &head, now);
        policy.observe(&pool, &Observation { stage: Stage::End, head_seen: true, ..head }, now);
        pool[pick.backend].in_flight = (in_flight + 1) % 8;
        pick.backend
    });
}

#[divan::bench]
fn csv_row(bencher: Bencher<'_, '_>) {
    let names = Names {
        routings: vec!["elastic".to_owned()],
        backends: [8081, 8082, 8083].map(|port| format!("http://127.0.0.1:{port}")).to_vec(),
    };
    let facts = Facts {
        at: Time::from_millis(5),
        client: "192.0.2.33:50123".parse().unwrap(),
        backend: Some(1),
        routing: 0,
        status: 200,
        latency_us: Some(200_123),
        connect_us: None,
        ttfb_us: Some(200_001),
        total_us: 200_300,
        bytes_in: 78,
        bytes_out: 230,
        attempts: 1,
        reused: true,
    };
    let row = Row { facts, method: b"GET", path: b"/index.html?query=value", reason: "ok" };
    let (mut encoder, mut line, mut micros) = (RowEncoder::new(&names), Vec::new(), 1_767_225_600_000_042);
    bencher.bench_local(|| {
        line.clear();
        micros += 20;
        encoder.encode(black_box(&row), micros, &mut line);
        line.len()
    });
}
