//! Heads as they are sent on: copied in runs, only what must change is written anew.
//!
//! A line that stays is copied as it came, in one stretch with its neighbours; those that are for one hop only, or that
//! we speak for, are left out and written at the end. Proxy-Authenticate and Proxy-Authorization stay: we neither ask
//! for nor check such credentials, and a proxy beyond us may (RFC 9110 section 11.7). Nothing here can fail, and nothing
//! here judges: the heads were checked when they were parsed.

use super::fields::{Field, FieldKind, padded_length, protocols};
use super::forwarded::{self, Forwarding};
use super::request::{RequestHead, Target};
use super::response::{Copies, ResponseHead};
use super::trailers::{is_forbidden, less_blanks};
use super::{Framing, Limits, Method, Parsed, Version};
use std::net::IpAddr;

/// What the forwarded request says of the client and of the host it asked for. Fewer fields leave room where an origin
/// bounds their number or size. What an untrusted client says there is dropped in any case; what a trusted peer says in
/// a form that we do not write goes on as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedFields {
    /// X-Forwarded-For, -Proto and -Host, and Forwarded (RFC 7239).
    #[default]
    All,
    /// X-Forwarded-* only.
    XForwarded,
    /// Forwarded only.
    Forwarded,
    /// Neither.
    Off,
}

impl ForwardedFields {
    /// Whether X-Forwarded-* are written.
    pub(super) fn has_x_forwarded(self) -> bool {
        matches!(self, ForwardedFields::All | ForwardedFields::XForwarded)
    }

    /// Whether Forwarded is written.
    pub(super) fn has_forwarded(self) -> bool {
        matches!(self, ForwardedFields::All | ForwardedFields::Forwarded)
    }
}

/// Which messages get a Via.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ViaFields {
    /// Requests and answers.
    #[default]
    Both,
    /// Requests, as RFC 9110 section 7.6.3 asks of a gateway; in answers it may be left out.
    Request,
    /// None, against that section.
    Off,
}

/// What the forwarded request says about us and about the client.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// Peer address of the client connection.
    pub client: IpAddr,
    /// Whether the peer may be believed about X-Forwarded-*, Forwarded and X-Real-IP: then appended to or kept, else replaced.
    pub trusted: bool,
    /// Whether the backend connection is to be kept open after the answer; if not, `Connection: close` is sent.
    pub keep_alive: bool,
    /// Our pseudonym for Via, e.g. `tidegate`.
    pub pseudonym: &'a str,
    /// Which forms of X-Forwarded-* and Forwarded are sent.
    pub forwarded: ForwardedFields,
    /// Whether `X-Real-IP` is sent: the client's address, or what a trusted peer said there.
    pub x_real_ip: bool,
    /// Whether Via is sent.
    pub via: bool,
    /// Value for `X-Request-Id` when the client sent none; `None` switches it off.
    pub request_id: Option<&'a str>,
}

