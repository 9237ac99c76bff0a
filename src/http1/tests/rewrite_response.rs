//! Response heads and trailer sections as the client sees them.

use crate::http1::response::ResponseHead;
use crate::http1::rewrite::{self, ResponseContext};
use crate::http1::{Framing, Limits, Method, Parsed, Version};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

pub(super) const HOW: ResponseContext<'static> = ResponseContext {
    client: Version::Http11,
    keep_alive: true,
    framing: Framing::Length(5),
    via: true,
    pseudonym: "tidegate",
    date: DATE.as_bytes(),
    upgrade: false,
};

fn rewritten(head: &str, method: Method, how: &ResponseContext<'_>) -> String {
    let mut parsed = ResponseHead::default();
    let complete = parsed.parse(head.as_bytes(), method, &Limits::default());
    assert_eq!(complete, Ok(Parsed::Complete(head.len())), "{head}");
    let mut out = b"before".to_vec();
    rewrite::response(&parsed, head.as_bytes(), how, &mut out);
    let sent = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
    let again = ResponseHead::default().parse(sent.as_bytes(), method, &Limits::default());
    assert_eq!(again, Ok(Parsed::Complete(sent.len())), "{sent}");
    sent
}

/// The fields left of these, with a Date, less Via.
fn fields_left(status: u16, fields: &str, how: &ResponseContext<'_>) -> String {
    let sent = rewritten(&format!("HTTP/1.1 {status} x\r\nDate: d\r\n{fields}\r\n"), Method::Get, how);
    let sent = sent.strip_prefix(&format!("HTTP/1.1 {status} x\r\nDate: d\r\n")).unwrap();
    assert_eq!(sent.matches("Via: 1.1 tidegate\r\n").count(), 1);
    sent.replace("Via: 1.1 tidegate\r\n", "").strip_suffix("\r\n").unwrap().to_owned()
}

#[test]
fn a_plain_response_keeps_its_lines_as_they_were() {
    let head = "HTTP/1.1 200 All  right \r\nServer: s\r\ndAte:d\r\nContent-Length:\t5\r\nX: \u{e9} \r\nVia: 1.0 x\r\n";
    let sent = rewritten(&format!("{head}\r\n"), Method::Get, &HOW);
    assert_eq!(sent, format!("{head}Via: 1.1 tidegate\r\n\r\n"));
}

#[test]
fn status_lines_are_http_1_1() {
    for (line, sent, via) in [
        ("HTTP/1.0 200 OK", "HTTP/1.1 200 OK", "1.0"),
        ("HTTP/1.5 200 OK", "HTTP/1.1 200 OK", "1.1"),
        ("HTTP/1.1 200", "HTTP/1.1 200 ", "1.1"),
        ("HTTP/1.1 200 ", "HTTP/1.1 200 ", "1.1"),
    ] {
        let expected = format!("{sent}\r\nContent-Length: 5\r\nDate: {DATE}\r\nVia: {via} tidegate\r\n\r\n");
        assert_eq!(rewritten(&format!("{line}\r\nContent-Length: 5\r\n\r\n"), Method::Get, &HOW), expected);
    }
}

#[test]
fn hop_by_hop_and_nominated_fields_go() {
    let length = "Content-Length: 5\r\n";
    for (fields, left) in [
        ("Connection: keep-alive, a\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nA: b\r\n", ""),
        (
            "TE: x\r\nTrailer: c\r\nUpgrade: websocket\r\nProxy-Authenticate: p\r\n",
            "Proxy-Authenticate: p\r\n",
        ),
        ("Connection: content-length, via\r\nVia: x\r\n", ""),
        (
            "content_length: 7\r\nX-Forwarded-For: x\r\nset_cookie: y\r\n",
            "X-Forwarded-For: x\r\nset_cookie: y\r\n",
        ),
        (
            "X-Tidegate-Explain: a\r\nx_tidegate-EXPLAIN: b\r\nX-Tidegate-Explains: c\r\n",
            "X-Tidegate-Explains: c\r\n",
        ),
        ("Set-Cookie: a\r\nConnection: b\r\nSet-Cookie: b\r\n", "Set-Cookie: a\r\nSet-Cookie: b\r\n"),
    ] {
        assert_eq!(
            fields_left(200, &format!("{length}{fields}"), &HOW),
            format!("{length}{left}"),
            "{fields}"
        );
    }
    let redated = rewritten(
        "HTTP/1.1 200 x\r\nDate: d\r\nConnection: date\r\nContent-Length: 5\r\n\r\n",
        Method::Get,
        &HOW,
    );
    assert_eq!(redated.matches("Date").count(), 1);
    assert!(redated.contains(&format!("Date: {DATE}\r\n")), "{redated}");
}

