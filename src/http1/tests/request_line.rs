//! Request lines accepted and refused.

use super::request::{accepted, facts, refused};
use crate::http1::request::{RequestHead, Target};
use crate::http1::{Limits, Method, Version};

#[test]
fn request_lines_accepted() {
    for line in [
        "GET / HTTP/1.1",
        "get / HTTP/1.1",
        "!#$%&'*+-.^_`|~09azAZ / HTTP/1.1",
        "G / HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/1.9",
        "GET //a//b/../c/./%2F%00%zz HTTP/1.1",
        "GET /?a=b&c=/?:@!$'()*,;~ HTTP/1.1",
        "GET /a|b\"<>\\^`{}[] HTTP/1.1",
        "GET http://a HTTP/1.1",
        "GET http://a/ HTTP/1.1",
        "GET http://a?q HTTP/1.1",
        "GET HTTP://a:80/b HTTP/1.1",
        "GET http://[::1]:443/b HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "OPTIONS /a HTTP/1.1",
        "OPTIONS http://a HTTP/1.1",
        "GET /HTTP/1.1 HTTP/1.1",
        "GET http://b:/ HTTP/1.1",
        "POST / HTTP/1.1",
        "connect / HTTP/1.1",
        "PRI / HTTP/1.1",
        "GET /http://a/ HTTP/1.1",
        "GET http://a/@b:c HTTP/1.1",
    ] {
        accepted(&format!("{line}\r\nHost: a\r\n\r\n"));
    }
}

#[test]
fn request_lines_refused() {
    for line in [
        "",
        " ",
        "GET",
        "GET ",
        "GET /",
        "GET / ",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.1\t",
        "GET HTTP/1.1",
        "GET  HTTP/1.1",
        "G(T / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/11",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / http/1.1",
        "GET / HTTPS/1.1",
        "GET / HTTP 1.1",
        "GET / HTTP/a.1",
        "GET / HTTP/1.a",
        "GET / HTTP/-1.1",
        "GET / XTTP/2.0",
        "GET a HTTP/1.1",
        "GET a/b HTTP/1.1",
        "GET * HTTP/1.1",
        "POST * HTTP/1.1",
        "options * HTTP/1.1",
        "OPTIONS ** HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /# HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\u{1} HTTP/1.1",
        "GET /a\rb HTTP/1.1",
        "GET / HTTP/1.1\r",
        "GET ftp://a/ HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET http:/a HTTP/1.1",
        "GET http:a HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "GET http://u:p@a/ HTTP/1.1",
        "GET http://:80/ HTTP/1.1",
        "GET http://a:x/ HTTP/1.1",
        "GET http://a:65536/ HTTP/1.1",
        "GET http://[::1/ HTTP/1.1",
        "GET http://a\\b/ HTTP/1.1",
        "GET http://a#b HTTP/1.1",
        "GET //a HTTP/1.1 HTTP/1.1",
        "GET ?a HTTP/1.1",
        "OPTIONS *a HTTP/1.1",
        "OPTIONS  HTTP/1.1",
        "GET http HTTP/1.1",
        "GET ws://a/ HTTP/1.1",
        "/ HTTP/1.1",
        "GET,/ HTTP/1.1",
        "GET:/ HTTP/1.1",
        "GET /\u{b} HTTP/1.1",
    ] {
        refused(&format!("{line}\r\nHost: a\r\n\r\n"), 400);
    }
}

