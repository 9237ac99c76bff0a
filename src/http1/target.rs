//! The request target in its forms (RFC 9112 section 3.2).
//!
//! Paths and queries are passed through byte for byte: nothing here decodes, normalises or resolves them.

use super::host;
use super::request::{Refusal, Target, bad};
use super::{Method, Span};

const SCHEME: &str = "http://";

/// Reads the target at `span`, whose bytes are known to be of a target.
pub(super) fn read(bytes: &[u8], span: Span, method: Method) -> Result<Target, Refusal> {
    let target = span.of(bytes);
    match target {
        [b'/', ..] => Ok(Target::Origin(span)),
        b"*" if method == Method::Options => Ok(Target::Asterisk),
        b"*" => Err(bad("* as a request target is for OPTIONS")),
        _ => absolute(target, span),
    }
}

fn absolute(target: &[u8], span: Span) -> Result<Target, Refusal> {
    let begins = |scheme: &str| {
        target.get(..scheme.len()).is_some_and(|front| front.eq_ignore_ascii_case(scheme.as_bytes()))
    };
    if begins("https://") {
        // Not over a connection that nothing secures (RFC 9110 section 7.4); we have no other.
        return Err(Refusal { status: 421, reason: "an https URI on a connection without TLS" });
    }
    if !begins(SCHEME) {
        return Err(bad("request target is neither a path nor an http URI"));
    }
    let rest = &target[SCHEME.len()..];
    let authority_len = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    if !host::is_valid(&rest[..authority_len]) {
        return Err(bad("bad authority in the request target"));
    }
    let start = span.start + SCHEME.len() as u16;
    let middle = start + authority_len as u16;
    Ok(Target::Absolute {
        authority: Span { start, end: middle },
        path: Span { start: middle, end: span.end },
    })
}
