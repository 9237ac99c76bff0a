//! Request heads: what is accepted, and what it means for the proxy.
//!
//! Everything ambiguous or malformed is refused here, before a byte of it can reach an origin. Nothing here answers or
//! forwards; see [`rewrite`](super::rewrite).

use super::fields::{self, ConnectionOptions, Field, FieldKind};
use super::framing::{self, FramingFields, Message};
use super::grammar::{self, members};
use super::request_line::{self, METHOD_TOLD_MAX, TARGET_TOLD_MAX, push_visible};
use super::section::Section;
use super::{Framing, Limits, Method, Parsed, Span, Version, host, target};

/// A request that is answered by us, not forwarded: the status and why, in words for the log and the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 405, 414, 417, 421, 431, 501 or 505.
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

/// The same without the place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    #[default]
    Origin,
    Absolute,
    Asterisk,
}

impl Form {
    fn of(target: Target) -> Form {
        match target {
            Target::Origin(_) => Form::Origin,
            Target::Absolute { .. } => Form::Absolute,
            Target::Asterisk => Form::Asterisk,
        }
    }
}

/// All of a request head that outlives its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// Registered method, for its semantics.
    pub method: Method,
    /// As received.
    pub version: Version,
    /// How its body ends.
    pub framing: Framing,
    /// Whether the client can take another response on this connection (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// `Expect: 100-continue` on HTTP/1.1, with a body to wait for.
    pub expect_continue: bool,
    /// `TE: trailers`: the client takes trailer fields.
    pub accepts_trailers: bool,
    /// Credentials of a scheme that logs the connection in, not the request.
    pub login: bool,
    /// No content, no upgrade and no login: the usual request.
    pub is_plain: bool,
    /// An upgrade we are willing to tunnel was asked for (HTTP/1.1, Connection names it, not h2c). With content, the switch
    /// comes behind it (RFC 9110 section 7.8).
    pub upgrade: bool,
    /// `Max-Forwards` of a TRACE or OPTIONS.
    pub max_forwards: Option<u32>,
    /// Connection names fields that go no further. That holds for trailer fields too (RFC 9110 section 7.6.1), so the
    /// trailer section of such a message is dropped.
    pub nominates: bool,
}

impl RequestFacts {
    /// Whether content follows the head.
    pub fn has_content(&self) -> bool {
        !matches!(self.framing, Framing::Empty | Framing::Length(0))
    }
}

/// A request head as offsets into the bytes it was parsed from. Reused from one request to the next.
#[derive(Debug)]
pub struct RequestHead {
    pub(super) method: Span,
    pub(super) target: Span,
    pub(super) form: Target,
    /// The Host field's value, if there is a Host field.
    pub(super) host: Option<Span>,
    pub(super) facts: RequestFacts,
    /// With the version, the method and the form of the target.
    pub(super) section: Section<(Version, Method, Form)>,
    /// The request line can be sent on as it is.
    pub(super) line_is_final: bool,
    /// A number in its fields is to be written anew.
    pub(super) has_numbers: bool,
    lacks_host: bool,
    /// Offset of the first field line.
    pub(super) fields_start: usize,
    /// Length of the head, empty line included.
    pub(super) len: usize,
    /// The last Host found valid: the next one is often the same.
    pub(super) valid_host: Vec<u8>,
}

impl Default for RequestHead {
    fn default() -> Self {
        RequestHead {
            method: Span::default(),
            target: Span::default(),
            form: Target::Asterisk,
            host: None,
            facts: RequestFacts::default(),
            section: Section::default(),
            line_is_final: false,
            has_numbers: false,
            lacks_host: false,
            fields_start: 0,
            len: 0,
            valid_host: Vec::new(),
        }
    }
}

impl RequestHead {
    /// Parses the head at the front of `bytes`. `Partial` while no blank line is in sight and no limit is passed.
    ///
    /// At most two empty lines before it are skipped (RFC 9112 section 2.2) and count in the length.
    pub fn parse(&mut self, bytes: &[u8], limits: &Limits) -> Result<Parsed, Refusal> {
        (self.method, self.target) = (Span::default(), Span::default()); // the last head's may lie beyond these bytes
        let most = limits.request_head.min(u16::MAX as usize);
        let window = &bytes[..bytes.len().min(most)];
        let is_full = window.len() == most;
        let fields_start = match self.read_line(window, limits.request_line, is_full) {
            Ok(Some(fields_start)) => fields_start,
            Ok(None) => return Ok(Parsed::Partial),
            Err(refusal) => {
                self.tell_line(window);
                return Err(refusal);
            }
        };
        match self.section.read(window, fields_start, limits.fields)? {
            Parsed::Partial if is_full => Err(Refusal { status: 431, reason: "request head too long" }),
            Parsed::Partial => Ok(Parsed::Partial),
            Parsed::Complete(len) => {
                self.fields_start = fields_start;
                self.len = len;
                self.settle_fields(window)?;
                Ok(Parsed::Complete(len))
            }
        }
    }