#[test]
fn blanks_before_a_colon_go_no_further() {
    let length = "Content-Length: 5\r\n";
    for (fields, left) in [
        ("A : b\r\n", "A: b\r\n"),
        ("A\t \t:b\r\nB: c\r\nC  : d : e\r\n", "A:b\r\nB: c\r\nC: d : e\r\n"),
        ("Connection : A, close\r\nA : b\r\nKeep-Alive : 5\r\nB : c\r\n", "B: c\r\n"),
        ("Transfer_Encoding : x\r\nX-Tidegate-Explain : y\r\n", ""),
    ] {
        assert_eq!(
            fields_left(200, &format!("{length}{fields}"), &HOW),
            format!("{length}{left}"),
            "{fields}"
        );
    }
    assert_eq!(fields_left(200, "Content-Length : 5\r\n", &HOW), length);
    assert_eq!(fields_left(200, "A: b\r\nContent-Length : 05\r\n", &HOW), format!("A: b\r\n{length}"));
    let chunked = ResponseContext { framing: Framing::Chunked, ..HOW };
    assert_eq!(
        fields_left(200, "Transfer-Encoding : CHUNKED\r\n", &chunked),
        "Transfer-Encoding: chunked\r\n"
    );
    let old = rewritten("HTTP/1.0 200\r\nDate : d\r\nContent-Length : 7\r\n\r\n", Method::Head, &HOW);
    assert_eq!(old, "HTTP/1.1 200 \r\nDate: d\r\nContent-Length: 7\r\nVia: 1.0 tidegate\r\n\r\n");
    let switch = "Connection : Upgrade\r\nUpgrade : WebSocket\r\nA : b\r\n";
    let how = ResponseContext { upgrade: true, framing: Framing::Empty, ..HOW };
    assert_eq!(
        rewritten(&format!("HTTP/1.1 101 x\r\n{switch}\r\n"), Method::Get, &how),
        "HTTP/1.1 101 x\r\nA: b\r\nVia: 1.1 tidegate\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n"
    );
}

