//! The field section of a head: kept as offsets, names classified once.
//!
//! The usual one is split in one look at each byte (scan.rs). Any other, good or bad, is for httparse, whose verdict is
//! then made strict: it takes a bare LF as a line end, this does not. Which fields are allowed where is decided elsewhere.

use super::grammar::{self, members};
use super::{Parsed, Span, scan};
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
    /// X-Tidegate-Explain: between a proxy and its own client only, in either direction.
    Explain,
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
    match split_usual(bytes, start, max.min(FIELDS_MAX), fields) {
        Some(len) => Ok(Parsed::Complete(len)),
        None => split_any(bytes, start, max, fields),
    }
}

/// The offset after the section, if it is whole, well-formed and not too long.
fn split_usual(bytes: &[u8], start: usize, max: usize, fields: &mut Vec<Field>) -> Option<usize> {
    fields.clear();
    let mut at = start;
    while let Some(line) = scan::line(bytes, at) {
        if fields.len() == max {
            return None;
        }
        let name = Span { start: at as u16, end: line.name_end as u16 };
        let value = Span { start: line.value_start as u16, end: line.value_end as u16 };
        let kind = classify(&bytes[at..line.name_end]);
        fields.push(Field { name, value, kind });
        at = line.next;
    }
    (bytes.get(at..at + 2)? == b"\r\n").then_some(at + 2)
}

