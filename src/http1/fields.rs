//! The field section of a head: split by httparse, then checked strictly, kept as offsets, names classified once.
//!
//! httparse takes a bare LF as a line end; this does not. Which fields are allowed where is decided elsewhere.

use super::grammar::members;
use super::{Parsed, Span};
use httparse::{EMPTY_HEADER, Error, Header, Status};

/// What a field is to the proxy. All others, and nearly all there are, are [`FieldKind::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldKind {
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    /// Keep-Alive, Proxy-Connection, Trailer, HTTP2-Settings: for one hop only and of no use to us.
    HopByHop,
    Te,
    Upgrade,
    Expect,
    MaxForwards,
    Date,
    Via,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    /// Any other X-Forwarded-*, such as -Port: believed from trusted peers only.
    XForwardedOther,
    Forwarded,
    XRequestId,
    /// One of the above but for `_` in the place of `-`: some origins take the two for the same, so it is dropped.
    LookAlike,
    /// Named in Connection, so for one hop only (RFC 9110 section 7.6.1).
    Nominated,
}

impl FieldKind {
    /// Whether a Connection option of that name is ignored: without these the message would be another one, or the ones
    /// we make would be lost.
    fn outlives_nomination(self) -> bool {
        use FieldKind::*;
        matches!(
            self,
            Host | ContentLength | TransferEncoding | Connection | Expect | MaxForwards | Te | Upgrade
        )
    }
}

/// One field line; it ends where the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: Span,
    /// Without the blanks around it.
    pub(super) value: Span,
    pub(super) kind: FieldKind,
}

/// Why a field section is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    TooMany,
    Malformed(&'static str),
}

/// Fields a head can have at most, whatever the limits say.
const FIELDS_MAX: usize = 1000;

/// Reads the field section at `start`, empty line included, into `fields` (which is emptied). `Complete` carries the
/// offset after it. `bytes` are at most 65,535.
pub(super) fn split(
    bytes: &[u8],
    start: usize,
    max: usize,
    fields: &mut Vec<Field>,
) -> Result<Parsed, Fault> {
    // Room on the stack costs as much as there is of it, so most heads are served with little.
    match split_into::<32>(bytes, start, max, fields) {
        Err(Fault::TooMany) if max > 32 => {}
        result => return result,
    }
    match split_into::<128>(bytes, start, max, fields) {
        Err(Fault::TooMany) if max > 128 => split_into::<FIELDS_MAX>(bytes, start, max, fields),
        result => result,
    }
}

fn split_into<const ROOM: usize>(
    bytes: &[u8],
    start: usize,
    max: usize,
    fields: &mut Vec<Field>,
) -> Result<Parsed, Fault> {
    let mut store = [EMPTY_HEADER; ROOM];
    match httparse::parse_headers(&bytes[start..], &mut store[..max.min(ROOM)]) {
        Ok(Status::Complete((len, headers))) => record(&bytes[..start + len], headers, fields),
        Ok(Status::Partial) => Ok(Parsed::Partial),
        Err(Error::TooManyHeaders) => Err(Fault::TooMany),
        Err(Error::HeaderName) => Err(Fault::Malformed("bad field name, or whitespace around it")),
        Err(Error::HeaderValue) => Err(Fault::Malformed("control character in a field value")),
        Err(_) => Err(Fault::Malformed("CR without LF in the head")),
    }
}

