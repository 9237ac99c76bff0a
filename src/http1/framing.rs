//! Where a body ends, by Content-Length and Transfer-Encoding (RFC 9112 sections 6.1 to 6.3).
//!
//! One reading for both directions, so that neither side of the proxy can see another body than the other.

use super::grammar::{decimal, is_token, members};
use super::{Framing, Method, Version};

/// Digits of a Content-Length, zeros in front included, though those go no further. The grammar has no bound, but no
/// honest length comes near this one.
const LENGTH_DIGITS_MAX: usize = 20;

/// Why no end can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Malformed or ambiguous.
    Malformed(&'static str),
    /// Well-formed, but with a transfer coding other than chunked.
    UnknownCoding,
}

/// Which way a message travels, with what decides whether it can have a body at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Request,
    Response { status: u16, method: Method },
}

/// What the framing fields seen so far say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FramingFields {
    length: Option<u64>,
    is_padded: bool,
    has_coding: bool,
    chunked: bool,
    foreign: bool,
}

impl FramingFields {
    /// Takes in the value of a Content-Length field. A second one is refused even if equal.
    pub(super) fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        if value.len() > LENGTH_DIGITS_MAX {
            return Err(Fault::Malformed("bad Content-Length"));
        }
        if self.length.is_some() {
            return Err(Fault::Malformed("several Content-Length fields"));
        }
        self.length = Some(decimal(value).ok_or(Fault::Malformed("bad Content-Length"))?);
        self.is_padded = value[0] == b'0' && value.len() > 1; // a number has a digit
        Ok(())
    }

    /// Takes in the value of a Transfer-Encoding field; several count as one list, in order.
    pub(super) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.has_coding = true;
        let mut any = false;
        for coding in members(value) {
            any = true;
            if self.chunked {
                return Err(Fault::Malformed("chunked is not the last transfer coding, or not the only one"));
            }
            let name_len = memchr::memchr3(b';', b' ', b'\t', coding).unwrap_or(coding.len());
            let name = &coding[..name_len];
            if !is_token(name) {
                return Err(Fault::Malformed("bad Transfer-Encoding"));
            }
            if !name.eq_ignore_ascii_case(b"chunked") {
                self.foreign = true;
            } else if name.len() < coding.len() {
                return Err(Fault::Malformed("chunked takes no parameters"));
            } else {
                self.chunked = true;
            }
        }
        if any { Ok(()) } else { Err(Fault::Malformed("empty Transfer-Encoding")) }
    }

    /// How the body ends: RFC 9112 section 6.3, its rules in its order, after what is refused whatever the rule.
    pub(super) fn end_of_body(self, message: Message, version: Version) -> Result<Framing, Fault> {
        if self.has_coding {
            if version == Version::Http10 {
                return Err(Fault::Malformed("Transfer-Encoding in HTTP/1.0"));
            }
            if self.length.is_some() {
                return Err(Fault::Malformed("Transfer-Encoding and Content-Length"));
            }
            if self.foreign {
                return Err(Fault::UnknownCoding);
            }
        }
        match message {
            // Rule 1.
            Message::Response { method: Method::Head, .. }
            | Message::Response { status: 100..=199 | 204 | 304, .. } => Ok(Framing::Empty),
            Message::Response { status: 205, .. } => self.reset_content(),
            // Rules 3 and 4: a coding is there, and chunked is its last (and only) member.
            _ if self.has_coding => Ok(Framing::Chunked),
            // Rules 5 and 6.
            _ if self.length.is_some() => Ok(Framing::Length(self.length.unwrap_or(0))),
            // Rule 7.
            Message::Request => Ok(Framing::Empty),
            // Rule 8.
            Message::Response { .. } => Ok(Framing::UntilClose),
        }
    }

    /// A 205 has no content (RFC 9110 section 15.3.6). By rule 8 one without a length runs until close; taking it as
    /// empty, on a connection that is then not used again, saves the client the wait. One in chunks is taken so, too: that
    /// they bring none is seen too late.
    fn reset_content(self) -> Result<Framing, Fault> {
        match self.length {
            Some(0) => Ok(Framing::Length(0)),
            Some(_) => Err(Fault::Malformed("content in a 205")),
            None => Ok(Framing::Empty),
        }
    }

    /// Whether there is a Content-Length.
    pub(super) fn has_length(self) -> bool {
        self.length.is_some()
    }

    /// Whether the Content-Length has zeros in front of its number.
    pub(super) fn is_padded(self) -> bool {
        self.is_padded
    }

    /// Whether the fields say that there is no content.
    pub(super) fn is_empty(self) -> bool {
        !self.has_coding && self.length == Some(0)
    }

    /// Whether the fields announce content, as none may in a 1xx or 204 (RFC 9110 section 8.6, RFC 9112 section 6.1).
    pub(super) fn announces_content(self) -> bool {
        self.has_coding || self.length.is_some_and(|length| length > 0)
    }
}
