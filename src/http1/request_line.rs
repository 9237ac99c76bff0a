//! The request line (RFC 9112 section 3): read in one look if it is like nearly all, else judged, and told to the log if it
//! is refused. What its target means is target.rs's.

use super::grammar::{self, TARGET, TOKEN};
use super::request::{Refusal, bad};
use super::{Span, Version, scan};

/// Offset after the empty lines to be skipped; `None` if that cannot be told yet. Further ones, and any that end in a
/// bare LF, are left for the request line to fail on.
pub(super) fn after_empty_lines(window: &[u8]) -> Option<usize> {
    const SKIPPED_MAX: usize = 2; // what a client sends too much after a body, with one to spare
    let mut start = 0;
    while start < 2 * SKIPPED_MAX {
        match &window[start..] {
            [b'\r', b'\n', ..] => start += 2,
            [] | [b'\r'] => return None,
            _ => break,
        }
    }
    Some(start)
}

/// A request line whose method is a token and whose target has only bytes of a target.
pub(super) struct RequestLine {
    pub(super) method_len: usize,
    pub(super) target_len: usize,
    pub(super) version: Version,
    /// It ends in `HTTP/1.1`, so that much of it can be sent on.
    pub(super) is_current: bool,
    /// CRLF included.
    pub(super) len: usize,
}

/// The line nearly every request has, in one look at each byte. `None` for all others, good or bad.
pub(super) fn usual(rest: &[u8]) -> Option<RequestLine> {
    const END: &[u8] = b" HTTP/1.1\r\n";
    let method_len = if rest.starts_with(b"GET ") {
        3
    } else {
        rest.iter().position(|byte| !grammar::is(*byte, TOKEN))?
    };
    let target_len = scan::target_end(rest, method_len + 1) - method_len - 1;
    let is_it =
        method_len > 0 && rest[method_len] == b' ' && rest[method_len + 1 + target_len..].starts_with(END);
    let len = method_len + 1 + target_len + END.len();
    is_it.then_some(RequestLine { method_len, target_len, version: Version::Http11, is_current: true, len })
}

/// Any other request line: its like, or what is wrong with it, or `None` if its end is not there.
pub(super) fn any(rest: &[u8], most: usize, is_full: bool) -> Result<Option<RequestLine>, Refusal> {
    let searched = &rest[..rest.len().min(most)];
    let Some(newline) = memchr::memchr(b'\n', searched) else {
        check_partial_line(searched)?;
        if searched.len() < most && !is_full {
            return Ok(None);
        }
        // RFC 9112 section 3 tells the two apart.
        return Err(match memchr::memchr(b' ', searched) {
            Some(_) => Refusal { status: 414, reason: "request line too long" },
            None => Refusal { status: 501, reason: "method too long" },
        });
    };
    let line = searched[..newline].strip_suffix(b"\r").ok_or(bad("bare LF in the head"))?;
    let (front, version) = split_version(line)?;
    let method_len = memchr::memchr(b' ', front).ok_or(bad("no method or no request target"))?;
    let target = &front[method_len + 1..];
    if !grammar::is_token(&front[..method_len]) {
        return Err(bad("bad method"));
    }
    if !grammar::all(target, TARGET) {
        return Err(bad("blank, control, non-ASCII or # in the request target"));
    }
    let is_current = line.ends_with(b"HTTP/1.1");
    Ok(Some(RequestLine { method_len, target_len: target.len(), version, is_current, len: newline + 1 }))
}

/// Refuses a line without its end as soon as it cannot become a request line: TLS and other protocols at this port
/// get their answer at once.
fn check_partial_line(rest: &[u8]) -> Result<(), Refusal> {
    let mut parts = rest.splitn(3, |byte| *byte == b' ');
    let method = parts.next().unwrap_or_default();
    if !grammar::all(method, TOKEN) || (method.is_empty() && !rest.is_empty()) {
        return Err(bad("bad method"));
    }
    if !grammar::all(parts.next().unwrap_or_default(), TARGET) {
        return Err(bad("bad request target"));
    }
    Ok(())
}

/// The line less its version, and that.
fn split_version(line: &[u8]) -> Result<(&[u8], Version), Refusal> {
    let blank = memchr::memrchr(b' ', line).ok_or(bad("no version in the request line"))?;
    let front = &line[..blank];
    match &line[blank + 1..] {
        b"HTTP/1.0" => Ok((front, Version::Http10)),
        b"HTTP/1.1" => Ok((front, Version::Http11)),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            if *major == b'1' {
                Ok((front, Version::Http11))
            } else {
                Err(Refusal { status: 505, reason: "only HTTP/1.x is served here" })
            }
        }
        _ => Err(bad("bad version in the request line")),
    }
}

/// Bytes of a refused request's method and target that are told to the log.
pub(super) const METHOD_TOLD_MAX: usize = 64;
pub(super) const TARGET_TOLD_MAX: usize = 8 * 1024;

/// Of a request line that is refused: which words of it are, as far as one can tell, its method and its target; nothing of
/// another protocol.
pub(super) fn told(window: &[u8]) -> (Span, Span) {
    let start = after_empty_lines(window).unwrap_or(window.len());
    let rest = &window[start..];
    let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let method_len = memchr::memchr(b' ', line).unwrap_or(line.len());
    if !line[..method_len].iter().all(u8::is_ascii_graphic) {
        return Default::default();
    }
    let span = |from: usize, to: usize| Span { start: (start + from) as u16, end: (start + to) as u16 };
    let from = (method_len + 1).min(line.len());
    (span(0, method_len), span(from, from + target_told(&line[from..])))
}

/// How much of what stands behind a method is the target: all before the last word if that looks like a version, else the
/// first word.
fn target_told(rest: &[u8]) -> usize {
    let is_version = |word: &[u8]| {
        word.get(..4).is_some_and(|front| front.eq_ignore_ascii_case(b"HTTP")) && word.len() <= 16
    };
    match memchr::memrchr(b' ', rest) {
        Some(last) if is_version(&rest[last + 1..]) => last,
        _ => memchr::memchr(b' ', rest).unwrap_or(rest.len()),
    }
}

/// Appends at most `max` bytes of these, or of what they are written as. A log is read by machines that expect UTF-8, and
/// on terminals.
pub(super) fn push_visible(bytes: &[u8], max: usize, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let end = out.len() + max;
    for byte in bytes.iter().take(max) {
        if byte.is_ascii_graphic() || *byte == b' ' {
            out.push(*byte);
        } else {
            out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    out.truncate(end);
}
