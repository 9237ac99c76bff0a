//! Response heads accepted and refused.

use super::check;
use crate::http1::response::{ResponseFacts, ResponseHead};
use crate::http1::{Framing, Limits, Method, Parsed, Version};

fn bad(head: &str) {
    let mut parsed = ResponseHead::default();
    let read = |bytes: &[u8]| parsed.parse(bytes, Method::Get, &Limits::default()).map_err(|_| ());
    check(read, head.as_bytes(), Err(()));
}

fn good(head: &str, method: Method) -> ResponseHead {
    let mut parsed = ResponseHead::default();
    check(|bytes| parsed.parse(bytes, method, &Limits::default()), head.as_bytes(), Ok(()));
    assert_eq!(parsed.parse(head.as_bytes(), method, &Limits::default()), Ok(Parsed::Complete(head.len())));
    parsed
}

fn facts(head: &str) -> ResponseFacts {
    good(head, Method::Get).facts()
}

#[test]
fn status_lines_accepted() {
    for (line, status, version, reason) in [
        ("HTTP/1.1 200 OK", 200, Version::Http11, "OK"),
        ("HTTP/1.0 404 Not Found", 404, Version::Http10, "Not Found"),
        ("HTTP/1.9 200 OK", 200, Version::Http11, "OK"),
        ("HTTP/1.1 200 ", 200, Version::Http11, ""),
        ("HTTP/1.1 200", 200, Version::Http11, ""),
        ("HTTP/1.1 599  x\ty ", 599, Version::Http11, " x\ty "),
        ("HTTP/1.1 299 \u{e9}", 299, Version::Http11, "\u{e9}"),
        ("HTTP/1.1 100 Continue", 100, Version::Http11, "Continue"),
    ] {
        let head = format!("{line}\r\n\r\n");
        let parsed = good(&head, Method::Get);
        assert_eq!((parsed.facts().status, parsed.facts().version), (status, version), "{line}");
        assert_eq!(parsed.reason().of(head.as_bytes()), reason.as_bytes());
    }
}

#[test]
fn status_lines_refused() {
    for line in [
        "",
        "\r\nHTTP/1.1 200 OK",
        " HTTP/1.1 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 20x OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1 OK",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/2.0 200 OK",
        "HTTP/0.9 200 OK",
        "HTTP/1 200 OK",
        "HTTP/1.10 200 OK",
        "HTTP/1.x 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "200 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 000 OK",
        "HTTP/1.1 600 OK",
        "HTTP/1.1 999 OK",
        "HTTP/1.1 200 a\0",
        "HTTP/1.1 200 a\rb",
        "HTTP/1.1 200 a\u{7f}",
        "HTTP/1.1 200 OK\r",
        "HTTP/1.1200 OK",
        "HTTPS/1.1 200 OK",
        "HTTP/1.1 200OK",
        "<html>",
    ] {
        bad(&format!("{line}\r\nContent-Length: 0\r\n\r\n"));
    }
}

