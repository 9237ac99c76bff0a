//! Response heads from a backend: what is accepted, and what it means for the proxy.
//!
//! A backend is trusted no more than a client: what is malformed or ambiguous is a 502. Nothing here forwards; see
//! [`rewrite`](super::rewrite).

use super::fields::{self, ConnectionOptions, FieldKind};
use super::framing::{self, FramingFields, Message};
use super::request::RequestHead;
use super::section::Section;
use super::{Framing, Limits, Method, Parsed, Span, Version, persist, scan};

/// Why a response cannot be forwarded (the client gets 502), in words for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadResponse(pub &'static str);

/// All of a response head that outlives its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseFacts {
    /// 100..=599 as sent.
    pub status: u16,
    /// As received.
    pub version: Version,
    /// How its body ends (the request's method has been taken into account).
    pub framing: Framing,
    /// Whether the backend will take another request on this connection.
    pub keep_alive: bool,
    /// It says `Connection: close`.
    pub says_close: bool,
    /// The answer to a HEAD that does not say it would be empty, or a 304 with a length: some origins send the content
    /// all the same.
    pub announces_content: bool,
    /// A 401 or 407 that offers a scheme which logs the connection in, not the request.
    pub offers_login: bool,
    /// Seconds the backend says it keeps an idle connection.
    pub keep_alive_timeout: Option<u32>,
    /// Nothing in it speaks against using the connection again ([`persist`](super::persist)).
    pub keeps_plainly: bool,
    /// Whether it carries a Date.
    pub has_date: bool,
    /// Connection names fields that go no further; its trailer section is then dropped.
    pub nominates: bool,
}

impl ResponseFacts {
    /// Whether another response head follows for the same request: a 1xx (RFC 9110 section 15.2) other than 101, which
    /// ends HTTP on the connection instead.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// What of a head can be sent on as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Copies {
    /// The status line and the lines of the fields that stay.
    #[default]
    All,
    /// The lines of the fields that stay.
    Fields,
    /// Not even those: there are blanks behind names, or zeros in front of the length.
    Parts,
}

/// A response head as offsets into the bytes it was parsed from. Reused.
#[derive(Debug, Default)]
pub struct ResponseHead {
    pub(super) facts: ResponseFacts,
    pub(super) section: Section<(u16, Version, Method), true>,
    /// From the status code to the end of the status line, its CRLF not included.
    pub(super) status_line: Span,
    /// How the head can be sent on.
    pub(super) copies: Copies,
    /// Offset of the first field line.
    pub(super) fields_start: usize,
    /// Length of the head, empty line included.
    pub(super) len: usize,
    /// The answer to a HEAD.
    pub(super) answers_head: bool,
    upgrade_offered: bool,
}

impl ResponseHead {
    /// Parses the head at the front of `bytes`, the answer to a request with `method`.
    pub fn parse(&mut self, bytes: &[u8], method: Method, limits: &Limits) -> Result<Parsed, BadResponse> {
        let most = limits.response_head.min(u16::MAX as usize);
        let window = &bytes[..bytes.len().min(most)];
        let too_long = Err(BadResponse("response head too long"));
        let is_full = window.len() == most;
        let Some(fields_start) = self.read_line(window)? else {
            return if is_full { too_long } else { Ok(Parsed::Partial) };
        };
        match self.section.read(window, fields_start, limits.fields)? {
            Parsed::Partial if is_full => too_long,
            Parsed::Partial => Ok(Parsed::Partial),
            Parsed::Complete(len) => {
                self.fields_start = fields_start;
                self.len = len;
                let key = (self.facts.status, self.facts.version, method);
                if !self.section.take_settled(&key) {
                    self.read_fields(window, method)?;
                }
                self.section.settle(key);
                Ok(Parsed::Complete(len))
            }
        }
    }

    /// What outlives the bytes.
    pub fn facts(&self) -> ResponseFacts {
        self.facts
    }

    /// Whether Connection and Upgrade name a protocol other than h2c, as a 101 must (RFC 9110 section 7.8).
    pub fn upgrade_offered(&self) -> bool {
        self.upgrade_offered
    }

    /// Whether it has an Upgrade, and a Connection that names it, whatever the protocol.
    pub fn names_upgrade(&self, bytes: &[u8]) -> bool {
        let mut connection = ConnectionOptions::default();
        let mut has_upgrade = false;
        for field in self.section.fields() {
            match field.kind {
                FieldKind::Upgrade => has_upgrade = true,
                FieldKind::Connection => drop(connection.read(field.value.of(bytes))), // was good before
                _ => {}
            }
        }
        has_upgrade && connection.upgrade
    }

    /// Whether a 101 is a switch to protocols that `request` named, and nothing else (RFC 9110 section 7.8). Each comes with
    /// the bytes it was parsed from.
    pub fn switches_within(&self, bytes: &[u8], request: &RequestHead, asked: &[u8]) -> bool {
        let is_asked = |protocol: &[u8]| {
            fields::protocols(request.section.fields(), asked)
                .flatten()
                .any(|named| named.eq_ignore_ascii_case(protocol))
        };
        self.upgrade_offered
            && fields::protocols(self.section.fields(), bytes).all(|named| named.is_some_and(is_asked))
    }

    /// Reason phrase as received, which may be empty (for the log).
    pub fn reason(&self) -> Span {
        Span { start: (self.status_line.start + 4).min(self.status_line.end), end: self.status_line.end }
    }