/// Keeps `headers` as offsets into `head`, which ends with them, if every line of it ends in CRLF.
fn record(head: &[u8], headers: &[Header<'_>], fields: &mut Vec<Field>) -> Result<Parsed, Fault> {
    fields.clear();
    let base = head.as_ptr() as usize;
    for header in headers {
        let name = header.name.as_bytes();
        let start = name.as_ptr() as usize - base;
        let value_start = header.value.as_ptr() as usize - base;
        // The line before ends here.
        if !head[..start].ends_with(b"\r\n") {
            return Err(BARE_LF);
        }
        fields.push(Field {
            name: Span { start: start as u16, end: (start + name.len()) as u16 },
            value: Span { start: value_start as u16, end: (value_start + header.value.len()) as u16 },
            kind: classify(name),
        });
    }
    if head.ends_with(b"\r\n\r\n") { Ok(Parsed::Complete(head.len())) } else { Err(BARE_LF) }
}

const BARE_LF: Fault = Fault::Malformed("bare LF in the head");

/// Length and first letter tell all names that matter apart, so one comparison settles each field.
fn classify(name: &[u8]) -> FieldKind {
    use FieldKind::*;
    let first = name[0] | 0x20;
    let (candidate, kind): (&[u8], FieldKind) = match (name.len(), first) {
        (2, b't') => (b"te", Te),
        (3, b'v') => (b"via", Via),
        (4, b'h') => (b"host", Host),
        (4, b'd') => (b"date", Date),
        (6, b'e') => (b"expect", Expect),
        (7, b't') => (b"trailer", HopByHop),
        (7, b'u') => (b"upgrade", Upgrade),
        (9, b'f') => (b"forwarded", Forwarded),
        (10, b'c') => (b"connection", Connection),
        (10, b'k') => (b"keep-alive", HopByHop),
        (12, b'm') => (b"max-forwards", MaxForwards),
        (12, b'x') => (b"x-request-id", XRequestId),
        (14, b'c') => (b"content-length", ContentLength),
        (14, b'h') => (b"http2-settings", HopByHop),
        (15, b'x') => (b"x-forwarded-for", XForwardedFor),
        (16, b'x') => (b"x-forwarded-host", XForwardedHost),
        (16, b'p') => (b"proxy-connection", HopByHop),
        (17, b't') => (b"transfer-encoding", TransferEncoding),
        (17, b'x') => (b"x-forwarded-proto", XForwardedProto),
        _ => return classify_prefix(name, first),
    };
    match likeness(name, candidate) {
        Likeness::Same => kind,
        Likeness::Similar if kind != XRequestId => LookAlike,
        _ => classify_prefix(name, first),
    }
}

/// The one family that is known by its prefix.
fn classify_prefix(name: &[u8], first: u8) -> FieldKind {
    const PREFIX: &[u8] = b"x-forwarded-";
    if first != b'x' || name.len() <= PREFIX.len() {
        return FieldKind::Other;
    }
    match likeness(&name[..PREFIX.len()], PREFIX) {
        Likeness::Same => FieldKind::XForwardedOther,
        Likeness::Similar => FieldKind::LookAlike,
        Likeness::Different => FieldKind::Other,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Likeness {
    Same,
    /// The same once `_` is read as `-`.
    Similar,
    Different,
}

/// Compares `name`, of token characters, with a lower-case name of the same length made of letters, digits and `-`.
fn likeness(name: &[u8], lower: &[u8]) -> Likeness {
    let mut result = Likeness::Same;
    for (byte, wanted) in name.iter().zip(lower) {
        // Setting that bit makes letters lower case, leaves digits and `-` alone, and among the other token
        // characters makes none of them a letter, a digit or `-`.
        if byte | 0x20 != *wanted {
            if *byte != b'_' || *wanted != b'-' {
                return Likeness::Different;
            }
            result = Likeness::Similar;
        }
    }
    result
}

/// What the Connection fields of a message say (RFC 9110 section 7.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ConnectionOptions {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Options other than the well-known: names of fields that go no further.
    pub(super) nominates: bool,
    count: u16,
}

/// More than this is no honest Connection field, and each one costs a comparison with every field.
const OPTIONS_MAX: u16 = 100;

impl ConnectionOptions {
    /// Takes in the value of one Connection field.
    pub(super) fn read(&mut self, value: &[u8]) -> Result<(), Fault> {
        for option in members(value) {
            match well_known(option) {
                Some(WellKnown::Close) => self.close = true,
                Some(WellKnown::KeepAlive) => self.keep_alive = true,
                Some(WellKnown::Upgrade) => self.upgrade = true,
                Some(WellKnown::Te) => {}
                None => self.nominates = true,
            }
            self.count += 1;
            if self.count > OPTIONS_MAX {
                return Err(Fault::Malformed("too many Connection options"));
            }
        }
        Ok(())
    }

    /// Whether the connection persists after a message of this version (RFC 9112 section 9.3).
    pub(super) fn persists(self, version: super::Version) -> bool {
        !self.close && (version == super::Version::Http11 || self.keep_alive)
    }
}

enum WellKnown {
    Close,
    KeepAlive,
    Upgrade,
    Te,
}

fn well_known(option: &[u8]) -> Option<WellKnown> {
    match option.len() {
        5 if option.eq_ignore_ascii_case(b"close") => Some(WellKnown::Close),
        10 if option.eq_ignore_ascii_case(b"keep-alive") => Some(WellKnown::KeepAlive),
        2 if option.eq_ignore_ascii_case(b"te") => Some(WellKnown::Te),
        7 if option.eq_ignore_ascii_case(b"upgrade") => Some(WellKnown::Upgrade),
        _ => None,
    }
}

/// Marks the fields that Connection names. Called when [`ConnectionOptions::nominates`].
pub(super) fn mark_nominated(fields: &mut [Field], bytes: &[u8]) {
    for index in 0..fields.len() {
        let Field { kind: FieldKind::Connection, value, .. } = fields[index] else { continue };
        for option in members(value.of(bytes)) {
            for field in fields.iter_mut().filter(|field| !field.kind.outlives_nomination()) {
                if field.name.of(bytes).eq_ignore_ascii_case(option) {
                    field.kind = FieldKind::Nominated;
                }
            }
        }
    }
}

/// Protocols the Upgrade fields name, in order, less h2c, which we never switch to (RFC 9113 section 3.1 obsoletes it).
/// `None` among them for a malformed one.
pub(super) fn protocols<'b>(fields: &'b [Field], bytes: &'b [u8]) -> impl Iterator<Item = Option<&'b [u8]>> {
    fields
        .iter()
        .filter(|field| field.kind == FieldKind::Upgrade)
        .flat_map(|field| members(field.value.of(bytes)))
        .filter(|protocol| !protocol.eq_ignore_ascii_case(b"h2c"))
        .map(|protocol| super::grammar::is_protocol(protocol).then_some(protocol))
}

/// Whether the Upgrade fields name at least one protocol we would tunnel, and nothing malformed.
pub(super) fn offers_upgrade(fields: &[Field], bytes: &[u8]) -> bool {
    let mut any = false;
    protocols(fields, bytes).all(|protocol| {
        any = true;
        protocol.is_some()
    }) && any
}