/// Any other: the same, or what is wrong with it, or that it is not all there.
#[cold]
fn split_any(bytes: &[u8], start: usize, max: usize, fields: &mut Vec<Field>) -> Result<Parsed, Fault> {
    // Room on the stack costs as much as there is of it, so most heads are served with little.
    match split_into::<16>(bytes, start, max, fields) {
        Err(Fault::TooMany) if max > 16 => {}
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
    let base = head.as_ptr() as usize;
    let span = |part: &[u8]| {
        let start = part.as_ptr() as usize - base;
        Span { start: start as u16, end: (start + part.len()) as u16 }
    };
    let mut is_crlf = head.ends_with(b"\r\n\r\n");
    fields.clear();
    fields.extend(headers.iter().map(|header| {
        let (name, value) = (span(header.name.as_bytes()), span(header.value));
        // The line before ended in LF, or httparse would not have found this one.
        is_crlf &= head.get((name.start as usize).wrapping_sub(2)) == Some(&b'\r');
        Field { name, value, kind: classify(header.name.as_bytes()) }
    }));
    if is_crlf { Ok(Parsed::Complete(head.len())) } else { Err(Fault::Malformed("bare LF in the head")) }
}

/// What the name means; it is a token. Length and first letter tell all names that matter apart, so one comparison
/// settles each field.
fn classify(name: &[u8]) -> FieldKind {
    use FieldKind::*;
    match (name.len(), name[0] | 0x20) {
        (2, b't') => settle(name, b"TE", Te),
        (3, b'v') => settle(name, b"Via", Via),
        (4, b'h') => settle(name, b"Host", Host),
        (4, b'd') => settle(name, b"Date", Date),
        (6, b'e') => settle(name, b"Expect", Expect),
        (7, b't') => settle(name, b"Trailer", HopByHop),
        (7, b'u') => settle(name, b"Upgrade", Upgrade),
        (9, b'f') => settle(name, b"Forwarded", Forwarded),
        (10, b'c') => settle(name, b"Connection", Connection),
        (10, b'k') => settle(name, b"Keep-Alive", HopByHop),
        (12, b'm') => settle(name, b"Max-Forwards", MaxForwards),
        // A look-alike of this one is harmless, so it is not sought.
        (12, b'x') if name.eq_ignore_ascii_case(b"X-Request-Id") => XRequestId,
        (14, b'c') => settle(name, b"Content-Length", ContentLength),
        (14, b'h') => settle(name, b"HTTP2-Settings", HopByHop),
        (15, b'x') => settle(name, b"X-Forwarded-For", XForwardedFor),
        (16, b'x') => settle(name, b"X-Forwarded-Host", XForwardedHost),
        (16, b'p') => settle(name, b"Proxy-Connection", HopByHop),
        (17, b't') => settle(name, b"Transfer-Encoding", TransferEncoding),
        (17, b'x') => settle(name, b"X-Forwarded-Proto", XForwardedProto),
        (18, b'x') => settle(name, b"X-Tidegate-Explain", Explain),
        (_, b'x') => classify_prefix(name),
        _ => Other,
    }
}

/// `kind` if `name` is `usual` in any case. Nearly always it is in this case, which takes two or three loads to see.
#[inline(always)]
fn settle<const LEN: usize>(name: &[u8], usual: &[u8; LEN], kind: FieldKind) -> FieldKind {
    if name == usual {
        return kind;
    }
    match likeness(name, usual) {
        Likeness::Same => kind,
        Likeness::Similar => FieldKind::LookAlike,
        Likeness::Different if usual[0] == b'X' => classify_prefix(name),
        Likeness::Different => FieldKind::Other,
    }
}

/// The one family that is known by its prefix.
fn classify_prefix(name: &[u8]) -> FieldKind {
    const PREFIX: &[u8] = b"X-Forwarded-";
    let Some(front) = name.get(..PREFIX.len()) else { return FieldKind::Other };
    match likeness(front, PREFIX) {
        Likeness::Same => FieldKind::XForwardedOther,
        Likeness::Similar => FieldKind::LookAlike,
        Likeness::Different => FieldKind::Other,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// Equal but for case.
    Same,
    /// Equal but for case, once `_` is read as `-`.
    Similar,
    Different,
}

/// Compares two names of one length.
fn likeness(name: &[u8], usual: &[u8]) -> Likeness {
    let mut result = Likeness::Same;
    for (byte, wanted) in name.iter().zip(usual) {
        if !byte.eq_ignore_ascii_case(wanted) {
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
    #[inline]
    pub(super) fn read(&mut self, value: &[u8]) -> Result<(), Fault> {
        match value {
            b"keep-alive" => self.keep_alive = true,
            b"close" => self.close = true,
            _ => return self.read_list(value),
        }
        self.count_one()
    }

    fn read_list(&mut self, value: &[u8]) -> Result<(), Fault> {
        for option in members(value) {
            match well_known(option) {
                Some(WellKnown::Close) => self.close = true,
                Some(WellKnown::KeepAlive) => self.keep_alive = true,
                Some(WellKnown::Upgrade) => self.upgrade = true,
                Some(WellKnown::Te) => {}
                None => self.nominates = true,
            }
            self.count_one()?;
        }
        Ok(())
    }

    fn count_one(&mut self) -> Result<(), Fault> {
        self.count += 1;
        if self.count > OPTIONS_MAX { Err(Fault::Malformed("too many Connection options")) } else { Ok(()) }
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
        .map(|protocol| grammar::is_protocol(protocol).then_some(protocol))
}

/// Whether the Upgrade fields name at least one protocol we would tunnel, and nothing malformed.
pub(super) fn offers_upgrade(fields: &[Field], bytes: &[u8]) -> bool {
    let mut any = false;
    protocols(fields, bytes).all(|protocol| {
        any = true;
        protocol.is_some()
    }) && any
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pieces that make good lines, bad ones, and lines that are nearly good.
    fn section() -> impl Strategy<Value = Vec<u8>> {
        let text = |text: &'static str| Just(text.as_bytes().to_vec());
        let piece = prop_oneof![
            4 => text("\r\n"),
            4 => "[A-Za-z][A-Za-z0-9_-]{0,20}: ?[ -~]{0,30}\r\n".prop_map(String::into_bytes),
            2 => text("Content-Length: 5\r\n"),
            1 => text("\n"),
            1 => text("\r"),
            1 => text(": "),
            1 => text(" "),
            1 => text("\t"),
            1 => text("\0"),
            1 => text("a:"),
            1 => prop::collection::vec(any::<u8>(), 0..12),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// What the quick scanner takes, the strict reading of httparse takes too, and alike; and the other way round.
        #[test]
        fn both_readings_agree(section in section(), max in prop_oneof![Just(100usize), 0..6usize]) {
            for end in ["", "\r\n"] {
                let bytes = &[b"GET\r\n", &section[..], end.as_bytes()].concat();
                let (mut quick, mut slow) = (Vec::new(), Vec::new());
                let usual = split_usual(bytes, 5, max, &mut quick);
                match split_any(bytes, 5, max, &mut slow) {
                    Ok(Parsed::Complete(len)) => {
                        prop_assert_eq!(usual, Some(len));
                        let named = |fields: &[Field]| fields
                            .iter()
                            .map(|field| (field.name, field.value.of(bytes).to_vec(), field.kind))
                            .collect::<Vec<_>>();
                        prop_assert_eq!(named(&quick), named(&slow));
                    }
                    _ => prop_assert_eq!(usual, None),
                }
            }
        }
    }
}
