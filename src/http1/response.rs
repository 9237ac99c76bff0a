//! Response heads from a backend: what is accepted, and what it means for the proxy.

use super::{Framing, Limits, Method, Parsed, Version};

/// Why a response cannot be forwarded (the client gets 502), in words for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadResponse(pub &'static str);

/// All of a response head that outlives its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFacts {
    /// 100..=999 as sent.
    pub status: u16,
    /// As received.
    pub version: Version,
    /// How its body ends (the request's method has been taken into account).
    pub framing: Framing,
    /// Whether the backend will take another request on this connection.
    pub keep_alive: bool,
}

/// A response head as offsets into the bytes it was parsed from. Reused.
#[derive(Debug, Default)]
pub struct ResponseHead {}

impl ResponseHead {
    /// Parses the head at the front of `bytes`, the answer to a request with `method`.
    pub fn parse(&mut self, bytes: &[u8], method: Method, limits: &Limits) -> Result<Parsed, BadResponse> {
        let _ = (bytes, method, limits);
        unimplemented!()
    }
    /// What outlives the bytes.
    pub fn facts(&self) -> ResponseFacts {
        unimplemented!()
    }
}