/// Appends to `out` the head to send to the backend. `bytes` are those `head` was parsed from. A request that names no host
/// is not finished by that: see [`put_host`].
pub fn request(head: &RequestHead, bytes: &[u8], how: &RequestContext<'_>, out: &mut Vec<u8>) {
    let facts = head.facts();
    // Enough for all that is added below, so that a fresh Vec grows once.
    out.reserve(head.len + 512);
    let run_start = if head.line_is_final {
        head.method.start as usize
    } else {
        write_request_line(head, bytes, out);
        head.fields_start
    };
    let authority_rules = matches!(head.form, Target::Absolute { .. });
    let authority = head.authority().map(|span| span.of(bytes)).filter(|host| !host.is_empty());
    if authority_rules {
        line(out, "Host", authority.unwrap_or_default()); // never empty
    }
    let mut has_request_id = false;
    copy_runs(bytes, run_start, head.len - 2, head.section.fields(), out, |kind| match kind {
        FieldKind::Other
        | FieldKind::Via
        | FieldKind::Date
        | FieldKind::ContentLength
        | FieldKind::Credentials
        | FieldKind::Challenge => true,
        FieldKind::Host => !authority_rules,
        FieldKind::XRequestId => {
            has_request_id = true;
            true
        }
        FieldKind::Expect => facts.expect_continue,
        FieldKind::MaxForwards => facts.max_forwards.is_none(),
        FieldKind::XForwardedOther | FieldKind::XRealIp | FieldKind::TrueClientIp => how.trusted,
        FieldKind::XForwardedFor | FieldKind::XForwardedProto | FieldKind::XForwardedHost => {
            how.trusted && !how.forwarded.has_x_forwarded()
        }
        FieldKind::Forwarded => how.trusted && !how.forwarded.has_forwarded(),
        _ => false,
    });
    if facts.framing == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if head.has_numbers {
        write_numbers(head, bytes, out);
    }
    if how.via {
        write_via(facts.version, how.pseudonym, out);
    }
    let earlier = || how.trusted.then_some((head.section.fields(), bytes));
    match (how.client.to_canonical(), authority) {
        (IpAddr::V4(address), Some(host)) if !how.trusted && how.forwarded == ForwardedFields::All => {
            forwarded::write_usual(address, host, out);
        }
        (client, host) => Forwarding { client, host, earlier: earlier() }.write(how.forwarded, out),
    }
    if how.x_real_ip {
        forwarded::write_real_ip(how.client, earlier(), out);
    }
    if let (Some(id), false) = (how.request_id, has_request_id) {
        line(out, "X-Request-Id", id.as_bytes());
    }
    if facts.upgrade | facts.accepts_trailers {
        write_options(head, bytes, how.keep_alive, out);
    } else if !how.keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The fields whose number is another one, or written otherwise, than the one received.
#[cold]
fn write_numbers(head: &RequestHead, bytes: &[u8], out: &mut Vec<u8>) {
    if let Some(length) = padded_length(head.section.fields(), bytes) {
        write_number("Content-Length", length, out);
    }
    if let Some(hops) = head.facts.max_forwards {
        write_number("Max-Forwards", u64::from(hops.saturating_sub(1)), out);
    }
}

/// What goes on to the backend though it is for one hop: an upgrade, and that trailers are taken.
#[cold]
fn write_options(head: &RequestHead, bytes: &[u8], keep_alive: bool, out: &mut Vec<u8>) {
    let facts = head.facts();
    if facts.upgrade {
        // No `close` beside it: some servers look for nothing but the one word.
        write_upgrade(head.section.fields(), bytes, facts.accepts_trailers, out);
    } else if keep_alive {
        out.extend_from_slice(b"Connection: TE\r\n");
    } else {
        out.extend_from_slice(b"Connection: close, TE\r\n");
    }
    if facts.accepts_trailers {
        out.extend_from_slice(b"TE: trailers\r\n");
    }
}

/// Gives the head that `out` begins with a Host, for a request that came without one ([`lacks_host`]); in place of the one
/// it was given before, if it goes to another backend now. Says how much longer the head has become.
///
/// [`lacks_host`]: super::request::RequestHead::lacks_host
#[cold]
pub fn put_host(host: &str, out: &mut Vec<u8>) -> isize {
    const NAME: &[u8] = b"Host: ";
    let line_end = |from: usize| memchr::memchr(b'\n', &out[from..]).map_or(out.len(), |at| from + at + 1);
    let start = line_end(0);
    let end = if out[start..].starts_with(NAME) { line_end(start) } else { start };
    let before = out.len();
    out.splice(start..end, [NAME, host.as_bytes(), b"\r\n"].concat());
    out.len() as isize - before as isize
}

/// The request line in origin-form or asterisk-form and as HTTP/1.1, whatever it came as.
fn write_request_line(head: &RequestHead, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(head.method.of(bytes));
    out.push(b' ');
    match head.form {
        Target::Origin(target) => out.extend_from_slice(target.of(bytes)),
        Target::Asterisk => out.push(b'*'),
        Target::Absolute { path, .. } => match path.of(bytes) {
            // RFC 9112 section 3.2.4: we are the last proxy on the way.
            [] if head.facts.method == Method::Options => out.push(b'*'),
            path => {
                if path.first() != Some(&b'/') {
                    out.push(b'/');
                }
                out.extend_from_slice(path);
            }
        },
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Appends to `out` the content of our own answer to a TRACE with `Max-Forwards: 0`: the request head as received, less
/// the fields that may hold credentials (RFC 9110 section 9.3.8). Its media type is `message/http`.
pub fn trace(head: &RequestHead, bytes: &[u8], out: &mut Vec<u8>) {
    const SECRETS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
    let mut names = head.section.fields().iter().map(|field| field.name.of(bytes));
    copy_runs(bytes, head.method.start as usize, head.len - 2, head.section.fields(), out, |_| {
        let name = names.next().unwrap_or_default();
        !SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret.as_bytes()))
    });
    out.extend_from_slice(b"\r\n");
}

/// What the forwarded response must say, whatever the backend said.
#[derive(Clone, Copy, Debug)]
pub struct ResponseContext<'a> {
    /// The client's version.
    pub client: Version,
    /// Whether the client connection is kept: else `Connection: close`; to a 1.0 client `Connection: keep-alive`.
    pub keep_alive: bool,
    /// How the body is framed towards the client (may differ from the backend's).
    pub framing: Framing,
    /// Whether Via is sent.
    pub via: bool,
    /// Our pseudonym for it.
    pub pseudonym: &'a str,
    /// Date to add when the backend sent none: an IMF-fixdate, 29 bytes.
    pub date: &'a [u8],
    /// For a 101 that is to be tunnelled: keep `Connection: upgrade` and `Upgrade`.
    pub upgrade: bool,
}