#[test]
fn field_sections_refused() {
    for fields in [
        " A: b\r\n",
        " : b\r\n",
        " A : b\r\n",
        "A b : c\r\n",
        "A \0: b\r\n",
        "A \r\n",
        "A : b\0\r\n",
        "A : b\n",
        "A : b\r\n c\r\n",
        "A: b\r\n c\r\n",
        "A:\r\n\tb\r\n",
        "A\r\n",
        ": b\r\n",
        "A: \0\r\n",
        "A: b\0c\r\n",
        "A: b\rc\r\n",
        "A: b\n",
        "A: b\nB: c\r\n",
        "A@: b\r\n",
        "A\u{e9}: b\r\n",
        "A: \u{7f}\r\n",
        "A: \u{1}\r\n",
        "A B: c\r\n",
        "A\0: b\r\n",
    ] {
        bad(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
    }
    bad("HTTP/1.1 200 OK\nA: b\r\n\r\n");
    bad("HTTP/1.1 200 OK\r\nA: b\n\r\n");
    bad("HTTP/1.1 200 OK\r\nA: b\r\n\n");
    bad("HTTP/1.1 200 OK\n\n");
    bad("HTTP/1.1 200 OK\r\n A: b\r\n\r\n");
}

/// RFC 9112 section 5.1: a proxy removes them from an answer. What the fields mean is the same as without.
#[test]
fn blanks_before_a_colon_are_not_seen() {
    for (fields, plain) in [
        ("A : b\r\n", "A: b\r\n"),
        ("A \t :b\r\nB: c\r\n", "A:b\r\nB: c\r\n"),
        ("Content-Length : 5\r\n", "Content-Length: 5\r\n"),
        ("Content-Length\t: 05\r\n", "Content-Length: 05\r\n"),
        ("Transfer-Encoding  : chunked\r\n", "Transfer-Encoding: chunked\r\n"),
        (
            "Connection : close, A\r\nA : b\r\nContent-Length: 1\r\n",
            "Connection: close, A\r\nA: b\r\nContent-Length: 1\r\n",
        ),
        ("Date : x\r\n", "Date: x\r\n"),
        ("A : x : y\r\n", "A: x : y\r\n"),
        ("A : \r\nB :\r\n", "A: \r\nB:\r\n"),
    ] {
        let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert_eq!(facts(&head(fields)), facts(&head(plain)), "{fields}");
    }
    for fields in [
        "Content-Length : 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding : chunked\r\n",
        "Transfer-Encoding : gzip\r\n",
        "Content-Length : x\r\n",
    ] {
        bad(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
    }
    let many = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A : b\r\n".repeat(count));
    good(&many(100), Method::Get);
    bad(&many(101));
}

#[test]
fn bodies_framed_in_the_order_of_the_rules() {
    let length = "Content-Length: 5\r\n";
    let chunked = "Transfer-Encoding: Chunked\r\n";
    for (method, status, fields, framing) in [
        (Method::Get, 200, length, Framing::Length(5)),
        (Method::Get, 200, chunked, Framing::Chunked),
        (Method::Get, 200, "", Framing::UntilClose),
        (Method::Get, 500, "Content-Length: 0\r\n", Framing::Length(0)),
        (Method::Head, 200, length, Framing::Empty),
        (Method::Head, 200, chunked, Framing::Empty),
        (Method::Head, 200, "", Framing::Empty),
        (Method::Get, 304, length, Framing::Empty),
        (Method::Get, 304, "", Framing::Empty),
        (Method::Get, 204, length, Framing::Empty),
        (Method::Get, 204, chunked, Framing::Empty),
        (Method::Get, 103, "", Framing::Empty),
        (Method::Get, 101, "", Framing::Empty),
        (Method::Get, 205, "", Framing::Empty),
        (Method::Get, 205, "Content-Length: 0\r\n", Framing::Length(0)),
        (Method::Get, 205, chunked, Framing::Empty),
    ] {
        let head = format!("HTTP/1.1 {status} x\r\n{fields}\r\n");
        assert_eq!(good(&head, method).facts().framing, framing, "{method:?} {head}");
    }
    for fields in [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: \r\n",
        "Content-Length: -1\r\n",
        "Content-Length: x\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: chunked;a\r\n",
    ] {
        for status in [200, 204, 304, 205, 100] {
            bad(&format!("HTTP/1.1 {status} x\r\n{fields}\r\n"));
        }
    }
    bad("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    bad("HTTP/1.1 205 x\r\nContent-Length: 1\r\n\r\n");
}

#[test]
fn persistence() {
    for (head, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: a, Close\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", false),
        ("HTTP/1.1 204 x\r\n\r\n", true),
        ("HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", false),
        ("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ("HTTP/1.1 205 x\r\n\r\n", false),
        ("HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", true),
        ("HTTP/1.1 304 x\r\n\r\n", true),
    ] {
        assert_eq!(facts(head).keep_alive, expected, "{head}");
    }
}

#[test]
fn other_facts() {
    assert!(facts("HTTP/1.1 103 x\r\n\r\n").is_interim() && !facts("HTTP/1.1 101 x\r\n\r\n").is_interim());
    assert!(facts("HTTP/1.1 200 x\r\ndate: x\r\n\r\n").has_date && !facts("HTTP/1.1 200 x\r\n\r\n").has_date);
    assert!(!facts("HTTP/1.1 200 x\r\nDate: x\r\nConnection: date\r\n\r\n").has_date);
    let offered =
        |fields: &str| good(&format!("HTTP/1.1 101 x\r\n{fields}\r\n"), Method::Get).upgrade_offered();
    assert!(offered("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    let named = |fields: &str| {
        let head = format!("HTTP/1.1 101 x\r\n{fields}\r\n");
        good(&head, Method::Get).names_upgrade(head.as_bytes())
    };
    assert!(named("Connection: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n") && !named("Upgrade: a\r\n"));
    assert!(!named("Connection: upgrade\r\n") && !named("Connection: b\r\nUpgrade: b\r\n") && !named(""));
    assert!(!offered("Upgrade: websocket\r\n") && !offered("Connection: upgrade\r\n") && !offered(""));
    assert!(
        !offered("Connection: upgrade\r\nUpgrade: h2c\r\n")
            && !offered("Connection: upgrade\r\nUpgrade: a b\r\n")
    );
}

#[test]
fn limits_hold_for_whole_and_partial_heads() {
    let limits = Limits { response_head: 100, fields: 2, ..Limits::default() };
    let parse = |head: &str| ResponseHead::default().parse(head.as_bytes(), Method::Get, &limits);
    let head = |len: usize| format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(len - 24));
    assert_eq!(parse(&head(100)), Ok(Parsed::Complete(100)));
    assert!(parse(&head(101)).is_err());
    assert_eq!(parse(&head(200)[..99]), Ok(Parsed::Partial));
    assert!(parse(&head(200)[..100]).is_err());
    assert!(parse(&format!("HTTP/1.1 200 {}", "x".repeat(90))).is_err());
    assert!(parse("HTTP/1.1 200 OK\r\nA: b\r\nA: b\r\n\r\n").is_ok());
    assert!(parse("HTTP/1.1 200 OK\r\nA: b\r\nA: b\r\nA: b\r\n\r\n").is_err());
}
