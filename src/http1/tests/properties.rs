//! What the parser accepts, rewritten and read again, is the same message; and no split of the bytes matters.

use super::rewrite_request::{HOW, rewritten};
use crate::http1::chunked::{Piece, Scanner};
use crate::http1::fields::FieldKind;
use crate::http1::request::{RequestHead, Target};
use crate::http1::response::ResponseHead;
use crate::http1::rewrite::RequestContext;
use crate::http1::{Framing, Limits, Method, Parsed, Sender};
use proptest::prelude::*;

fn method() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("GET".to_owned()),
        Just("POST".to_owned()),
        Just("HEAD".to_owned()),
        "[A-Z!#$'*+.^_`|~-]{1,9}"
    ]
}

fn target() -> impl Strategy<Value = String> {
    let path = "/[!$-~]{0,20}";
    prop_oneof![
        path.prop_map(String::from),
        (r"[Hh]ttps?://[a-z0-9.-]{1,9}(:[0-9]{0,4})?", path).prop_map(|(a, b)| a + &b)
    ]
}

fn field() -> impl Strategy<Value = String> {
    const NAMES: [&str; 10] = [
        "Connection",
        "Keep-Alive",
        "Via",
        "X-Forwarded-For",
        "Forwarded",
        "X-A",
        "x-a",
        "a_b",
        "Upgrade",
        "TE",
    ];
    let value = prop_oneof![
        "[ -~\t]{0,20}",
        Just("close".to_owned()),
        Just("X-A, via".to_owned()),
        Just("trailers".to_owned()),
        Just("websocket".to_owned()),
    ];
    let name =
        prop_oneof![proptest::sample::select(&NAMES[..]).prop_map(str::to_owned), "[a-zA-Z0-9_-]{1,12}"];
    (name, "[ \t]{0,2}", value).prop_map(|(name, blanks, value)| format!("{name}:{blanks}{value}\r\n"))
}

fn framing() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        (0..u64::MAX / 2).prop_map(|length| format!("Content-Length: {length}\r\n")),
        (0..1000u64, 0..9usize).prop_map(|(length, width)| format!("Content-Length: {length:0width$}\r\n")),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
    ]
}

fn request() -> impl Strategy<Value = String> {
    let fields = proptest::collection::vec(field(), 0..12);
    (method(), target(), "1\\.[0-3]", fields, framing(), 0..12usize).prop_map(
        |(method, target, version, mut fields, framing, at)| {
            fields.insert(at.min(fields.len()), "Host: h:1\r\n".to_owned());
            fields.insert(at / 2 % fields.len(), framing);
            format!("{method} {target} HTTP/{version}\r\n{}\r\n", fields.concat())
        },
    )
}

/// Name, value and place among its equals of every field that is for the origin and not ours.
fn end_to_end(head: &RequestHead, bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let kinds = [FieldKind::Other, FieldKind::Date, FieldKind::XRequestId];
    let kept = head.section.fields().iter().filter(|field| kinds.contains(&field.kind));
    kept.map(|field| (field.name.of(bytes).to_vec(), field.value.of(bytes).to_vec())).collect()
}

fn path<'b>(head: &RequestHead, bytes: &'b [u8]) -> &'b [u8] {
    match head.form() {
        Target::Origin(path) | Target::Absolute { path, .. } => path.of(bytes),
        Target::Asterisk => b"*",
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_origin_reads_the_same_request(head in request(), trusted: bool, keep_alive: bool) {
        let (mut before, mut after) = (RequestHead::default(), RequestHead::default());
        if let Ok(parsed) = before.parse(head.as_bytes(), &Limits::default()) {
            prop_assert_eq!(parsed, Parsed::Complete(head.len()));
            let sent = rewritten(&head, &RequestContext { trusted, keep_alive, ..HOW });
            after.parse(sent.as_bytes(), &Limits::default()).unwrap();
            prop_assert_eq!(before.method().of(head.as_bytes()), after.method().of(sent.as_bytes()));
            prop_assert_eq!(path(&before, head.as_bytes()), path(&after, sent.as_bytes()));
            let authority = |parsed: &RequestHead, bytes: &[u8]| parsed.authority().unwrap().of(bytes).to_vec();
            prop_assert_eq!(authority(&before, head.as_bytes()), authority(&after, sent.as_bytes()));
            prop_assert_eq!(before.facts().framing, after.facts().framing);
            if let Framing::Length(length) = before.facts().framing {
                let written = after.value(sent.as_bytes(), "content-length").unwrap();
                prop_assert_eq!(written, length.to_string().into_bytes());
            }
            prop_assert_eq!(before.facts().upgrade, after.facts().upgrade);
            prop_assert_eq!(before.facts().accepts_trailers, after.facts().accepts_trailers);
            prop_assert_eq!(end_to_end(&before, head.as_bytes()), end_to_end(&after, sent.as_bytes()));
            prop_assert!(!after.facts().nominates);
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes: Vec<u8>, line in "(GET|HTTP/1.1) (/|200) (HTTP/1.1|OK)") {
        let with_line = [line.as_bytes(), b"\r\n", &bytes, b"\r\n\r\n"].concat();
        for bytes in [&bytes, &with_line] {
            let _ = RequestHead::default().parse(bytes, &Limits::default());
            let _ = ResponseHead::default().parse(bytes, Method::Get, &Limits::default());
            let mut scanner = Scanner::new(Sender::Backend);
            let mut rest = &bytes[..];
            while let Ok(Piece::Framing { len, .. } | Piece::Data(len) | Piece::Last(len)) = scanner.next(rest) {
                rest = &rest[len..];
            }
        }
    }

    #[test]
    fn any_split_of_a_chunked_body_gives_the_same(
        chunks in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 1..80), "([ \t]{0,2};[ \t]{0,2}[a-z]{1,3}([ \t]{0,2}=[ \t]{0,2}([a-z]{1,3}|\"[ -!#-Z]{0,5}\"))?){0,2}"), 0..6),
        trailers in "([A-Za-z]{1,5}: [a-z ]{0,9}\r\n){0,3}",
        cuts in proptest::collection::vec(1..60usize, 1..40),
        is_backend: bool,
        zeros in 0..20usize,
        blanks in "[ \t]{0,5}",
    ) {
        let sender = if is_backend { Sender::Backend } else { Sender::Client };
        let blanks = if is_backend { &blanks[..] } else { "" };
        let zeros = "0".repeat(zeros);
        let mut body = Vec::new();
        for (data, extension) in &chunks {
            body.extend_from_slice(format!("{zeros}{:X}{extension}{blanks}\r\n", data.len()).as_bytes());
            body.extend_from_slice(data);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        let (mut scanner, mut data, mut start, mut end) = (Scanner::new(sender), Vec::new(), 0, 0);
        let mut cuts = cuts.into_iter().cycle();
        let section = loop {
            let front = &body[start..end];
            start += match scanner.next(front).unwrap() {
                Piece::Framing { len, .. } | Piece::Last(len) => len,
                Piece::Data(len) => { data.extend_from_slice(&front[..len]); len }
                Piece::End(len) => break &front[..len],
                Piece::Partial => { end = (end + cuts.next().unwrap()).min(body.len()); 0 }
            };
        };
        let all: Vec<u8> = chunks.iter().flat_map(|(data, _)| data.iter().copied()).collect();
        prop_assert_eq!(data, all);
        prop_assert_eq!(section.escape_ascii().to_string(), format!("{trailers}\r\n").as_bytes().escape_ascii().to_string());
        prop_assert_eq!(start + section.len(), body.len());
    }
}