#[test]
fn methods_and_versions_with_a_status_of_their_own() {
    for line in ["CONNECT a:443 HTTP/1.1", "CONNECT / HTTP/1.1", "CONNECT a:443 HTTP/1.0"] {
        refused(&format!("{line}\r\nHost: a\r\n\r\n"), 405);
    }
    for line in [
        "PRI * HTTP/2.0",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / HTTP/3.1",
        "GET / HTTP/9.9",
        "GET / HTTP/0.0",
    ] {
        refused(&format!("{line}\r\nHost: a\r\n\r\n"), 505);
    }
    refused("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 421);
    refused("GET HTTPS://a HTTP/1.0\r\n\r\n", 421);
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    for (method, expected) in [("GET", Method::Get), ("TRACE", Method::Trace), ("Get", Method::Other)] {
        assert_eq!(facts(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).method, expected);
    }
    assert_eq!(facts("GET / HTTP/1.0\r\n\r\n").version, Version::Http10);
    assert_eq!(facts("GET / HTTP/1.7\r\nHost: a\r\n\r\n").version, Version::Http11);
}

#[test]
fn forms_of_the_target() {
    let form = |line: &str| {
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
        let parsed = accepted(&head);
        let text = |span: crate::http1::Span| String::from_utf8(span.of(head.as_bytes()).to_vec()).unwrap();
        assert_eq!(format!("{} {}", text(parsed.method()), text(parsed.target())), line);
        match parsed.form() {
            Target::Origin(span) => ("origin", text(span), text(parsed.authority().unwrap())),
            Target::Absolute { authority, path } => ("absolute", text(path), text(authority)),
            Target::Asterisk => ("asterisk", String::new(), text(parsed.authority().unwrap())),
        }
    };
    let expect =
        |form: &'static str, path: &str, authority: &str| (form, path.to_owned(), authority.to_owned());
    assert_eq!(form("GET /a?b"), expect("origin", "/a?b", "a"));
    assert_eq!(form("GET hTTp://B:8/c?d"), expect("absolute", "/c?d", "B:8"));
    assert_eq!(form("GET http://b?c/d"), expect("absolute", "?c/d", "b"));
    assert_eq!(form("GET http://b"), expect("absolute", "", "b"));
    assert_eq!(form("OPTIONS *"), expect("asterisk", "", "a"));
}

#[test]
fn empty_lines_before_the_request_line() {
    for before in ["\r\n", "\r\n\r\n"] {
        let head = format!("{before}GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        let parsed = accepted(&head);
        assert_eq!(parsed.target().of(head.as_bytes()), b"/x");
    }
    for before in ["\r\n\r\n\r\n", "\n", "\r", "\r\n\n", "\r\r\n", " \r\n", "\r\n\r\n\n"] {
        refused(&format!("{before}GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    }
}

/// What is told of refused lines, whole and when nothing behind them has come yet.
#[test]
fn refused_lines_are_told_to_the_log() {
    for (line, told) in [
        ("CONNECT a:443 HTTP/1.1", "CONNECT a:443"),
        ("CONNECT / HTTP/1.0", "CONNECT /"),
        ("PRI * HTTP/2.0", "PRI *"),
        ("GET /a?b HTTP/3.1", "GET /a?b"),
        ("GET /\u{e9} HTTP/1.1", "GET /%C3%A9"),
        ("GET /a\0\u{1b}[2J\u{7f} HTTP/1.1", "GET /a%00%1B[2J%7F"),
        ("GET /a\tb HTTP/1.1", "GET /a%09b"),
        ("GET /a#b HTTP/1.1", "GET /a#b"),
        ("GET /a b HTTP/1.1", "GET /a b"),
        ("GET  / HTTP/1.1", "GET  /"),
        ("GET /\"a,b\" HTTP/x", "GET /\"a,b\""),
        ("GET / http/1.1", "GET /"),
        ("GET / HTTPS/1.1", "GET /"),
        ("GET / 1.1", "GET /"),
        ("GET / HTTP/1.1 ", "GET /"),
        ("GET / HTTP/1.1 x", "GET /"),
        ("GET /a b", "GET /a"),
        ("GET /", "GET /"),
        ("GET / ", "GET /"),
        ("GET", "GET "),
        ("GE:T / HTTP/1.1", "GE:T /"),
        ("GET ftp://a/ HTTP/1.1", "GET ftp://a/"),
        ("GET https://a/ HTTP/1.1", "GET https://a/"),
        ("\r\n\r\nCONNECT a:1 HTTP/1.1", "CONNECT a:1"),
        ("G\u{e9}T / HTTP/1.1", ""),
        ("GET\t/ HTTP/1.1", ""),
        ("\u{16}\u{3}\u{1}", ""),
        (" / HTTP/1.1", ""),
        ("", "Host: a"), // an empty line in front is passed over
    ] {
        let bytes = format!("{line}\r\nHost: a\r\n\r\n").into_bytes();
        let mut head = RequestHead::default();
        assert!(head.parse(&bytes, &Limits::default()).is_err(), "{line:?}");
        let mut out = b"before".to_vec();
        let method_len = head.push_line(&bytes, &mut out);
        assert_eq!(out.escape_ascii().to_string(), format!("before{}", told.escape_default()), "{line:?}");
        assert_eq!(method_len, told.split(' ').next().unwrap().len());
    }
}

#[test]
fn what_is_told_of_refused_lines_has_a_bound() {
    for (line, method_len, target_len) in [
        ("A".repeat(40_000), 64, 0),
        (format!("GET /{}", "a".repeat(40_000)), 3, 8192),
        (format!("GET /{} HTTP/1.1\r\n", "a".repeat(8200)), 3, 8192),
        (format!("GET /{} HTTP/1.1\r\n", "\u{e9}".repeat(4000)), 3, 8192),
        (format!("{} / HTTP/9.1\r\n", "A".repeat(100)), 64, 1),
    ] {
        let mut head = RequestHead::default();
        assert!(head.parse(line.as_bytes(), &Limits::default()).is_err());
        let mut out = Vec::new();
        assert_eq!(head.push_line(line.as_bytes(), &mut out), method_len);
        assert_eq!(out.len(), method_len + 1 + target_len);
        assert!(out.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' '));
    }
}

/// What a head refused has left must not be looked for in other bytes.
#[test]
fn nothing_is_told_of_the_line_before() {
    let mut head = RequestHead::default();
    assert!(head.parse(b"CONNECT a:443 HTTP/1.1\r\n\r\n", &Limits::default()).is_err());
    for bytes in [&b"\x16"[..], b"G\x01", b"\r\n\r\n\r\n"] {
        assert!(head.parse(bytes, &Limits::default()).is_err());
        let mut out = Vec::new();
        head.push_line(bytes, &mut out);
        assert_eq!(out, b"", "{}", bytes.escape_ascii());
    }
}