/// Appends to `out` the head to send to the client, interim heads (1xx) included.
#[inline]
pub fn response(head: &ResponseHead, bytes: &[u8], how: &ResponseContext<'_>, out: &mut Vec<u8>) {
    write_response::<true>(head, bytes, how, out);
}

/// Inlined, and not by way of itself, since the pseudonym is a constant where it matters.
#[inline(always)]
fn write_response<const MAY_HAVE_BLANKS: bool>(
    head: &ResponseHead,
    bytes: &[u8],
    how: &ResponseContext<'_>,
    out: &mut Vec<u8>,
) {
    let facts = head.facts();
    out.reserve(head.len + 256);
    let run_start = if head.copies == Copies::All {
        0
    } else {
        if MAY_HAVE_BLANKS && head.copies == Copies::Parts {
            let (again, less) = less_blanks_and_zeros(head, bytes);
            return write_response::<false>(&again, &less, how, out);
        }
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(head.status_line.of(bytes));
        // `200` alone: the blank before the (empty) reason is not optional (RFC 9112 section 4).
        let is_bare = head.status_line.of(bytes).len() == 3;
        out.extend_from_slice(if is_bare { b" \r\n" } else { b"\r\n" });
        head.fields_start
    };

    let is_interim = facts.status < 200;
    let has_no_body = is_interim || matches!(facts.status, 204 | 304) || head.answers_head;
    let length_may_stay = !is_interim
        && facts.status != 204
        && (has_no_body || matches!(how.framing, Framing::Length(_) | Framing::Empty));
    let mut has_length = false;
    copy_runs(bytes, run_start, head.len - 2, head.section.fields(), out, |kind| match kind {
        FieldKind::ContentLength => {
            has_length |= length_may_stay;
            length_may_stay
        }
        FieldKind::Connection
        | FieldKind::KeepAlive
        | FieldKind::HopByHop
        | FieldKind::Te
        | FieldKind::Upgrade
        | FieldKind::TransferEncoding
        | FieldKind::Explain
        | FieldKind::LookAlike
        | FieldKind::Nominated => false,
        _ => true,
    });
    if !has_no_body && !has_length {
        match how.framing {
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Framing::Empty => out.extend_from_slice(b"Content-Length: 0\r\n"),
            Framing::Length(length) => write_number("Content-Length", length, out),
            Framing::UntilClose => {}
        }
    }
    if !is_interim && !facts.has_date {
        line(out, "Date", how.date);
    }
    if how.via {
        write_via(facts.version, how.pseudonym, out);
    }
    write_response_connection(head, bytes, how, out);
    out.extend_from_slice(b"\r\n");
}