    /// Method as received; of a refused request as far as it can be told.
    pub fn method(&self) -> Span {
        self.method
    }

    /// Request target as received (for the log); of a refused request as far as it can be told.
    pub fn target(&self) -> Span {
        self.target
    }

    /// Whether it names no host, as HTTP/1.0 allows: it gets the name of the backend it goes to.
    pub fn lacks_host(&self) -> bool {
        self.lacks_host
    }

    /// Appends method and target to `out`, a blank between, for the log of a request that was refused, and says how long
    /// the method is. They may be none at all: what is not visible ASCII is written as %XX.
    pub fn push_line(&self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let start = out.len();
        push_visible(self.method.of(bytes), METHOD_TOLD_MAX, out);
        let method_len = out.len() - start;
        if method_len > 0 {
            out.push(b' ');
            push_visible(self.target.of(bytes), TARGET_TOLD_MAX, out);
        }
        method_len
    }

    /// Its form.
    pub fn form(&self) -> Target {
        self.form
    }

    /// What outlives the bytes.
    pub fn facts(&self) -> RequestFacts {
        self.facts
    }

    /// The authority the request is for: the target's, else Host's; `None` for an HTTP/1.0 request without either.
    pub fn authority(&self) -> Option<Span> {
        match self.form {
            Target::Absolute { authority, .. } => Some(authority),
            Target::Origin(_) | Target::Asterisk => self.host,
        }
    }

    /// Value of the first field called `name` (in any case). For routing by a field; the proxy itself has no need of it.
    pub fn value<'b>(&self, bytes: &'b [u8], name: &str) -> Option<&'b [u8]> {
        let is_it = |field: &&Field| field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes());
        self.section.fields().iter().find(is_it).map(|field| field.value.of(bytes))
    }

    /// Reads the request line, and gives the offset after it if it is there.
    fn read_line(&mut self, window: &[u8], most: usize, is_full: bool) -> Result<Option<usize>, Refusal> {
        let Some(start) = request_line::after_empty_lines(window) else { return Ok(None) };
        let rest = &window[start..];
        let line = match request_line::usual(rest) {
            Some(line) if line.len <= most => line,
            _ => match request_line::any(rest, most, is_full)? {
                Some(line) => line,
                None => return Ok(None),
            },
        };
        let method = &rest[..line.method_len];
        if method == b"CONNECT" {
            return Err(Refusal { status: 405, reason: "CONNECT is not served here" });
        }
        let target_start = start + line.method_len + 1;
        self.facts.version = line.version;
        self.facts.method = Method::of(method);
        self.method = Span { start: start as u16, end: (start + line.method_len) as u16 };
        self.target = Span { start: target_start as u16, end: (target_start + line.target_len) as u16 };
        self.form = target::read(window, self.target, self.facts.method)?;
        self.line_is_final = line.is_current && !matches!(self.form, Target::Absolute { .. });
        Ok(Some(start + line.len))
    }

    /// Of a request line that was refused: which words of it are, as far as one can tell, its method and its target.
    #[cold]
    fn tell_line(&mut self, window: &[u8]) {
        if self.method != Span::default() {
            return; // the line was read, what it says was refused
        }
        (self.method, self.target) = request_line::told(window);
    }

    /// Makes out what the fields mean together, unless the same fields of a request like this one were the last.
    fn settle_fields(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let key = (self.facts.version, self.facts.method, Form::of(self.form));
        if self.section.take_settled(&key) {
            let host = self.section.fields().iter().find(|field| field.kind == FieldKind::Host);
            self.host = host.map(|field| field.value); // all else is no matter of where the fields lie
        } else {
            self.read_fields(bytes)?;
        }
        self.section.settle(key);
        Ok(())
    }

    /// Reads what the fields mean together.
    fn read_fields(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let mut seen = Seen::default();
        for field in self.section.fields() {
            if field.kind != FieldKind::Other {
                seen.read(field, bytes, &mut self.facts, self.form, &mut self.valid_host)?;
            }
        }
        self.host = seen.host;
        self.lacks_host = seen.host.is_none() && !matches!(self.form, Target::Absolute { .. });
        if seen.host.is_none() && self.facts.version == Version::Http11 {
            return Err(bad("no Host"));
        }
        let version = self.facts.version;
        let framing = seen.framing.end_of_body(Message::Request, version)?;
        let has_body = !matches!(framing, Framing::Empty | Framing::Length(0));
        if has_body && self.facts.method == Method::Trace {
            return Err(bad("content in a TRACE"));
        }
        let is_current = version == Version::Http11;
        self.facts.framing = framing;
        self.facts.keep_alive = seen.connection.persists(version);
        // RFC 9110 section 10.1.1: ignored in HTTP/1.0, and not to be sent without content.
        self.facts.expect_continue = seen.expects_continue && is_current && has_body;
        self.facts.login = seen.login;
        self.facts.accepts_trailers = seen.accepts_trailers && is_current;
        self.facts.max_forwards = seen.max_forwards;
        self.facts.nominates = seen.connection.nominates;
        self.facts.upgrade =
            seen.connection.upgrade && is_current && fields::offers_upgrade(self.section.fields(), bytes);
        self.has_numbers = seen.framing.is_padded() || seen.max_forwards.is_some();
        if seen.framing.is_padded() {
            self.section.mark_padded();
        }
        self.facts.is_plain = !self.facts.has_content() && !self.facts.upgrade && !self.facts.login;
        if seen.connection.nominates {
            self.section.mark_nominated(bytes);
        }
        Ok(())
    }
}

