//! Request heads: what is accepted, and what it means for the proxy.

use super::{Framing, Limits, Method, Parsed, Span, Version};

/// A request that is answered by us, not forwarded: the status and why, in words for the log and the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 405, 414, 417, 431, 501 or 505.
    pub status: u16,
    /// One short phrase, e.g. `bare LF in the head`.
    pub reason: &'static str,
}

/// Form of a request target (RFC 9112 section 3.2); authority-form only comes with CONNECT, which is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/path?query`, as received.
    Origin(Span),
    /// `http://authority/path?query`: the authority replaces Host; an empty path span stands for `/`.
    Absolute {
        /// `host[:port]`, userinfo refused.
        authority: Span,
        /// From the path's slash (or `?`) on; may be empty.
        path: Span,
    },
    /// `*`, with OPTIONS only.
    Asterisk,
}

/// All of a request head that outlives its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// Registered method, for its semantics.
    pub method: Method,
    /// As received.
    pub version: Version,
    /// How its body ends.
    pub framing: Framing,
    /// Whether the client can take another response on this connection (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// `Expect: 100-continue` on HTTP/1.1.
    pub expect_continue: bool,
    /// `TE: trailers`: the client takes trailer fields.
    pub accepts_trailers: bool,
    /// An upgrade we are willing to tunnel was asked for (HTTP/1.1, Connection names it, not h2c).
    pub upgrade: bool,
    /// `Max-Forwards` of a TRACE or OPTIONS.
    pub max_forwards: Option<u32>,
}

/// A request head as offsets into the bytes it was parsed from. Reused from one request to the next.
#[derive(Debug, Default)]
pub struct RequestHead {
    /* the http1 work fills this in: method, target, facts, fields */
    method: Span,
}

impl RequestHead {
    /// Parses the head at the front of `bytes`. `Partial` while no blank line is in sight and no limit is passed.
    pub fn parse(&mut self, bytes: &[u8], limits: &Limits) -> Result<Parsed, Refusal> {
        let _ = (bytes, limits, &self.method);
        unimplemented!()
    }
    /// Method as received.
    pub fn method(&self) -> Span {
        unimplemented!()
    }
    /// Request target as received (for the log).
    pub fn target(&self) -> Span {
        unimplemented!()
    }
    /// Its form.
    pub fn form(&self) -> Target {
        unimplemented!()
    }
    /// What outlives the bytes.
    pub fn facts(&self) -> RequestFacts {
        unimplemented!()
    }
}