/// A head without the blanks behind names, which a proxy must remove (RFC 9112 section 5.1), and without zeros in front of
/// the length; with its bytes. Few servers send such, so it may allocate.
#[cold]
fn less_blanks_and_zeros(head: &ResponseHead, bytes: &[u8]) -> (ResponseHead, Vec<u8>) {
    let mut less = Vec::with_capacity(head.len);
    let mut rest = 0;
    for field in head.section.fields() {
        let name_end = usize::from(field.name.end);
        less.extend_from_slice(&bytes[rest..name_end]);
        rest = name_end + bytes[name_end..].iter().take_while(|byte| **byte != b':').count();
        if field.kind == FieldKind::PaddedLength {
            less.extend_from_slice(&bytes[rest..usize::from(field.value.start)]);
            let digits = field.value.of(bytes);
            let zeros = digits.iter().take(digits.len() - 1).take_while(|digit| **digit == b'0').count();
            rest = usize::from(field.value.start) + zeros;
        }
    }
    less.extend_from_slice(&bytes[rest..head.len]);
    let method = if head.answers_head { Method::Head } else { Method::Get };
    let mut again = ResponseHead::default();
    let parsed = again.parse(&less, method, &Limits::MOST);
    debug_assert_eq!(parsed, Ok(Parsed::Complete(less.len())));
    (again, less)
}

/// What the connection to the client will do next. Interim heads say nothing of it, but for a 101.
#[inline(always)]
fn write_response_connection(
    head: &ResponseHead,
    bytes: &[u8],
    how: &ResponseContext<'_>,
    out: &mut Vec<u8>,
) {
    let status = head.facts.status;
    if status == 101 && how.upgrade {
        write_upgrade(head.section.fields(), bytes, false, out);
    } else if status >= 200 {
        if !how.keep_alive {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if how.client == Version::Http10 {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        // A 426 is nothing without its Upgrade (RFC 9110 section 15.5.22), and we do tunnel what it asks for.
        if status == 426 && protocols(head.section.fields(), bytes).flatten().next().is_some() {
            write_upgrade(head.section.fields(), bytes, false, out);
        }
    }
}

/// Appends to `out` the trailer section to send on (its final CRLF included) from a checked one, without the fields a
/// trailer must not carry (RFC 9110 section 6.5.1) and without blanks before a colon. With `keep` false: only the CRLF.
pub fn trailers(section: &[u8], keep: bool, out: &mut Vec<u8>) {
    let mut rest = section;
    while keep && let Some(newline) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at(newline + 1);
        rest = after;
        // The empty line has no colon.
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let name = less_blanks(&line[..colon]);
        if !is_forbidden(name) {
            out.extend_from_slice(name);
            out.extend_from_slice(&line[colon..]);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The field that asks a proxy for its reasons, and that carries them back.
pub const EXPLAIN_FIELD: &str = "X-Tidegate-Explain";

/// Adds a field to the head that `out` ends with. `value` has neither CR nor LF nor NUL.
pub fn add_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    debug_assert!(out.ends_with(b"\r\n\r\n") && !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    out.truncate(out.len().saturating_sub(2));
    line(out, name, value);
    out.extend_from_slice(b"\r\n");
}

/// Copies `bytes[start..end]` but for the field lines that `stays` declines, in as few pieces as there are gaps.
fn copy_runs(
    bytes: &[u8],
    start: usize,
    end: usize,
    fields: &[Field],
    out: &mut Vec<u8>,
    mut stays: impl FnMut(FieldKind) -> bool,
) {
    let mut run_start = start;
    for (index, field) in fields.iter().enumerate() {
        if !stays(field.kind) {
            out.extend_from_slice(&bytes[run_start..field.name.start as usize]);
            run_start = fields.get(index + 1).map_or(end, |next| next.name.start as usize);
        }
    }
    out.extend_from_slice(&bytes[run_start..end]);
}

/// Inlined where the pseudonym is a constant: then it is a few moves.
#[inline(always)]
fn write_via(received: Version, pseudonym: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(if received == Version::Http10 { b"Via: 1.0 " } else { b"Via: 1.1 " });
    out.extend_from_slice(pseudonym.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The protocols offered, less what we do not tunnel, as one line.
fn write_upgrade(fields: &[Field], bytes: &[u8], with_te: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if with_te { b"Connection: upgrade, TE\r\n" } else { b"Connection: upgrade\r\n" });
    let mut before: &[u8] = b"Upgrade: ";
    for protocol in protocols(fields, bytes).flatten() {
        out.extend_from_slice(before);
        out.extend_from_slice(protocol);
        before = b", ";
    }
    out.extend_from_slice(b"\r\n");
}

fn write_number(name: &str, number: u64, out: &mut Vec<u8>) {
    line(out, name, itoa::Buffer::new().format(number).as_bytes());
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
