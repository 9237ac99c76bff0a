//! The request target in its forms (RFC 9112 section 3.2).
//!
//! Paths and queries are passed through byte for byte: nothing here decodes, normalises or resolves them.

use super::host;
use super::request::Target;
use super::{Method, Span};

/// Reads the target at `span`, whose bytes are known to be of a target. The error says what is wrong with it; all deserve a 400.
pub(super) fn read(bytes: &[u8], span: Span, method: Method) -> Result<Target, &'static str> {
    let target = span.of(bytes);
    match target {
        [b'/', ..] => Ok(Target::Origin(span)),
        b"*" if method == Method::Options => Ok(Target::Asterisk),
        b"*" => Err("* as a request target is for OPTIONS"),
        _ => absolute(target, span),
    }
}

fn absolute(target: &[u8], span: Span) -> Result<Target, &'static str> {
    let scheme_len = ["http://", "https://"].iter().find_map(|scheme| {
        let front = target.get(..scheme.len())?;
        front.eq_ignore_ascii_case(scheme.as_bytes()).then_some(scheme.len())
    });
    let Some(scheme_len) = scheme_len else {
        return Err("request target is neither a path nor an http URI");
    };
    let rest = &target[scheme_len..];
    let authority_len = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    if !host::is_valid(&rest[..authority_len]) {
        return Err("bad authority in the request target");
    }
    let start = span.start + scheme_len as u16;
    let middle = start + authority_len as u16;
    Ok(Target::Absolute {
        authority: Span { start, end: middle },
        path: Span { start: middle, end: span.end },
    })
}
