//! Messages between the proxy and origins: answers as written, requests as they must have arrived.

use crate::ledger::{Answer, Asked, Ledger, Request};
use crate::message::{Framing, Head, Read, Reader, body, chunked, pattern};

/// An answer as sent, and how its body ends there; `early` before its request is here whole.
pub fn write_answer(
    answer: &Answer,
    serial: u32,
    framing: Framing,
    (bodiless, says_close, early): (bool, bool, bool),
    rng: &mut fastrand::Rng,
) -> (Vec<u8>, Framing) {
    let body = body(!serial, answer.len);
    let minor = u8::from(early || rng.u8(..8) > 0);
    let framing = if minor == 0 && framing == Framing::Chunked { Framing::Close } else { framing };
    let mut head =
        format!("HTTP/1.{minor} {} Some\r\nX-Id: {}\r\nX-Serial: {serial}\r\n", answer.status, answer.id);
    // What old and small servers send: blanks before a colon, numbers of a fixed width.
    let (colon, zeros) = if rng.u8(..10) == 0 { (" \t:", "00") } else { (":", "") };
    match framing {
        _ if answer.status == 204 => {}
        Framing::Length(len) => head += &format!("Content-Length{colon} {zeros}{len}\r\n"),
        Framing::Chunked => head += &format!("Transfer-Encoding{colon} chunked\r\n"),
        Framing::Close => {}
    }
    if answer.status == 401 {
        head += "WWW-Authenticate: NTLM\r\n";
    }
    if says_close {
        head += &format!("Connection{colon} close\r\n");
    }
    let mut bytes = (head + "\r\n").into_bytes();
    match framing {
        _ if bodiless => {}
        Framing::Chunked => bytes.extend(chunked(&body, if rng.bool() { "X-T: 1\r\n" } else { "" }, rng)),
        _ => bytes.extend(body),
    }
    (bytes, framing)
}

/// The request is as its client meant it.
pub fn check_body(head: &Head, body: &[u8], ledger: &Ledger) {
    let id = head.number("x-id").expect("an id") as u32;
    let Asked { method, body_len: len, .. } = &ledger.requests[id as usize];
    assert!(head.line.starts_with(&format!("{method} ")), "{head:?} was {method}");
    assert!(head.line.ends_with(" HTTP/1.1"), "{head:?}");
    assert_eq!(head.get("host"), Some("front.example"), "{head:?}");
    assert_eq!(body.len(), *len, "the body of {head:?}");
    let differs = body.iter().enumerate().find(|(at, byte)| **byte != pattern(id, *at));
    assert!(differs.is_none(), "a request body differs at {differs:?}: {head:?}");
}

/// Reads everything the proxy ever sent on one connection: whole requests, the last one perhaps cut. Their ids.
pub fn requests_in(log: &[u8], ledger: &Ledger) -> Vec<u32> {
    let (mut reader, mut head, mut ids) = (Reader::default(), None, Vec::new());
    reader.feed(log);
    while let Some(read) = reader.next(|head| head.framing().unwrap_or(Framing::Length(0))) {
        match read {
            Read::Head(new) => {
                ids.push(new.number("x-id").expect("an id") as u32);
                head = Some(new);
            }
            Read::End(body) => check_body(head.as_ref().expect("a head"), &body, ledger),
        }
    }
    // A head cut behind its first lines still names its request.
    if let Ok(text) = std::str::from_utf8(reader.rest())
        && head_is_next(&reader)
        && let Some((_, rest)) = text.split_once("X-Id: ")
        && let Some((id, _)) = rest.split_once("\r\n")
    {
        ids.push(id.parse().expect("an id"));
    }
    ids
}

fn head_is_next(reader: &Reader) -> bool {
    reader.is_inside()
        && !reader.rest().is_empty()
        && reader.body.is_empty()
        && reader.rest()[0].is_ascii_uppercase()
}

/// How often a request may be found in the logs of all connections together.
pub fn sent_max(method: &str, retries: u32) -> usize {
    if Request::is_idempotent(method) { retries as usize + 2 } else { 1 }
}
