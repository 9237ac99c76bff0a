//! Request fields accepted and refused, and limits.

use super::check;
use crate::http1::request::{RequestFacts, RequestHead};
use crate::http1::{Framing, Limits, Parsed};

pub(super) fn refused_with(head: &str, limits: &Limits, status: u16) {
    let mut parsed = RequestHead::default();
    let read = |bytes: &[u8]| parsed.parse(bytes, limits).map_err(|refusal| refusal.status);
    check(read, head.as_bytes(), Err(status));
}

pub(super) fn refused(head: &str, status: u16) {
    refused_with(head, &Limits::default(), status);
}

pub(super) fn accepted(head: &str) -> RequestHead {
    let mut parsed = RequestHead::default();
    check(|bytes| parsed.parse(bytes, &Limits::default()), head.as_bytes(), Ok(()));
    assert_eq!(parsed.parse(head.as_bytes(), &Limits::default()), Ok(Parsed::Complete(head.len())));
    parsed
}

pub(super) fn facts(head: &str) -> RequestFacts {
    accepted(head).facts()
}

/// A GET with these field lines, each with its CRLF.
fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[test]
fn field_sections_accepted() {
    for fields in [
        "",
        "A:\r\n",
        "A: \t \r\n",
        "A:b\r\n",
        "A: b \t\r\n",
        "A:\tb\tc\r\n",
        "a_b-c!#$%&'*+.^`|~9: x\r\n",
        "A: \u{e9}\u{ff}\r\n",
        "A: \"'(),/:;<=>?@[\\]{}\r\n",
        "A: b\r\nA: b\r\n",
        "Connection:\r\n",
        "Connection: ,\r\n",
        "TE:\r\n",
        "Upgrade:\r\n",
        "Expect:\r\n",
        "Max-Forwards: x\r\n",
        "Content_Length: x\r\n",
        "Transfer_Encoding: x\r\n",
        "1: 2\r\n",
        "A: :b\r\n",
    ] {
        accepted(&get(fields));
    }
    accepted(&get(&"A: b\r\n".repeat(99)));
}

#[test]
fn field_sections_refused() {
    for fields in [
        ": b\r\n",
        " A: b\r\n",
        "\tA: b\r\n",
        "A : b\r\n",
        "A\t: b\r\n",
        "A\r\n",
        "A b: c\r\n",
        "A(: b\r\n",
        "A\u{e9}: b\r\n",
        "A\0: b\r\n",
        "A@: b\r\n",
        "A[: b\r\n",
        "A=: b\r\n",
        "A\"b: c\r\n",
        "A,B: c\r\n",
        "A;: b\r\n",
        "A/B: c\r\n",
        "A\\: c\r\n",
        "A: b\r\n c\r\n",
        "A: b\r\n\tc\r\n",
        "A:\r\n b\r\n",
        "A: b\r\n \r\n",
        "A: \0\r\n",
        "A: b\0c\r\n",
        "A: \u{1}\r\n",
        "A: \u{b}\r\n",
        "A: \u{c}b\r\n",
        "A: \u{7f}\r\n",
        "A: \u{1b}\r\n",
        "A: b\rc\r\n",
        "A: \r\r\n",
        "\rA: b\r\n",
        "A\r: b\r\n",
        "A: b\n",
        "A: b\nB: c\r\n",
        "B: c\r\nA: b\n",
        "A:\n",
        "A: b\r\n\nB: c\r\n",
        "A: b\r\n\rB: c\r\n",
        "A: b\r\n{}: c\r\n",
    ] {
        refused(&get(fields), 400);
    }
    for head in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
    ] {
        refused(head, 400);
    }
    refused("GET / HTTP/1.1\n\n", 400);
    refused("GET / HTTP/1.1\r\nHost: a\n\n", 400);
    refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\n\n", 400);
}

#[test]
fn hosts() {
    for head in [
        "GET / HTTP/1.1\r\nhOST: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://b/ HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\t[::1]:8 \r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: b/c\r\n\r\n",
        "GET http://a HTTP/1.0\r\nHost: u@b:x\r\n\r\n",
    ] {
        accepted(head);
    }
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a b\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n",
        "GET http://a/ HTTP/1.0\r\nHost: b c\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a#\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \u{e9}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost_: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: :80\r\n\r\n",
        "GET / HTTP/1.0\r\nHost:\r\n\r\n",
        "GET / HTTP/1.2\r\n\r\n",
    ] {
        refused(head, 400);
    }
}

#[test]
fn who_names_no_host() {
    for (head, lacks) in [
        ("GET / HTTP/1.0\r\n\r\n", true),
        ("OPTIONS * HTTP/1.0\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", false),
        ("OPTIONS * HTTP/1.0\r\nHost:\r\n\r\n", false),
        ("GET http://a/ HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", false),
    ] {
        assert_eq!(accepted(head).lacks_host(), lacks, "{head}");
    }
}

