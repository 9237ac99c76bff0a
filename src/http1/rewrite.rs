//! Heads as they are sent on: copied in runs, only what must change is written anew.

use super::request::RequestHead;
use super::response::ResponseHead;
use super::{Framing, Version};
use std::net::IpAddr;

/// What the forwarded request says about us and about the client.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// Peer address of the client connection.
    pub client: IpAddr,
    /// Whether the peer may be believed about X-Forwarded-* and Forwarded: then appended to, else replaced.
    pub trusted: bool,
    /// Whether the backend connection is to be kept open after the answer; if not, `Connection: close` is sent.
    pub keep_alive: bool,
    /// Our pseudonym for Via, e.g. `tidegate`.
    pub pseudonym: &'a str,
    /// Value for `X-Request-Id` when the client sent none; `None` switches it off.
    pub request_id: Option<&'a str>,
    /// Host to send when an HTTP/1.0 request has none (the backend's address).
    pub default_host: &'a str,
}

/// Appends to `out` the head to send to the backend. `bytes` are those `head` was parsed from.
pub fn request(head: &RequestHead, bytes: &[u8], how: &RequestContext<'_>, out: &mut Vec<u8>) {
    let _ = (head, bytes, how, out);
    unimplemented!()
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
    /// Our pseudonym for Via.
    pub pseudonym: &'a str,
    /// Date to add when the backend sent none: an IMF-fixdate, 29 bytes.
    pub date: &'a [u8],
    /// For a 101 that is to be tunnelled: keep `Connection: upgrade` and `Upgrade`.
    pub upgrade: bool,
}

/// Appends to `out` the head to send to the client, interim heads (1xx) included.
pub fn response(head: &ResponseHead, bytes: &[u8], how: &ResponseContext<'_>, out: &mut Vec<u8>) {
    let _ = (head, bytes, how, out);
    unimplemented!()
}

/// Appends to `out` the trailer section to send on (its final CRLF included) from a checked one, without the fields a
/// trailer must not carry (RFC 9110 section 6.5.1). With `keep` false: only the CRLF.
pub fn trailers(section: &[u8], keep: bool, out: &mut Vec<u8>) {
    let _ = (section, keep, out);
    unimplemented!()
}