#[test]
fn framing_towards_the_client() {
    let how = |framing| ResponseContext { framing, ..HOW };
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for (status, fields, framing, left) in [
        (200, length, Framing::Length(5), length),
        (200, chunked, Framing::Chunked, chunked),
        (200, "", Framing::Chunked, chunked),
        (200, chunked, Framing::UntilClose, ""),
        (200, chunked, Framing::Length(7), "Content-Length: 7\r\n"),
        (200, length, Framing::Chunked, chunked),
        (205, "", Framing::Empty, "Content-Length: 0\r\n"),
        (205, "Content-Length: 0\r\n", Framing::Length(0), "Content-Length: 0\r\n"),
        (204, length, Framing::Empty, ""),
        (204, "", Framing::Empty, ""),
        (204, chunked, Framing::Empty, ""),
        (304, length, Framing::Empty, length),
        (304, "", Framing::Empty, ""),
        (103, length, Framing::Empty, ""),
        (200, "content-LENGTH: 005\r\nA: b\r\n", Framing::Length(5), "content-LENGTH: 5\r\nA: b\r\n"),
        (200, "Content-Length: 00\r\n", Framing::Length(0), "Content-Length: 0\r\n"),
        (205, "Content-Length: 00\r\n", Framing::Length(0), "Content-Length: 0\r\n"),
        (200, "Connection: content-length\r\nContent-Length: 05\r\n", Framing::Length(5), length),
        (304, "A: b\r\nContent-Length: 005\r\n", Framing::Empty, "A: b\r\nContent-Length: 5\r\n"),
        (204, "Content-Length: 05\r\n", Framing::Empty, ""),
        (103, "Content-Length: 00\r\n", Framing::Empty, ""),
    ] {
        assert_eq!(fields_left(status, fields, &how(framing)), left, "{status} {fields} {framing:?}");
    }
    let padded = "HTTP/1.1 200 x\r\nContent-Length: 010\r\nDate: d\r\n\r\n";
    assert_eq!(
        rewritten(padded, Method::Head, &how(Framing::Empty)),
        "HTTP/1.1 200 x\r\nContent-Length: 10\r\nDate: d\r\nVia: 1.1 tidegate\r\n\r\n"
    );
    for fields in [length, ""] {
        let sent = rewritten(
            &format!("HTTP/1.1 200 x\r\n{fields}Date: d\r\n\r\n"),
            Method::Head,
            &how(Framing::Empty),
        );
        assert_eq!(sent, format!("HTTP/1.1 200 x\r\n{fields}Date: d\r\nVia: 1.1 tidegate\r\n\r\n"));
    }
}

#[test]
fn connection_towards_the_client() {
    let length = "Content-Length: 5\r\n";
    for (client, keep_alive, expected) in [
        (Version::Http11, true, ""),
        (Version::Http11, false, "Connection: close\r\n"),
        (Version::Http10, true, "Connection: keep-alive\r\n"),
        (Version::Http10, false, "Connection: close\r\n"),
    ] {
        let how = ResponseContext { client, keep_alive, ..HOW };
        assert_eq!(fields_left(200, length, &how), format!("{length}{expected}"));
        assert_eq!(fields_left(103, "Link: x\r\n", &how), "Link: x\r\n");
    }
}

#[test]
fn via_may_be_left_out() {
    let how = ResponseContext { via: false, ..HOW };
    let head = "HTTP/1.1 200 x\r\nDate: d\r\nVia: 1.0 o\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(rewritten(head, Method::Get, &how), head);
    assert_eq!(rewritten("HTTP/1.1 103 x\r\n\r\n", Method::Get, &how), "HTTP/1.1 103 x\r\n\r\n");
}

#[test]
fn upgrades() {
    let fields = "Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\n";
    let how = ResponseContext { upgrade: true, framing: Framing::Empty, ..HOW };
    assert_eq!(
        rewritten(&format!("HTTP/1.1 101 x\r\n{fields}\r\n"), Method::Get, &how),
        "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: x\r\nVia: 1.1 tidegate\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n"
    );
    let required = "Content-Length: 5\r\nConnection: upgrade\r\nUpgrade: h2c, a/1\r\n";
    let closing = ResponseContext { keep_alive: false, ..HOW };
    let left = "Connection: close\r\nConnection: upgrade\r\nUpgrade: a/1\r\n";
    assert_eq!(fields_left(426, required, &closing), format!("Content-Length: 5\r\n{left}"));
    assert_eq!(fields_left(200, required, &HOW), "Content-Length: 5\r\n");
    assert_eq!(fields_left(426, "Content-Length: 5\r\nUpgrade: h2c\r\n", &HOW), "Content-Length: 5\r\n");
}

#[test]
fn trailer_sections() {
    let sent = |section: &str, keep| {
        let mut out = Vec::new();
        rewrite::trailers(section.as_bytes(), keep, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(sent("\r\n", true), "\r\n");
    assert_eq!(sent("A: b\r\n\r\n", false), "\r\n");
    assert_eq!(sent("A: b\r\nB:\r\n\r\n", true), "A: b\r\nB:\r\n\r\n");
    assert_eq!(
        sent("Host: x\r\nA: b: c\r\ncontent_length: 1\r\nSet-Cookie: y\r\n\r\n", true),
        "A: b: c\r\n\r\n"
    );
}