#[test]
fn bodies_framed() {
    for (fields, framing) in [
        ("", Framing::Empty),
        ("Content-Length: 0\r\n", Framing::Length(0)),
        ("content-LENGTH:\t007 \r\n", Framing::Length(7)),
        ("Content-Length: 00000000000000000005\r\n", Framing::Length(5)),
        ("Content-Length: 9223372036854775807\r\n", Framing::Length(i64::MAX as u64)),
        ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
        ("TRANSFER-encoding:CHUNKED\r\n", Framing::Chunked),
        ("Transfer-Encoding: , chunked ,\r\n", Framing::Chunked),
        ("Transfer_Encoding: chunked\r\nContent_Length: 5\r\n", Framing::Empty),
    ] {
        assert_eq!(facts(&get(fields)).framing, framing, "{fields}");
    }
}

#[test]
fn bodies_refused() {
    for length in [
        "",
        "+1",
        "-1",
        "1 1",
        "1,1",
        "1, 1",
        "5, 6",
        "0x1",
        "1.0",
        "a",
        "1a",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999",
        "\"1\"",
        "1;",
        "\u{661}",
        "1_0",
    ] {
        refused(&get(&format!("Content-Length: {length}\r\n")), 400);
    }
    for fields in [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nA: b\r\ncontent-length: 2\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: ,\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked;a=b\r\n",
        "Transfer-Encoding: chunked ;a\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked x\r\n",
        "Transfer-Encoding: [chunked]\r\n",
        "Transfer-Encoding: chunked\u{e9}\r\n",
        "Transfer-Encoding: gzip, chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n",
        "Transfer-Encoding: gzip\r\nContent-Length: 1\r\n",
    ] {
        refused(&get(fields), 400);
    }
    for coding in [
        "gzip",
        "identity",
        "gzip, chunked",
        "xchunked",
        "chunkedx",
        "gzip;q=1, chunked",
        "chunke",
        "x\r\nTransfer-Encoding: chunked",
    ] {
        refused(&get(&format!("Transfer-Encoding: {coding}\r\n")), 501);
    }
    refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    refused("POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", 400);
    refused("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 400);
    refused("TRACE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    accepted("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn persistence() {
    for (connection, http11, http10) in [
        ("", true, false),
        ("Connection: close\r\n", false, false),
        ("Connection: CLOSE\r\n", false, false),
        ("Connection: keep-alive\r\n", true, true),
        ("Connection: Keep-Alive, close\r\n", false, false),
        ("Connection: close\r\nConnection: keep-alive\r\n", false, false),
        ("Connection: a,,keep-alive ,b\r\n", true, true),
        ("Connection: closed\r\n", true, false),
        ("Proxy-Connection: close\r\n", true, false),
        ("Proxy-Connection: keep-alive\r\n", true, false),
        ("Keep-Alive: timeout=5\r\n", true, false),
    ] {
        assert_eq!(facts(&get(connection)).keep_alive, http11, "{connection}");
        assert_eq!(facts(&format!("GET / HTTP/1.0\r\n{connection}\r\n")).keep_alive, http10, "{connection}");
    }
    refused(&get(&format!("Connection: {}\r\n", "a,".repeat(101))), 400);
}

#[test]
fn expectations() {
    let post = |version: &str, fields: &str| format!("POST / {version}\r\nHost: a\r\n{fields}\r\n");
    let length = "Content-Length: 1\r\n";
    for (fields, expected) in [
        ("Expect: 100-continue\r\n", true),
        ("Expect: 100-Continue , 100-continue\r\n", true),
        ("Expect:\r\n", false),
        ("", false),
    ] {
        let facts = |version, body| facts(&post(version, &format!("{fields}{body}")));
        assert_eq!(facts("HTTP/1.1", length).expect_continue, expected, "{fields}");
        assert!(!facts("HTTP/1.0", length).expect_continue);
        assert!(!facts("HTTP/1.1", "").expect_continue);
        assert!(!facts("HTTP/1.1", "Content-Length: 0\r\n").expect_continue);
    }
    for value in ["100", "100-continued", "x", "100-continue, x", "100-continue=1", "\"100-continue\""] {
        refused(&post("HTTP/1.1", &format!("Expect: {value}\r\n{length}")), 417);
        accepted(&post("HTTP/1.0", &format!("Expect: {value}\r\n{length}")));
    }
}

#[test]
fn trailers_upgrades_and_hops() {
    let te = |fields: &str| facts(&get(fields)).accepts_trailers;
    assert!(te("TE: trailers\r\nConnection: TE\r\n") && te("TE: gzip;q=0.5, TRAILERS\r\n"));
    assert!(!te("") && !te("TE: gzip\r\n") && !te("TE:\r\n") && !te("TE: trailersx\r\n"));
    assert!(!facts("GET / HTTP/1.0\r\nTE: trailers\r\n\r\n").accepts_trailers);

    let upgrade = |fields: &str| facts(&get(fields)).upgrade;
    for fields in ["websocket", "WebSocket, h2c", "h2c, TLS/1.0", "a\r\nUpgrade: b"] {
        assert!(upgrade(&format!("Connection: x, Upgrade\r\nUpgrade: {fields}\r\n")), "{fields}");
        assert!(!upgrade(&format!("Upgrade: {fields}\r\n")), "{fields}");
        let with_body =
            |len| format!("Connection: upgrade\r\nUpgrade: {fields}\r\nContent-Length: {len}\r\n");
        assert!(upgrade(&with_body(0)) && upgrade(&with_body(1)), "{fields}");
        let chunked = format!("Connection: upgrade\r\nUpgrade: {fields}\r\nTransfer-Encoding: chunked\r\n");
        assert!(upgrade(&chunked), "{fields}");
        let old = format!("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: {fields}\r\n\r\n");
        assert!(!facts(&old).upgrade, "{fields}");
    }
    for fields in ["", "h2c", "H2C, h2c", "a b", "a/b/c", "websocket, (", "a/"] {
        assert!(!upgrade(&format!("Connection: upgrade\r\nUpgrade: {fields}\r\n")), "{fields}");
    }

    let hops = |method: &str, value: &str| {
        facts(&format!("{method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {value}\r\n\r\n")).max_forwards
    };
    assert_eq!(hops("TRACE", "0"), Some(0));
    assert_eq!(hops("OPTIONS", "010"), Some(10));
    assert_eq!(hops("OPTIONS", "99999999999"), Some(u32::MAX));
    assert_eq!(hops("GET", "1"), None);
    assert_eq!(hops("GET", "x"), None);
    for value in ["", "x", "-1", "1, 1", "1\r\nMax-Forwards: 1"] {
        refused(&format!("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {value}\r\n\r\n"), 400);
    }
}

#[test]
fn nothing_stays_from_the_request_before() {
    let mut head = RequestHead::default();
    let limits = Limits::default();
    let rich = "POST http://b/ HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nConnection: keep-alive, x\r\nTE: trailers\r\n\r\n";
    let plain = "GET / HTTP/1.0\r\n\r\n";
    head.parse(rich.as_bytes(), &limits).unwrap();
    assert!(head.facts().nominates && head.value(rich.as_bytes(), "te") == Some(b"trailers"));
    head.parse(plain.as_bytes(), &limits).unwrap();
    let mut fresh = RequestHead::default();
    fresh.parse(plain.as_bytes(), &limits).unwrap();
    head.valid_host.clear(); // a name once found good is no part of a request
    assert_eq!(format!("{head:?}"), format!("{fresh:?}"));
    assert_eq!(head.authority(), None);
}

#[test]
fn limits_hold_for_whole_and_partial_heads() {
    let limits = Limits { request_line: 40, request_head: 100, fields: 3, ..Limits::default() };
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\n", "x".repeat(len - 16));
    let parse =
        |head: &str| RequestHead::default().parse(head.as_bytes(), &limits).map_err(|refusal| refusal.status);
    assert_eq!(parse(&format!("{}Host: a\r\n\r\n", target(40))), Ok(Parsed::Complete(51)));
    refused_with(&format!("{}Host: a\r\n\r\n", target(41)), &limits, 414);
    assert_eq!(parse(&target(41)[..39]), Ok(Parsed::Partial));
    assert_eq!(parse(&target(41)[..40]), Err(414));
    assert_eq!(parse(&"x".repeat(39)), Ok(Parsed::Partial));
    assert_eq!(parse(&"x".repeat(40)), Err(501));
    assert_eq!(parse(&format!("{} ", "x".repeat(39))), Err(414));

    let head = |len: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "x".repeat(len - 32));
    assert_eq!(parse(&head(100)), Ok(Parsed::Complete(100)));
    refused_with(&head(101), &limits, 431);
    assert_eq!(parse(&head(200)[..99]), Ok(Parsed::Partial));
    assert_eq!(parse(&head(200)[..100]), Err(431));

    assert!(parse("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nA: b\r\n\r\n").is_ok());
    refused_with("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", &limits, 431);
    for (fields, most) in [(32, 32), (33, 100), (128, 128), (129, 1000), (1000, 1000)] {
        let limits = Limits { fields: most, ..Limits::default() };
        let lines = |count: usize| format!("GET / HTTP/1.0\r\n{}\r\n", "A: b\r\n".repeat(count));
        let parse = |head: String| RequestHead::default().parse(head.as_bytes(), &limits);
        assert!(parse(lines(fields)).is_ok(), "{fields}");
        assert_eq!(parse(lines(most + 1)).unwrap_err().status, 431);
    }
    assert_eq!(
        RequestHead::default()
            .parse(&[b'a'; 70_000], &Limits { request_head: 1 << 20, request_line: 1 << 20, ..limits })
            .unwrap_err()
            .status,
        501
    );
}

#[test]
fn other_protocols_are_refused_at_their_first_bytes() {
    for bytes in [&b"\x16\x03\x01"[..], b"\0", b"GET /\0", b"SSH-2.0-x y\r", b"{\"a\"", b"GET \xff"] {
        let refusal = RequestHead::default().parse(bytes, &Limits::default()).unwrap_err();
        assert_eq!(refusal.status, 400, "{}", bytes.escape_ascii());
    }
}
