//! Requests that are nearly right: seeded mutations of good ones, and noise. Whatever comes, the proxy lives, answers
//! or closes in time, and the origin sees nothing that is not well-formed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Client, End, Origin, OriginConn, ProxyUnderTest};

const GOOD: &[&str] = &[
    "GET /a HTTP/1.1\r\nHost: h\r\nX-A: b\r\n\r\n",
    "POST /b?c=d HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "PUT /d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;e=f\r\nabc\r\n0\r\nX: y\r\n\r\n",
    "GET /e HTTP/1.1\r\nHost: h\r\nConnection: close, X-A\r\nX-A: b\r\n\r\n",
    "GET /f HTTP/1.0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET http://h/g HTTP/1.1\r\nHost: h\r\n\r\nGET /h HTTP/1.1\r\nHost: h\r\n\r\n",
    "HEAD /i HTTP/1.1\r\nHost: [::1]:80\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n",
];

const SEEDED: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b"\x7f",
    b"\xff",
    b"\xc3\xa9",
    b"chunked",
    b"Host: x\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding: x, chunked\r\n",
    b" folded\r\n",
    b"0\r\n\r\n",
    b"-1",
    b"ffffffffffffffff",
    b"99999999999999999999",
    b"HTTP/1.1",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\n",
    b"GET ",
    b"/../",
    b"%00",
    b"#",
    b"@",
];

fn mutated(rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = GOOD[rng.usize(..GOOD.len())].as_bytes().to_vec();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..=bytes.len());
        let end = (at + rng.usize(..12)).min(bytes.len());
        match rng.u8(..7) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            2 | 3 => drop(bytes.splice(at..at, SEEDED[rng.usize(..SEEDED.len())].iter().copied())),
            4 if at < bytes.len() => bytes[at] = rng.u8(..),
            5 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            6 => bytes.truncate(at.max(1)),
            _ => bytes = (0..rng.usize(1..200)).map(|_| rng.u8(..)).collect(),
        }
    }
    bytes
}

/// Most of them wait for a time-out.
const THREADS: u64 = 48;

/// A reader that forgives nothing: what is wrong with the bytes of one connection, if anything.
fn fault(bytes: &[u8]) -> Result<usize, String> {
    let mut at = 0;
    let mut count = 0;
    while at < bytes.len() {
        let Some(len) = crate::support::message::head_len(&bytes[at..]) else { return Ok(count) };
        let head = &bytes[at..at + len];
        let framing =
            head_fault(head).map_err(|what| format!("{what}: {:?}", String::from_utf8_lossy(head)))?;
        at += len;
        count += 1;
        match framing {
            Some(length) => at += length,
            None => match crate::support::message::chunked(&bytes[at..]) {
                Some((length, _)) => at += length,
                None => return Ok(count), // cut off, which is how a bad body must end
            },
        }
    }
    Ok(count)
}

/// Length of the body, or none when it comes in chunks.
fn head_fault(head: &[u8]) -> Result<Option<usize>, &'static str> {
    // Bytes past 127 are well-formed in values (obs-text, RFC 9110 section 5.5) and nowhere else.
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    if !head.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t' | 0x80..)) {
        return Err("a byte that has no place in a head");
    }
    let mut lines = text.strip_suffix("\r\n\r\n").ok_or("no blank line")?.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else { return Err("not a request line") };
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err("no method");
    }
    if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err("no target");
    }
    let (mut hosts, mut lengths, mut codings) = (0, Vec::new(), 0);
    for line in lines {
        if line.contains(['\r', '\n']) {
            return Err("a bare CR or LF");
        }
        let (name, value) = line.split_once(':').ok_or("no colon")?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err("no field name");
        }
        match name.to_ascii_lowercase().as_str() {
            "host" => hosts += 1,
            "content-length" => lengths.push(value.trim().parse::<usize>().map_err(|_| "no length")?),
            "transfer-encoding" if value.trim() == "chunked" => codings += 1,
            "transfer-encoding" => return Err("an unknown coding"),
            "upgrade" | "te" | "keep-alive" | "proxy-connection" if method != "GET" => {
                return Err("a field for one hop only");
            }
            _ => {}
        }
    }
    match (hosts, &lengths[..], codings) {
        (1, [], 0) => Ok(Some(0)),
        (1, [length], 0) => Ok(Some(*length)),
        (1, [], 1) => Ok(None),
        (1, ..) => Err("ambiguous framing"),
        _ => Err("not one Host"),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[test]
fn mutated_requests_neither_crash_nor_hang_nor_reach_the_origin_malformed() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    mutations(seed, 3000);
}

#[test]
#[ignore = "a minute"]
fn twenty_thousand_mutated_requests() {
    mutations(2, 20_000);
}

fn mutations(seed: u64, count: u64) {
    let streams: Arc<Mutex<BTreeMap<usize, Vec<u8>>>> = Arc::default();
    let all = streams.clone();
    // Takes everything as it comes, and answers whatever looks like a request.
    let origin = Origin::start(move |conn: &mut OriginConn| {
        while let Some(request) = conn.request() {
            all.lock().unwrap().entry(conn.index).or_default().extend_from_slice(&request);
            let head_only = request.starts_with(b"HEAD ");
            conn.write(if head_only {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            });
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.timeouts.request_head = Duration::from_millis(300);
        config.timeouts.request_body = Duration::from_millis(300);
        config.timeouts.client_idle = Duration::from_millis(300);
        config.timeouts.upstream = Duration::from_secs(2);
        config.timeouts.linger = Duration::from_millis(200);
    });
    let address = proxy.address;
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            std::thread::spawn(move || {
                let mut statuses = BTreeMap::<String, usize>::new();
                for id in (thread..count).step_by(THREADS as usize) {
                    let bytes = mutated(&mut fastrand::Rng::with_seed(seed << 32 | id));
                    let mut client = Client::connect(address);
                    client.send(&bytes);
                    if id.is_multiple_of(2) {
                        client.finish(); // the others wait to be cut
                    }
                    let ended = client.read_until(|_| false) || client.end.is_some();
                    assert!(ended, "seed {seed}, {id}: hangs on {:?}", String::from_utf8_lossy(&bytes));
                    let status =
                        String::from_utf8_lossy(client.seen.get(9..12).unwrap_or(b"---")).into_owned();
                    let reset = client.end == Some(End::Reset) && client.seen.is_empty();
                    *statuses.entry(if reset { "reset".to_owned() } else { status }).or_default() += 1;
                }
                statuses
            })
        })
        .collect();
    let mut totals = BTreeMap::<String, usize>::new();
    for thread in threads {
        for (status, count) in thread.join().unwrap() {
            *totals.entry(status).or_default() += count;
        }
    }
    println!("{totals:?}");
    assert!(totals["200"] > 50 && totals["400"] > 500, "{totals:?}");
    assert_eq!(proxy.client().get("/alive").status, 200);
    let mut seen = 0;
    for (connection, bytes) in streams.lock().unwrap().iter() {
        seen += fault(bytes).unwrap_or_else(|what| panic!("seed {seed}, connection {connection}: {what}"));
    }
    // Also what was cut off, and so is in no whole request.
    for arrival in origin.seen() {
        fault(&arrival.bytes).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
    assert!(seen > 50);
}
