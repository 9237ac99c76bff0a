//! Field sections against the grammar of RFC 9112 section 5, spelled out here once more and byte by byte: neither of the
//! two readings in section.rs is taken for the truth. In an answer a name may have blanks behind it, which are dropped.

use super::rewrite_response::HOW;
use crate::http1::fields::{Field, FieldKind};
use crate::http1::request::RequestHead;
use crate::http1::response::ResponseHead;
use crate::http1::rewrite::{self, ResponseContext};
use crate::http1::{Limits, Method, Parsed};
use proptest::prelude::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n";

type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// The lines of a whole section, and its length with the empty line; `None` if it is not whole or not well-formed.
fn expected(section: &[u8], takes_blanks: bool) -> Option<(Lines, usize)> {
    let (mut lines, mut at) = (Lines::new(), 0);
    loop {
        let len = section[at..].iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
        if section.get(at + len..at + len + 2)? != b"\r\n" {
            return None;
        }
        let line = &section[at..at + len];
        at += len + 2;
        if line.is_empty() {
            return Some((lines, at));
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let is_tchar = |byte: &u8| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => true,
            other => "!#$%&'*+-.^_`|~".bytes().any(|one| one == *other),
        };
        let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        let (mut name, value) = (&line[..colon], &line[colon + 1..]);
        while let [rest @ .., b' ' | b'\t'] = name
            && takes_blanks
        {
            name = rest;
        }
        if name.is_empty() || !name.iter().all(is_tchar) || !value.iter().all(is_text) {
            return None;
        }
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
        let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
        lines.push((name.to_vec(), value[start..end].to_vec()));
    }
}

fn lines(fields: &[Field], bytes: &[u8]) -> Lines {
    fields.iter().map(|field| (field.name.of(bytes).to_vec(), field.value.of(bytes).to_vec())).collect()
}

/// Both kinds of head take exactly what the grammar has, and read it alike.
fn agree(section: &[u8]) {
    let shown = section.escape_ascii();
    let limits = Limits::default();
    let (mut request, mut response) = (RequestHead::default(), ResponseHead::default());
    let bytes = [REQUEST, section].concat();
    let read = match request.parse(&bytes, &limits) {
        Ok(Parsed::Complete(len)) => {
            Some((lines(&request.section.fields()[1..], &bytes), len - REQUEST.len()))
        }
        _ => None,
    };
    assert_eq!(read, expected(section, false), "in a request: {shown}");
    let bytes = [RESPONSE, section].concat();
    let read = match response.parse(&bytes, Method::Get, &limits) {
        Ok(Parsed::Complete(len)) => Some((lines(response.section.fields(), &bytes), len - RESPONSE.len())),
        _ => None,
    };
    assert_eq!(read, expected(section, true), "in a response: {shown}");
    if read.is_some() {
        sent_on(&response, &bytes);
    }
}

/// No blank before a colon is forwarded, and what is forwarded has the same fields as what was read.
fn sent_on(head: &ResponseHead, bytes: &[u8]) {
    let how = ResponseContext { framing: head.facts().framing, ..HOW };
    let (mut out, mut again) = (Vec::new(), ResponseHead::default());
    rewrite::response(head, bytes, &how, &mut out);
    let shown = out.escape_ascii();
    let room = Limits { fields: 1000, ..Limits::default() };
    assert_eq!(again.parse(&out, Method::Get, &room), Ok(Parsed::Complete(out.len())), "{shown}");
    assert!(again.section.fields().iter().all(|field| field.name.end < field.value.start), "{shown}");
    assert!(again.section.fields().iter().all(|field| out[usize::from(field.name.end)] == b':'), "{shown}");
    let others = |head: &ResponseHead, bytes: &[u8]| {
        let is_other = |field: &&Field| field.kind == FieldKind::Other;
        let fields: Vec<Field> = head.section.fields().iter().filter(is_other).copied().collect();
        lines(&fields, bytes)
    };
    assert_eq!(others(&again, &out), others(head, bytes), "{shown}");
}

/// Every byte in every place of a short line: in front of the name, in it, before and behind the colon, in the value,
/// before its end; and so that words of eight bytes end before it, with it and behind it.
#[test]
fn every_byte_in_every_place() {
    for padding in 0..8 {
        let line = format!("{}xy-z: va l\r\nn:\r\n\r\n", "p".repeat(padding));
        for place in 0..line.len() {
            for byte in 0..=255 {
                let mut replaced = line.clone().into_bytes();
                replaced[place] = byte;
                agree(&replaced);
            }
        }
        for place in 0..line.len() {
            for byte in [b'\r', b'\n', b'\0', b' ', b'\t', b':', 0x7f, 0x80] {
                let mut inserted = line.clone().into_bytes();
                inserted.insert(place, byte);
                agree(&inserted);
            }
        }
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = |text: &'static str| Just(text.as_bytes().to_vec());
    prop_oneof![
        6 => "[!-9;-~]{0,20}:[ \t]{0,3}[ -~\t]{0,30}\r\n".prop_map(String::into_bytes),
        4 => "[A-Z][a-z-]{0,24}: ?[ -~]{0,30}\r\n".prop_map(String::into_bytes),
        2 => "[A-Z][a-z-]{0,24}[ \t]{0,3}:[ \t]{0,2}[ -~]{0,9}\r\n".prop_map(String::into_bytes),
        2 => text("\r\n"),
        1 => prop_oneof![text("\n"), text("\r"), text(" "), text("\t"), text(":"), text("\0"), text("a")],
        1 => prop::collection::vec(any::<u8>(), 0..12),
        1 => prop::collection::vec(0x80u8.., 0..12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_section(pieces in prop::collection::vec(piece(), 0..10)) {
        agree(&[pieces.concat(), b"\r\n\r\n".to_vec()].concat());
    }
}
