//! HTTP/1.1 as bytes in, values out (RFC 9110, RFC 9112).
//!
//! Nothing here reads, writes, waits or knows which side of the proxy it works for. "Not yet" is a value
//! ([`Parsed::Partial`]), not an error.

pub mod body;
pub mod chunked;
pub mod date;
pub mod head;
pub mod persist;
pub mod request;
pub mod response;
pub mod rewrite;
pub mod status;

mod fields;
mod forwarded;
mod framing;
mod grammar;
mod host;
mod request_line;
mod scan;
mod section;
mod target;
mod trailers;

#[cfg(test)]
mod tests;

/// What a parser made of the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head is complete and is this many bytes long, blank line included.
    Complete(usize),
    /// So far so good; read more.
    Partial,
}

/// Protocol version of a message as received. Other 1.x minors count as 1.1 (RFC 9110 section 2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1 and above.
    #[default]
    Http11,
}

/// Who wrote a message. Some blanks that servers put where the grammar has none must be taken from a backend, less
/// themselves, and refused from a client (RFC 9112 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A client: what it sends may be meant for two readers.
    Client,
    /// A backend.
    Backend,
}

/// How the end of a body is known (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    Empty,
    /// Exactly this many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Everything until the peer closes (responses only).
    UntilClose,
}

/// The methods whose meaning matters to a proxy; any other token is [`Method::Other`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // each variant is the registered method of that name
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Trace,
    Patch,
    #[default]
    Other,
}

impl Method {
    /// The method a token names; methods are case-sensitive (RFC 9110 section 9.1).
    pub fn of(token: &[u8]) -> Method {
        match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            _ => Method::Other,
        }
    }

    /// Whether sending it twice has the effect of sending it once (RFC 9110 section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        !matches!(self, Method::Post | Method::Patch | Method::Other)
    }
}

/// A stretch of the bytes a head was parsed from, so that a parse outlives no borrow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u16,
    /// One past the last byte.
    pub end: u16,
}

impl Span {
    /// The bytes it names in `bytes`.
    pub fn of<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.start as usize..self.end as usize]
    }
}

/// Bounds on a head, in bytes and counts; each is a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request line, its CRLF included: 414 beyond it.
    pub request_line: usize,
    /// Whole request head: 431 beyond it. At most 65,535, so that a [`Span`] reaches.
    pub request_head: usize,
    /// Whole response head: 502 beyond it. At most 65,535, so that a [`Span`] reaches.
    pub response_head: usize,
    /// Fields in one head: 431 (request) or 502 (response) beyond it. At most 1,000.
    pub fields: usize,
}

impl Limits {
    /// The widest there are, for a head that was measured before.
    pub const MOST: Limits =
        Limits { request_line: 65_535, request_head: 65_535, response_head: 65_535, fields: 1000 };
}

impl Default for Limits {
    fn default() -> Self {
        Limits { request_line: 8 * 1024, request_head: 32 * 1024, response_head: 65_535, fields: 100 }
    }
}
