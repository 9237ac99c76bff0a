//! Request lines accepted and refused.

use super::request::{accepted, facts, refused};
use crate::http1::request::Target;
use crate::http1::{Method, Version};

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