/// What the fields read so far say.
#[derive(Default)]
struct Seen {
    host: Option<Span>,
    framing: FramingFields,
    connection: ConnectionOptions,
    login: bool,
    expects_continue: bool,
    accepts_trailers: bool,
    max_forwards: Option<u32>,
}

impl Seen {
    fn read(
        &mut self,
        field: &Field,
        bytes: &[u8],
        facts: &mut RequestFacts,
        form: Target,
        valid_host: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let value = field.value.of(bytes);
        match field.kind {
            FieldKind::Host => {
                let is_ignored = match form {
                    // An http URI has a host (RFC 9110 section 4.2.1); only `*` stands for no URI.
                    Target::Asterisk => value.is_empty(),
                    // The URI has the host, whatever is said here (RFC 9112 section 3.2.2).
                    Target::Absolute { .. } => true,
                    Target::Origin(_) => false,
                };
                if !is_ignored && (value.is_empty() || value != valid_host.as_slice()) {
                    if !host::is_valid(value) {
                        return Err(bad("bad Host"));
                    }
                    valid_host.clear();
                    valid_host.extend_from_slice(value);
                }
                if self.host.replace(field.value).is_some() {
                    return Err(bad("several Host fields"));
                }
            }
            FieldKind::ContentLength => self.framing.content_length(value)?,
            FieldKind::TransferEncoding => self.framing.transfer_encoding(value)?,
            FieldKind::Connection => self.connection.read(value)?,
            FieldKind::Credentials => self.login |= fields::is_bound_to_connection(value),
            FieldKind::Te => {
                self.accepts_trailers |=
                    members(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
            }
            FieldKind::Expect if facts.version == Version::Http11 => {
                for expectation in members(value) {
                    if !expectation.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Refusal { status: 417, reason: "unknown expectation" });
                    }
                    self.expects_continue = true;
                }
            }
            FieldKind::MaxForwards if matches!(facts.method, Method::Trace | Method::Options) => {
                if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
                    return Err(bad("bad Max-Forwards"));
                }
                // What is more than we can count is sent on as the most we can (RFC 9110 section 7.6.2).
                let hops = grammar::decimal(value).and_then(|hops| u32::try_from(hops).ok());
                if self.max_forwards.replace(hops.unwrap_or(u32::MAX)).is_some() {
                    return Err(bad("several Max-Forwards fields"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether these bytes, refused as they are, begin like a HEAD, whose answer has no content (RFC 9110 section 9.3.2).
pub fn is_like_head(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"HEAD ")
}

pub(super) fn bad(reason: &'static str) -> Refusal {
    Refusal { status: 400, reason }
}

impl From<fields::Fault> for Refusal {
    fn from(fault: fields::Fault) -> Self {
        let status = if fault == fields::Fault::TooMany { 431 } else { 400 };
        Refusal { status, reason: fault.reason() }
    }
}

impl From<framing::Fault> for Refusal {
    fn from(fault: framing::Fault) -> Self {
        match fault {
            framing::Fault::Malformed(reason) => bad(reason),
            framing::Fault::UnknownCoding => Refusal { status: 501, reason: "unknown transfer coding" },
        }
    }
}
