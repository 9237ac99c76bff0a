//! A head reads the same whatever was read before it: what is taken over from the last one (section.rs) must not show.

use super::rewrite_request::HOW;
use super::rewrite_response;
use crate::http1::request::RequestHead;
use crate::http1::response::ResponseHead;
use crate::http1::rewrite::{self, RequestContext, ResponseContext};
use crate::http1::{Limits, Method, Parsed};
use proptest::prelude::*;
use proptest::sample::select;

const REQUEST_LINES: [&str; 13] = [
    "GET / HTTP/1.1",
    "GET /longer?path HTTP/1.1",
    "GET / HTTP/1.0",
    "GET / HTTP/1.7",
    "POST /p HTTP/1.1",
    "HEAD / HTTP/1.1",
    "TRACE / HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "OPTIONS /a HTTP/1.1",
    "GET http://other:8/x HTTP/1.1",
    "GET http://third HTTP/1.1",
    "GET http://other HTTP/1.0",
    "\r\nGET / HTTP/1.1",
];

const STATUS_LINES: [&str; 10] = [
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 ",
    "HTTP/1.1 200",
    "HTTP/1.0 200 OK",
    "HTTP/1.2 200 OK",
    "HTTP/1.1 204 No Content",
    "HTTP/1.1 205 Reset",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 100 Continue",
    "HTTP/1.1 101 Switching Protocols",
];

const FIELDS: [&str; 27] = [
    "Host: a",
    "Host: b:80",
    "Host:",
    "Host: b/c",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: 05",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: x-a, date, host",
    "Connection: upgrade",
    "Upgrade: websocket",
    "TE: trailers",
    "Expect: 100-continue",
    "Max-Forwards: 0",
    "Date: Thu, 01 Jan 1970 00:00:00 GMT",
    "X-A: b",
    "x_forwarded_for: 1.2.3.4",
    "X-Forwarded-For: 1.2.3.4",
    "X-Request-Id: 7",
    "X-Real-IP: 1.2.3.4",
    "bad name: x",
    "X-A : b",
    "Content-Length : 5",
    "Via: 1.1 x",
];

/// Heads that have much in common: each is the one before with another line, or a field more, less or other.
fn heads(lines: &'static [&'static str]) -> impl Strategy<Value = Vec<(String, usize, Method)>> {
    let change = (select(lines), 0..6usize, 0..8usize, select(&FIELDS[..]));
    let method = select(&[Method::Get, Method::Get, Method::Get, Method::Head][..]);
    let limit = prop_oneof![9 => Just(100usize), 1 => 0..5usize];
    prop::collection::vec((change, method, limit), 1..14).prop_map(|steps| {
        let mut fields = vec!["Host: a", "X-A: b", "Connection: keep-alive"];
        let mut all = Vec::new();
        for ((line, what, at, field), method, limit) in steps {
            let place = at.min(fields.len());
            match what {
                0 => fields.insert(place, field),
                1 if place < fields.len() => drop(fields.remove(place)),
                2 if place < fields.len() => fields[place] = field,
                _ => {} // the same again
            }
            let lines: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            let whole = format!("{line}\r\n{lines}\r\nbody");
            let end = if what == 3 { whole.len() - at - 4 } else { whole.len() };
            all.push((whole[..end].to_owned(), limit, method));
        }
        all
    })
}

fn sent(head: &RequestHead, bytes: &[u8], how: &RequestContext<'_>) -> String {
    let mut out = Vec::new();
    rewrite::request(head, bytes, how, &mut out);
    out.escape_ascii().to_string()
}

fn answered(head: &ResponseHead, bytes: &[u8], how: &ResponseContext<'_>) -> String {
    let mut out = Vec::new();
    rewrite::response(head, bytes, how, &mut out);
    out.escape_ascii().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn requests(heads in heads(&REQUEST_LINES)) {
        let mut used = RequestHead::default();
        for (head, fields, _) in heads {
            let (mut fresh, bytes) = (RequestHead::default(), head.as_bytes());
            let limits = Limits { fields, ..Limits::default() };
            let wanted = fresh.parse(bytes, &limits);
            prop_assert_eq!(used.parse(bytes, &limits), wanted, "{}", head);
            prop_assert_eq!((used.method(), used.target()), (fresh.method(), fresh.target()));
            if matches!(wanted, Ok(Parsed::Complete(_))) {
                prop_assert_eq!(used.facts(), fresh.facts());
                prop_assert_eq!((used.form(), used.authority()), (fresh.form(), fresh.authority()));
                for trusted in [false, true] {
                    let how = RequestContext { trusted, ..HOW };
                    prop_assert_eq!(sent(&used, bytes, &how), sent(&fresh, bytes, &how));
                }
            }
        }
    }

    #[test]
    fn responses(heads in heads(&STATUS_LINES)) {
        let mut used = ResponseHead::default();
        for (head, fields, method) in heads {
            let (mut fresh, bytes) = (ResponseHead::default(), head.as_bytes());
            let limits = Limits { fields, ..Limits::default() };
            let wanted = fresh.parse(bytes, method, &limits);
            prop_assert_eq!(used.parse(bytes, method, &limits), wanted, "{}", head);
            if matches!(wanted, Ok(Parsed::Complete(_))) {
                prop_assert_eq!(used.facts(), fresh.facts());
                prop_assert_eq!(used.upgrade_offered(), fresh.upgrade_offered());
                let how = ResponseContext { framing: fresh.facts().framing, ..rewrite_response::HOW };
                prop_assert_eq!(answered(&used, bytes, &how), answered(&fresh, bytes, &how));
            }
        }
    }
}