    /// Reads the status line (RFC 9112 section 4), and gives the offset after it if it is there.
    fn read_line(&mut self, window: &[u8]) -> Result<Option<usize>, BadResponse> {
        let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', hundreds, tens, units, after @ ..] =
            window
        else {
            return check_partial_line(window).map(|()| None);
        };
        let digits = [hundreds, tens, units].map(|digit| u16::from(digit.wrapping_sub(b'0')));
        if !minor.is_ascii_digit() || digits.iter().any(|digit| *digit > 9) {
            return Err(BAD_LINE);
        }
        let status = digits[0] * 100 + digits[1] * 10 + digits[2];
        if !(100..=599).contains(&status) {
            return Err(BadResponse("status code out of range"));
        }
        // The blank before an empty reason is often left out; it is put back when forwarded.
        let reason_len = scan::text_end(after, 0);
        if reason_len == after.len() {
            return Ok(None);
        }
        if reason_len > 0 && after[0] != b' ' {
            return Err(BAD_LINE);
        }
        let end = window.len() - after.len() + reason_len;
        match &window[end..] {
            [b'\r', b'\n', ..] => {}
            [b'\r'] => return Ok(None),
            [b'\n', ..] => return Err(BadResponse("bare LF in the head")),
            _ => return Err(BAD_LINE),
        }
        self.facts.status = status;
        self.facts.version = if *minor == b'0' { Version::Http10 } else { Version::Http11 };
        self.copies = if *minor == b'1' && reason_len > 0 { Copies::All } else { Copies::Fields };
        self.status_line = Span { start: b"HTTP/1.1 ".len() as u16, end: end as u16 };
        Ok(Some(end + 2))
    }

    /// Reads what the fields mean together.
    fn read_fields(&mut self, bytes: &[u8], method: Method) -> Result<(), BadResponse> {
        let mut framing = FramingFields::default();
        let mut connection = ConnectionOptions::default();
        let (mut has_upgrade, mut offers_login) = (false, false);
        self.facts.keep_alive_timeout = None;
        self.facts.has_date = false;
        for field in self.section.fields() {
            match field.kind {
                FieldKind::ContentLength => framing.content_length(field.value.of(bytes))?,
                FieldKind::TransferEncoding => framing.transfer_encoding(field.value.of(bytes))?,
                FieldKind::Connection => connection.read(field.value.of(bytes))?,
                FieldKind::Upgrade => has_upgrade = true,
                FieldKind::Challenge => {
                    offers_login |= fields::is_bound_to_connection(field.value.of(bytes));
                }
                FieldKind::KeepAlive => {
                    self.facts.keep_alive_timeout = fields::keep_alive_timeout(field.value.of(bytes));
                }
                FieldKind::Date => self.facts.has_date = true,
                _ => {}
            }
        }
        if connection.nominates {
            self.section.mark_nominated(bytes);
            self.facts.has_date = self.section.fields().iter().any(|field| field.kind == FieldKind::Date);
        }
        if framing.is_padded() {
            self.section.mark_padded();
        }
        if self.section.take_blanks() | framing.is_padded() {
            self.copies = Copies::Parts;
        }
        let ResponseFacts { status, version, .. } = self.facts;
        self.facts.framing = framing.end_of_body(Message::Response { status, method }, version)?;
        // After a message that does not say where it ends, or says it where it must not, what follows cannot be trusted.
        let ends_plainly = match status {
            100..=199 | 204 => !framing.announces_content(),
            205 => framing.has_length(),
            _ => self.facts.framing != Framing::UntilClose,
        };
        self.facts.keep_alive = ends_plainly && connection.persists(version);
        self.facts.says_close = connection.close;
        self.facts.announces_content = match method {
            Method::Head => !framing.is_empty(),
            _ => status == 304 && framing.announces_content(),
        };
        self.facts.offers_login = offers_login && matches!(status, 401 | 407);
        self.facts.keeps_plainly = self.facts.keep_alive
            && !self.facts.announces_content
            && !self.facts.offers_login
            && self.facts.keep_alive_timeout.is_none()
            && !persist::is_doubtful(status);
        self.facts.nominates = connection.nominates;
        self.answers_head = method == Method::Head;
        self.upgrade_offered =
            has_upgrade && connection.upgrade && fields::offers_upgrade(self.section.fields(), bytes);
        Ok(())
    }
}

/// Refuses what cannot become a status line, and one too short.
fn check_partial_line(window: &[u8]) -> Result<(), BadResponse> {
    let shape: &[u8; 12] = b"HTTP/1.D DDD";
    let fits = |(byte, wanted): (&u8, &u8)| byte == wanted || (*wanted == b'D' && byte.is_ascii_digit());
    if window.iter().zip(shape).all(fits) { Ok(()) } else { Err(BAD_LINE) }
}

const BAD_LINE: BadResponse = BadResponse("bad status line");

impl From<fields::Fault> for BadResponse {
    fn from(fault: fields::Fault) -> Self {
        BadResponse(fault.reason())
    }
}

impl From<framing::Fault> for BadResponse {
    fn from(fault: framing::Fault) -> Self {
        match fault {
            framing::Fault::Malformed(reason) => BadResponse(reason),
            framing::Fault::UnknownCoding => BadResponse("unknown transfer coding"),
        }
    }
}
